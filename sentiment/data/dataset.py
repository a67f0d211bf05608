"""Datasets of reviews: the schema of dataset.yaml, and the rows that it describes, checked one by one."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import combinations, islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from sentiment.data.files import advice, check_encoding
from sentiment.data.formats import Layout
from sentiment.data.quoting import Quoting
from sentiment.data.reader import Reader
from sentiment.data.row import Row, missing
from sentiment.data.text import column_name
from sentiment.errors import InputError, one_line, reason
from sentiment.labels import LABELS, SPELLINGS
from sentiment.progress import Advance, Progress
from sentiment.schema import PRINTABLE, explain, read_yaml, shortened

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
DATA = Path("data")
CHALLENGE = "challenge"  # the dataset of hard reviews that every model is scored on
_BLOCK = 50_000  # reviews that are Python objects at the same time, which take several times the memory of pandas' own
# Of a Hub dataset: what says how it is read, and data; never code or pickles.
_HUB_FILES = ["README.md", ".huggingface.yaml", "*.parquet", "*.csv*", "*.tsv*", "*.json*", "*.ndjson*"]
# `eval` is validation to some, test to others; who has it says which by `splits`.
_SPLIT_NAMES: dict[str, Split] = dict.fromkeys(["train", "training"], "train")
_SPLIT_NAMES |= dict.fromkeys(["validation", "valid", "val", "dev", "development"], "validation")
_SPLIT_NAMES |= dict.fromkeys(["test", "testing"], "test")
_SPELLINGS = {
    **dict(zip(("negative", "positive"), SPELLINGS, strict=True)),
    "ignore": {"unsup"},  # the folder of aclImdb without labels
}
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
_PLAIN = re.compile(r"(?!null$)[A-Za-z][\w ]*|-?[0-9.]+", re.IGNORECASE)  # what YAML needs no quotes for
_TAKEN = {"id", "group", "probability"}  # columns that only the pipeline itself makes
_CUT = "`test_size: 0.2` in dataset.yaml cuts a test split off"

_File = Annotated[str, Field(pattern=PRINTABLE, max_length=200)]
_Files = _File | Annotated[list[_File], Field(min_length=1)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Counts = dict[Split | Literal["unlabelled"], _Count]
_Column = Annotated[str, AfterValidator(column_name)]
_Value = str | int | float | bool | None


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
    files: _Files | Annotated[dict[Split, _Files], Field(min_length=1)] | None = Field(
        None,
        description="a file, a folder, a pattern such as train-*.parquet, a list of these, or "
        "{train: file, validation: file, test: file}",
    )
    unlabelled: _Files | None = Field(
        None,
        description="the name of a split of the Hub dataset or, beside files, a file, a folder, a pattern, or a list of "
        "these",
    )
    delimiter: str | None = Field(
        None, description='one character, such as ";", between the fields of CSV', pattern=r'^[^"\r\n]$'
    )
    columns: list[_Column] | None = Field(
        None, description="names of the columns, of CSV files without a header", min_length=1
    )
    quoting: Quoting | None = Field(
        None,
        description="double (a quote within quotes is written twice), backslash (a quote follows a backslash), or none "
        "(quotes are ordinary characters)",
    )
    encoding: Annotated[str, AfterValidator(check_encoding)] | None = Field(
        None, description="the encoding of text files, such as latin-1, cp1252 or utf-16"
    )
    lines: bool | None = Field(
        None, description="true if each line of a .txt file is a review, false if each file is one"
    )
    splits: dict[Split, _Value] | None = Field(
        None, description="{train: name, validation: name, test: name}, the names that the data has for its splits"
    )
    test_size: float | None = Field(None, description="a share above 0 and below 1, cut off for testing", gt=0, lt=1)
    text: _Column | Annotated[list[_Column], Field(min_length=1)] = Field(
        "text", description="the name of the column with the review, or a list such as [title, content]"
    )
    label: _Column = Field("label", description="the name of the column with the label")
    split: _Column = Field("split", description="the name of the column that says train, validation or test")
    group: _Column | None = Field(None, description="the name of a column, such as film, that no two splits share")
    labels: dict[Literal["negative", "positive", "unlabelled", "ignore"], list[_Value]] | None = Field(
        None,
        description="{negative: [values], positive: [values], unlabelled: [values of rows without a label], "
        "ignore: [values of rows to leave out]}",
    )
    rows: _Counts | None = Field(None, description="{train: count, validation: count, test: count, unlabelled: count}")
    text_bytes: _Counts | None = Field(
        None, description="{train: count, validation: count, test: count, unlabelled: count}"
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        if (self.hub is None) == (self.files is None):
            raise ValueError("needs either hub (with revision) or files")
        if self.hub and not self.revision:
            raise ValueError("hub needs a revision: a commit of 40 hexadecimal digits, so that the data never changes")
        if self.hub and isinstance(self.unlabelled, list):
            raise ValueError("unlabelled: of a Hub dataset it is one name, that of a split")
        if not self.names_unlabelled and "unlabelled" in {*(self.rows or {}), *(self.text_bytes or {})}:
            raise ValueError("unlabelled has counts, and neither unlabelled nor labels names such reviews")
        return self

    @model_validator(mode="after")
    def _splits_that_differ(self) -> "Source":
        if self.splits is not None and isinstance(self.files, dict):
            raise ValueError("splits: files names the files of each split already; leave splits out")
        names = [_spelling(name) for name in (self.splits or {}).values()]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"splits: {shortened(twice[0])} stands for two splits")
        official = self.splits or (self.files if isinstance(self.files, dict) else {})
        if self.test_size and "test" in official:
            raise ValueError("test_size cuts a test split off, and there is one already; leave out one of them")
        return self

    @model_validator(mode="after")
    def _labels_that_differ(self) -> "Source":
        spellings = self.spellings()
        if not all(spellings.get(label.lower()) for label in LABELS):
            raise ValueError("labels: both negative and positive need values")
        for (one, values), (other, others) in combinations(spellings.items(), 2):
            if both := sorted(values & others):
                raise ValueError(f"labels: {shortened(both[0])} stands for both {one} and {other}")
        return self

    @property
    def texts(self) -> list[str]:
        """The columns whose text is the review."""
        return [self.text] if isinstance(self.text, str) else self.text

    @property
    def layout(self) -> Layout:
        """How the files are written, where they do not show it themselves."""
        return Layout(self.delimiter, self.columns, self.quoting, self.encoding, self.lines)

    def spellings(self) -> dict[str, set[str]]:
        """The values that mean negative and positive, of no label, and of rows to leave out, as `_spelling` writes them."""
        given = {str(key): {_spelling(value) for value in values} for key, values in (self.labels or {}).items()}
        usual = {} if {"negative", "positive"} & set(given) else _SPELLINGS
        return usual | {"unlabelled": set(), "ignore": _SPELLINGS["ignore"].difference(*given.values())} | given

    @property
    def names_unlabelled(self) -> bool:
        """Whether there are to be reviews without labels."""
        return self.unlabelled is not None or bool((self.labels or {}).get("unlabelled"))

    def split_names(self) -> dict[str, Split]:
        """The names of splits in the data, as `_spelling` writes them, and the splits that they stand for."""
        return {_spelling(name): split for split, name in self.splits.items()} if self.splits else _SPLIT_NAMES


class Dataset(NamedTuple):
    """A dataset as `load` reads it.

    Attributes:
        source: the content of dataset.yaml.
        reviews: one row a review: `id` (split and row, such as test-17, counted from 1), `split` (train, validation, test;
            no test where test_size is to cut that off), `text` (normalised), `label` (index into LABELS), `group` where
            dataset.yaml names one, then the other columns as text, but for those that have a name which the pipeline gives.
        ignored: how many rows dataset.yaml leaves out.
    """

    source: Source
    reviews: pd.DataFrame
    ignored: int


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
        fault = f"params.yaml: dataset: no {path}"
        if what := advice(path):
            raise InputError(f"{fault}{what}")
        raise InputError(f"{fault}; allowed: {', '.join(names())}, or a new folder with one")
    try:
        return Source.model_validate(read_yaml(path))
    except ValidationError as error:
        raise InputError(explain(error, path, Source)) from None


def load(name: str, needed: Sequence[Split] = ("train", "test")) -> Dataset:
    """Read, check and normalise the dataset in data/<name>/.

    Args:
        name: the folder.
        needed: splits that it must have.

    Raises:
        InputError: the first fault found, with its file and row.
    """
    source, folder = read_source(name), DATA / name
    counts: dict[str, Counter[str]] = {"rows": Counter(), "text_bytes": Counter(), "ignored": Counter()}
    blocks: list[pd.DataFrame] = []
    needed = [split for split in needed if split != "test" or source.test_size is None]
    readers = list(_readers(folder, source, needed))
    with Progress(f"reading {folder}", sum(reader.size for _, reader in readers), "B") as bar:
        for split, reader in readers:
            reader.require(*source.texts, source.label, *([source.group] if source.group else []))
            if split is None and _has_split_column(source):
                try:
                    reader.require(source.split)
                except InputError as error:
                    raise InputError(f"{error}; {_CUT}, or files: {{train: file, test: file}} names them") from None
            blocks += _frames(_records(source, split, _watched(reader, bar.update), counts))
    reviews = pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=["split", "text", "label"])
    _check_counts(folder, source, counts, SPLITS)
    _check_presence(folder, source, counts, needed)
    for each, labels in reviews.groupby("split")["label"]:
        require_classes(labels, f"{folder}: every {each} review")
    reviews.insert(0, "id", reviews["split"] + "-" + (reviews.groupby("split").cumcount() + 1).astype(str))
    return Dataset(source, reviews, counts["ignored"].total())


def load_unlabelled(name: str) -> pd.DataFrame:
    """Read, check and normalise the reviews without labels that data/<name>/dataset.yaml names, by file, split or label.

    One row a review: `id` (such as unlabelled-17), `text`, and `group` where dataset.yaml names one. There are no rows
    where it names no such reviews.

    Raises:
        InputError: the first fault found, with its file and row.
    """
    source, folder = read_source(name), DATA / name
    if not source.names_unlabelled:
        return pd.DataFrame(columns=["id", "text"], dtype="str")
    counts: dict[str, Counter[str]] = {"rows": Counter(), "text_bytes": Counter()}
    blocks: list[pd.DataFrame] = []
    readers = [(reader, False) for reader in _unlabelled_readers(folder, source)]
    if source.spellings()["unlabelled"]:
        readers += [(reader, True) for _, reader in _readers(folder, source, needed=[])]
    with Progress(f"reading {folder}, unlabelled", sum(reader.size for reader, _ in readers), "B") as bar:
        for reader, by_label in readers:
            columns = [*source.texts, *([source.group] if source.group else []), *([source.label] if by_label else [])]
            reader.require(*columns)
            blocks += _frames(_unlabelled_records(source, _watched(reader, bar.update), by_label, counts))
    _check_counts(folder, source, counts, ["unlabelled"])
    if not counts["rows"]["unlabelled"]:
        raise InputError(f"{folder}: there are no unlabelled reviews")
    reviews = pd.concat(blocks, ignore_index=True)
    reviews.insert(0, "id", "unlabelled-" + (reviews.index + 1).astype("str"))
    return reviews


def require_classes(labels: pd.Series, reviews: str) -> None:
    """Check that there are reviews of both classes; `reviews` is how the error line names them.

    Raises:
        InputError: there are not.
    """
    if labels.nunique() < len(LABELS):
        only = f"is {LABELS[labels.iloc[0]]}" if len(labels) else "was dropped"
        raise InputError(f"{reviews} {only}; both classes are needed")


def _readers(folder: Path, source: Source, needed: Sequence[Split]) -> Iterator[tuple[Split | None, Reader]]:
    """A reader for each entry of `files`, or each file of a Hub dataset, and its split if that is known."""
    if source.hub:
        yield from _hub_readers(source, needed)
        return
    by_split = source.files if isinstance(source.files, dict) else {None: source.files or []}
    for split, files in by_split.items():
        for reader in _file_readers(folder, source, "files", files):
            yield split, reader


def _file_readers(folder: Path, source: Source, key: str, files: _Files) -> Iterator[Reader]:
    for file in [files] if isinstance(files, str) else files:
        path = Path(file)
        if path.is_absolute() or ".." in path.parts:  # as written: DVC's links lead elsewhere
            raise InputError(f"{folder / 'dataset.yaml'}: {key}: {file!r} lies outside {folder}")
        yield Reader(folder / path, layout=source.layout)


def _unlabelled_readers(folder: Path, source: Source) -> Iterator[Reader]:
    """A reader for each entry of `unlabelled`, or each file of that split of a Hub dataset."""
    if not source.hub:
        yield from _file_readers(folder, source, "unlabelled", source.unlabelled or [])
    elif source.unlabelled:
        download, files = _hub_snapshot(source)
        by_spelling = {_spelling(split): paths for split, paths in files.items()}
        wanted = _spelling(source.unlabelled)
        if wanted not in by_spelling:
            raise InputError(
                f"{source.hub}: has splits {_listed(files)}, and none named {shortened(source.unlabelled)}, which "
                "`unlabelled` in dataset.yaml names"
            )
        for path in by_spelling[wanted]:
            yield _hub_reader(download, source, "unlabelled", path)


def _hub_snapshot(source: Source) -> tuple[Path, dict[str, list[Path]]]:
    """The folder that a Hub dataset was downloaded to, and the files of each of its splits."""
    from sentiment import hub

    # Not load_dataset(source.hub): where the Hub does not answer, that takes whichever revision was cached last.
    folder = hub.snapshot("dataset", str(source.hub), source.revision, _HUB_FILES).resolve()
    return folder, _hub_files(folder, source)


def _hub_reader(folder: Path, source: Source, split: str, path: Path) -> Reader:
    if not path.is_relative_to(folder) or ".." in path.parts:
        raise InputError(f"{source.hub}: {split}: {path} lies outside the dataset")
    name_of = lambda path: f"{source.hub} {path.relative_to(folder)}"  # noqa: E731
    return Reader(path, layout=source.layout, name=name_of)


def _hub_readers(source: Source, needed: Sequence[Split]) -> Iterator[tuple[Split, Reader]]:
    folder, files = _hub_snapshot(source)
    names = source.split_names()
    chosen: dict[Split, list[Path]] = {}
    for name, paths in files.items():
        split = names.get(_spelling(name))
        if split in chosen:
            raise InputError(
                f"{source.hub}: has splits {_listed(files)}: `splits` in dataset.yaml says which is {split}"
            )
        if split:
            chosen[split] = paths
    if source.test_size and "test" in chosen:
        advice = "leave test_size out, or `splits: {train: train}` takes no other split"
        raise InputError(f"{source.hub}: test_size: there is a test split already; {advice}")
    if lacking := [split for split in (*needed, *(source.splits or {})) if split not in chosen]:
        advice = f"`splits: {{{', '.join(f'{split}: name' for split in needed)}}}` in dataset.yaml names them"
        if lacking == ["test"] and not source.splits:
            advice = f"{_CUT}, or {advice}"
        raise InputError(f"{source.hub}: has splits {_listed(files)}, and none for {lacking[0]}; {advice}")
    for split in SPLITS:
        for path in chosen.get(split, []):
            yield split, _hub_reader(folder, source, split, path)


def _hub_files(folder: Path, source: Source) -> dict[str, list[Path]]:
    """The files of each split of a downloaded dataset, as its README.md or their names tell."""
    import datasets  # late: it takes a second, and most datasets are files

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # else an error is more than its one line
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        try:
            configs = datasets.get_dataset_config_names(str(folder))
            config = source.config or datasets.get_dataset_default_config_name(str(folder))
            if config in configs:
                builder = datasets.load_dataset_builder(str(folder), config, cache_dir=scratch)
                files = builder.config.data_files or {}
                return {str(split): [Path(file) for file in paths] for split, paths in files.items()}
        except Exception as error:  # whatever is wrong with its README.md, or the names of its files
            raise InputError(f"{source.hub}: its files cannot be told apart: {reason(error)}") from error
    fault = f"has no configuration {config!r}" if config else "has several configurations"
    raise InputError(f"{source.hub}: {fault}: `config` in dataset.yaml names one of: {_listed(configs)}")


def _listed(names: Iterable[object]) -> str:
    return one_line(", ".join(map(str, names)))


def _has_split_column(source: Source) -> bool:
    """Whether the rows of a file whose split is not known say it."""
    return source.test_size is None or source.splits is not None


def _watched(reader: Reader, advance: Advance) -> Iterator[Row]:
    """The rows of a reader; now and then, `advance` takes how many bytes more of its files are read."""
    before = 0.0
    for number, row in enumerate(reader):
        if number % 1000 == 0:
            read = reader.size * reader.position() / (reader.total or 1)
            advance(read - before)
            before = read
        yield row
    advance(reader.size - before)


def _frames(records: Iterator[dict[str, Any]]) -> Iterator[pd.DataFrame]:
    """Records as tables of at most _BLOCK rows: labels as numbers, all else as text."""
    while block := list(islice(records, _BLOCK)):
        frame = pd.DataFrame.from_records(block)
        kinds = dict.fromkeys(frame.columns, "str")
        yield frame.astype(kinds | ({"label": "int64"} if "label" in kinds else {}))


def _unlabelled_records(
    source: Source, rows: Iterable[Row], by_label: bool, counts: dict[str, Counter[str]]
) -> Iterator[dict[str, Any]]:
    """The reviews of a table as `load_unlabelled` returns them, but for the id; counted.

    `by_label`: of all rows, those are meant whose label is one of `labels: {unlabelled: …}`.

    Raises:
        InputError: the first fault, with its place.
    """
    wanted = source.spellings()["unlabelled"]
    for row in rows:
        try:
            if by_label and _spelling(row.value(source.label)) not in wanted:
                continue
            record = {"text": row.text(*source.texts)}
            if source.group:
                record["group"] = str(_given(row, source.group))
        except InputError as error:
            raise InputError(f"{row.place}: {error}") from None
        _count(row, source, "unlabelled", counts)
        yield record


def _records(
    source: Source, split: Split | None, rows: Iterable[Row], counts: dict[str, Counter[str]]
) -> Iterator[dict[str, Any]]:
    """The reviews of a table as `load` returns them, but for the id; counted by split.

    Raises:
        InputError: the first fault, with its place.
    """
    used = {*source.texts, source.label, source.split, source.group, *_TAKEN, "split", "text", "label"}
    spellings, names = source.spellings(), source.split_names()
    meaning = {spelling: at for at, label in enumerate(LABELS) for spelling in sorted(spellings[label.lower()])}
    known = split or (None if _has_split_column(source) else "train")
    for row in rows:
        try:
            of = known or _split(row, source, names)
            if of is None:
                continue
            label = _label(row, source, of, meaning, spellings["ignore"] | spellings["unlabelled"])
            if label is None:
                counts["ignored"][of] += _spelling(row.value(source.label)) in spellings["ignore"]
                continue
            record: dict[str, Any] = {"split": of, "text": row.text(*source.texts), "label": label}
            if source.group:
                record["group"] = str(_given(row, source.group))
            for column in row.values:
                if column not in used:
                    record[column] = row.shown(column)
        except InputError as error:
            raise InputError(f"{row.place}: {error}") from None
        _count(row, source, of, counts)
        yield record


def _count(row: Row, source: Source, split: str, counts: dict[str, Counter[str]]) -> None:
    counts["rows"][split] += 1
    texts = (row.values.get(column) for column in source.texts)
    counts["text_bytes"][split] += sum(len(text.encode()) for text in texts if isinstance(text, str))


def _split(row: Row, source: Source, names: dict[str, Split]) -> Split | None:
    """The split of a row; None: it is of one that `splits` does not name."""
    try:
        value = row.value(source.split)
    except InputError as error:
        raise error if row.fault else InputError(f"{error} ({_CUT})") from None
    split = names.get(_spelling(value))
    if split is None and source.splits is None:
        fault = f"{one_line(source.split, 80)} {shortened(value)} is not allowed; allowed: {', '.join(SPLITS)}"
        raise InputError(f"{fault}; `splits: {{train: name, test: name}}` in dataset.yaml gives other names")
    return split


def _label(row: Row, source: Source, split: Split, meaning: dict[str, int], ignored: set[str]) -> int | None:
    """The label of a row, as an index into LABELS; None: the row is to be left out."""
    value = row.value(source.label)
    spelling = _spelling(value)
    label = meaning.get(spelling)
    if label is None and spelling not in ignored:
        fault = (
            f"{shortened(value)} is not allowed; allowed: {one_line(', '.join(meaning), 100)}; there are two classes"
        )
        if not spelling:
            fault = "is missing; every review needs one"
        raise InputError(f"{one_line(source.label, 80)} {fault}; {_label_advice(source, split, value)}")
    return label


def _label_advice(source: Source, split: Split, value: object) -> str:
    """How dataset.yaml leaves out rows with this label, or those of a test split without labels."""
    if _spelling(value) == "-1" and split == "test":
        if isinstance(source.files, dict):
            return "-1 often means unlabelled: name another file, or leave out test and use test_size"
        other = "`splits: {train: train, test: validation}`, or `{train: train}` and test_size"
        return f"-1 often means unlabelled: use {other}"
    text = str(value).strip()
    text = one_line(text if _PLAIN.fullmatch(text) else f'"{text}"', 40) if _spelling(value) else "null"
    given = source.labels or {}
    kept = [f"{key}: […]" for key in ("negative", "positive") if key in given]
    ignore = f"ignore: [{'…, ' if given.get('ignore') else ''}{text}]"
    return f"`labels: {{{', '.join([*kept, ignore])}}}` in dataset.yaml leaves such rows out"


def _given(row: Row, column: str) -> Any:
    value = row.value(column)
    if value is None:
        raise InputError(f"{one_line(column, 80)} is missing; every review needs one")
    return value


def _spelling(value: object) -> str:
    """A label or split, so that those which mean the same are equal: in small letters, and 2.0 as 2."""
    if missing(value):
        return ""
    text = str(value).strip().casefold()
    return f"{(Decimal(text) + 0).normalize():f}" if _NUMBER.fullmatch(text) else text


def _check_counts(folder: Path, source: Source, counts: dict[str, Counter[str]], splits: Iterable[str]) -> None:
    """Raise InputError unless each of these splits has what dataset.yaml says."""
    for key in ("rows", "text_bytes"):
        expected = getattr(source, key) or {}
        for split in splits:
            if counts[key][split] != expected.get(split, counts[key][split]):
                raise InputError(
                    f"{folder}: {split} has {counts[key][split]} {key}; dataset.yaml says {expected[split]}"
                )


def _check_presence(folder: Path, source: Source, counts: dict[str, Counter[str]], needed: Sequence[Split]) -> None:
    """Raise InputError unless the splits that are needed or named have reviews."""
    named = source.files if isinstance(source.files, dict) else source.splits or {}
    for split in (*needed, *named):
        if not counts["rows"][split]:
            cut = f"; {_CUT}" if split == "test" and not named else ""
            raise InputError(f"{folder}: there are no {split} reviews{cut}")
