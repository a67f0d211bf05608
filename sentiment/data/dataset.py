"""Datasets of labelled reviews: the schema of dataset.yaml, and the rows that it describes, checked one by one."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sentiment.data.reader import FORMATS, Reader, Row, require, rows_of
from sentiment.errors import InputError, one_line, reason
from sentiment.labels import LABELS
from sentiment.schema import PRINTABLE, explain, read_yaml, shortened

DATA = Path("data")
CHALLENGE = "challenge"  # the dataset of hard reviews that every model is scored on
_BLOCK = 50_000  # reviews that are Python objects at the same time, which take several times the memory of pandas' own
# Of a Hub dataset: what says how it is read, and data; never code or pickles.
_HUB_FILES = ["README.md", ".huggingface.yaml", "*.parquet", "*.csv*", "*.tsv*", "*.json*"]
_SPELLINGS = [{"negative", "neg", "0", "false"}, {"positive", "pos", "1", "true"}]
_TAKEN = {"id", "group", "probability"}  # columns that only the pipeline itself makes

Split = Literal["train", "test"]
_File = Annotated[str, Field(pattern=PRINTABLE, max_length=200)]
_Files = Annotated[dict[Split, _File], Field(min_length=1)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]


class Source(BaseModel):
    """The schema of data/<name>/dataset.yaml: either `hub` and `revision`, or `files`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    description: str = Field("", description="one line of text")
    license: str = Field("", description="one line of text")
    language: str | None = Field(None, description="a language code such as en", pattern=r"^[a-z]{2,3}$")
    hub: str | None = Field(None, description="a Hub dataset such as org/name", pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str | None = Field(
        None, description="a commit of the Hub dataset: 40 hexadecimal digits", pattern=r"^[0-9a-f]{40}$"
    )
    config: str | None = Field(None, description="a configuration of the Hub dataset")
    files: _File | _Files | None = Field(
        None, description="a file name, or {train: file, test: file}; .csv, .jsonl or .parquet"
    )
    test_size: float | None = Field(None, description="a share above 0 and below 1, cut off for testing", gt=0, lt=1)
    text: str = Field("text", description="the name of the column with the review")
    label: str = Field("label", description="the name of the column with the label")
    split: str = Field("split", description="the name of the column that says train or test")
    group: str | None = Field(None, description="the name of a column, such as film, that no two splits share")
    labels: dict[Literal["negative", "positive"], list[str | int | bool]] | None = Field(
        None, description="{negative: [values], positive: [values]}"
    )
    rows: dict[Split, _Count] | None = Field(None, description="{train: count, test: count}")
    text_bytes: dict[Split, _Count] | None = Field(None, description="{train: count, test: count}")

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        if (self.hub is None) == (self.files is None):
            raise ValueError("needs either hub (with revision) or files")
        if self.hub and not self.revision:
            raise ValueError("hub needs a revision: a commit of 40 hexadecimal digits, so that the data never changes")
        if self.test_size and not isinstance(self.files, str):
            raise ValueError("test_size needs files to name one file")
        return self

    @model_validator(mode="after")
    def _labels_that_differ(self) -> "Source":
        if self.labels is not None:
            negative, positive = self.spellings()
            if not (negative and positive):
                raise ValueError("labels: both negative and positive need values")
            if both := sorted(negative & positive):
                raise ValueError(f"labels: {shortened(both[0])} stands for both negative and positive")
        return self

    def spellings(self) -> list[set[str]]:
        """The values that mean negative, and those that mean positive, as `_spelling` writes them."""
        if self.labels is None:
            return _SPELLINGS
        return [{_spelling(value) for value in self.labels.get(key, [])} for key in ("negative", "positive")]


class _Table(NamedTuple):
    """Rows of one file or Hub split: where they are from, the names of their columns if all have the same, their split."""

    where: str
    columns: list[str] | None
    rows: Iterable[Row]
    split: Split | None


def names() -> list[str]:
    """The datasets there are: the folders of data/ that hold a dataset.yaml."""
    return sorted(path.parent.name for path in DATA.glob("*/dataset.yaml"))


def read_source(name: str) -> Source:
    """Read and check data/<name>/dataset.yaml.

    Raises:
        InputError: there is no such dataset, or the file has an unknown, missing or disallowed value.
    """
    path = DATA / name / "dataset.yaml"
    if name not in names():
        raise InputError(f"params.yaml: dataset: no {path}; allowed: {', '.join(names())}, or a new folder with one")
    try:
        return Source.model_validate(read_yaml(path))
    except ValidationError as error:
        raise InputError(explain(error, path, Source)) from None


def load(name: str, needed: Sequence[Split] = ("train", "test")) -> tuple[Source, pd.DataFrame]:
    """Read, check and normalise the dataset in data/<name>/.

    Args:
        name: the folder.
        needed: splits that it must have.

    Returns:
        The content of dataset.yaml, and one row a review: `id` (split and row, such as test-17, counted from 1),
        `split` (train, test; all `train` where test_size is to cut a test split off), `text` (normalised),
        `label` (index into LABELS), `group` where dataset.yaml names one, then the other columns as text, but for
        those that have a name which the pipeline gives.

    Raises:
        InputError: the first fault found, with its file and row.
    """
    source = read_source(name)
    text_bytes: Counter[str] = Counter()
    blocks = []
    for table in _tables(name, source):
        require(table.where, table.columns, *_columns_needed(source, table.split))
        records = _records(source, table, text_bytes)
        while block := list(islice(records, _BLOCK)):
            frame = pd.DataFrame.from_records(block)
            extra = frame.columns.difference(["label"], sort=False)
            blocks.append(frame.astype(dict.fromkeys(extra, "str") | {"label": "int64"}))
    reviews = pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=["split", "text", "label"])
    rows = Counter(reviews["split"])
    _check_counts(DATA / name, source, {"rows": rows, "text_bytes": text_bytes}, needed)
    for split, labels in reviews.groupby("split")["label"]:
        if labels.nunique() < len(LABELS):
            only = LABELS[labels.iloc[0]]
            raise InputError(f"{DATA / name}: every {split} review is {only}; both classes are needed")
    reviews.insert(0, "id", reviews["split"] + "-" + (reviews.groupby("split").cumcount() + 1).astype(str))
    return source, reviews


def _tables(name: str, source: Source) -> Iterator[_Table]:
    """The tables that dataset.yaml names."""
    if source.hub:
        yield from _hub_tables(source)
        return
    files = source.files or {}
    folder = (DATA / name).resolve()
    split: Split | None
    for split, file in [(None, files)] if isinstance(files, str) else files.items():
        path = DATA / name / file
        if not path.resolve().is_relative_to(folder):
            raise InputError(f"{DATA / name / 'dataset.yaml'}: files: {file!r} lies outside {DATA / name}")
        if path.suffix not in FORMATS:
            raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: {', '.join(FORMATS)}")
        if path.is_dir():
            raise InputError(f"{path}: is not a file")
        reader = Reader(path)
        yield _Table(str(path), reader.columns, reader, split)


def _hub_tables(source: Source) -> Iterator[_Table]:
    import datasets  # late: it takes a second, and most datasets are files

    from sentiment import hub

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # else an error is more than its one line
    # Not load_dataset(source.hub): where the Hub does not answer, that takes whichever revision was cached last.
    folder = hub.snapshot("dataset", str(source.hub), source.revision, _HUB_FILES)
    # No second cache: what is read was checked just now.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        try:
            tables = datasets.load_dataset(str(folder), source.config, cache_dir=scratch)
        except Exception as error:  # whatever is wrong with its files
            raise InputError(f"{source.hub}: cannot be read: {reason(error.__cause__ or error)}") from error
        if not {"train", "test"} <= set(tables):
            raise InputError(f"{source.hub}: has splits {', '.join(tables)}; train and test are needed")
        splits: tuple[Split, ...] = ("train", "test")
        for split in splits:
            yield _Table(f"{source.hub} {split}", tables[split].column_names, _hub_rows(tables[split]), split)


def _hub_rows(table: Any) -> Iterator[Row]:
    number = 1
    for block in table.with_format("arrow").iter(1024):
        for batch in block.to_batches():
            yield from rows_of(batch, number)
            number += batch.num_rows


def _columns_needed(source: Source, split: Split | None) -> list[str]:
    needed = [source.text, source.label, *([source.group] if source.group else [])]
    return needed if split or source.test_size is not None else [*needed, source.split]


def _records(source: Source, table: _Table, text_bytes: Counter[str]) -> Iterator[dict[str, Any]]:
    """The rows of a table as `load` returns them, but for the id; their bytes of text are added to those of their split.

    Raises:
        InputError: the first fault, with its place.
    """
    used = {source.text, source.label, source.split, source.group, *_TAKEN, "split", "text", "label"}
    meaning = {spelling: label for label, group in enumerate(source.spellings()) for spelling in sorted(group)}
    for row in table.rows:
        try:
            record: dict[str, Any] = {
                "split": table.split or ("train" if source.test_size is not None else _split(row, source.split)),
                "text": row.text(source.text),
                "label": _label(row, source.label, meaning),
            }
            if source.group:
                record["group"] = str(_given(row, source.group))
            for column in row.values:
                if column not in used:
                    value = row.value(column)
                    record[column] = None if value is None else str(value)
        except InputError as error:
            raise InputError(f"{table.where}: row {row.number}: {error}") from None
        text_bytes[record["split"]] += len(row.values[source.text].encode())
        yield record


def _split(row: Row, column: str) -> str:
    value = row.value(column)
    split = str(value).strip().casefold()
    if split not in ("train", "test"):
        raise InputError(f"{one_line(column, 80)} {shortened(value)} is not allowed; allowed: train, test")
    return split


def _label(row: Row, column: str, meaning: dict[str, int]) -> int:
    value = row.value(column)
    spelling = _spelling(value)
    if spelling not in meaning:
        unlabelled = " (-1 often means unlabelled: leave such rows out)" if spelling == "-1" else ""
        allowed = one_line(", ".join(meaning))
        raise InputError(f"{one_line(column, 80)} {shortened(value)} is not allowed; allowed: {allowed}{unlabelled}")
    return meaning[spelling]


def _given(row: Row, column: str) -> Any:
    value = row.value(column)
    if value is None:
        raise InputError(f"{one_line(column, 80)} None is not allowed; every review needs a value")
    return value


def _spelling(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()


def _check_counts(folder: Path, source: Source, counted: dict[str, Counter[str]], needed: Sequence[Split]) -> None:
    """Raise InputError unless each split has what dataset.yaml says, and those that are needed have reviews."""
    for key, counts in counted.items():
        for split, expected in (getattr(source, key) or {}).items():
            if counts[split] != expected:
                raise InputError(f"{folder}: {split} has {counts[split]} {key}; dataset.yaml says {expected}")
    for split in ("train",) if source.test_size else needed:
        if not counted["rows"][split]:
            raise InputError(f"{folder}: there are no {split} reviews")
