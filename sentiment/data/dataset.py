"""Datasets of reviews: the schema of dataset.yaml, and the rows that it describes, checked one by one."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import combinations, islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from sentiment.data.files import FORMATS, advice, check_encoding, ending
from sentiment.data.formats import Layout
from sentiment.data.labels import CLASSES, LabelColumn, spelling
from sentiment.data.quoting import Quoting
from sentiment.data.reader import Reader
from sentiment.data.row import AbsentError, Row
from sentiment.data.text import column_name
from sentiment.errors import InputError, one_line, reason
from sentiment.labels import LABELS, SPELLINGS
from sentiment.progress import Advance, Progress
from sentiment.validation import PRINTABLE, explain, read_yaml, shortened

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
DATA = Path("data")
CHALLENGE = "challenge"  # the dataset of hard reviews that every model is scored on
_MOST_SPLITS = 20  # a column with more values does not name splits
_SURVEYED = 100_000  # rows that are read again for advice about their labels
_BLOCK = 50_000  # reviews that are Python objects at the same time, which take several times the memory of pandas' own
# Of a Hub dataset: what says how it is read, and data; never code or pickles.
_HUB_FILES = ["README.md", ".huggingface.yaml", "*.parquet", "*.csv*", "*.tsv*", "*.json*", "*.ndjson*"]
# Files of JSON that describe a dataset.
_DESCRIPTIONS = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"}
# `eval` is validation to some, test to others; who has it says which by `splits`.
_SPLIT_NAMES: dict[str, Split] = dict.fromkeys(["train", "training"], "train")
_SPLIT_NAMES |= dict.fromkeys(["validation", "valid", "val", "dev", "development"], "validation")
_SPLIT_NAMES |= dict.fromkeys(["test", "testing"], "test")
_SPELLINGS = {
    **dict(zip(("negative", "positive"), SPELLINGS, strict=True)),
    "ignore": {"unsup"},  # the folder of aclImdb without labels
}
_TAKEN = {"id", "group", "probability"}  # columns that only the pipeline itself makes
_CUT = "`test_size: 0.2` in dataset.yaml cuts a test split off"

_File = Annotated[str, Field(pattern=PRINTABLE, max_length=200)]
_Files = _File | Annotated[list[_File], Field(min_length=1)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Counts = dict[Split | Literal["unlabelled"], _Count]
# Names of other tools for keys of dataset.yaml, and where to put what is none of its keys.
_HINTS = {
    **dict.fromkeys(["sep", "separator", "delim", "field_separator", "fielddelimiter"], "delimiter"),
    **dict.fromkeys(["quotechar", "quote", "quotes", "quote_char", "escapechar", "doublequote"], "quoting"),
    **dict.fromkeys(["charset", "codec", "encoding_errors"], "encoding"),
    **dict.fromkeys(["names", "column_names", "colnames", "fieldnames"], "columns"),
    **dict.fromkeys(
        ["header", "headers", "skiprows"], "the first line is the header, unless `columns` names the columns"
    ),
    **dict.fromkeys(
        ["text_column", "text_field", "text_columns", "content", "review", "sentence", "body"], "text"
    ),
    **dict.fromkeys(
        ["label_column", "label_field", "target", "target_column", "sentiment", "class", "y"], "label"
    ),
    **dict.fromkeys(
        ["label_map", "label_mapping", "label_names", "mapping", "classes", "id2label", "label2id"], "labels"
    ),
    **dict.fromkeys(
        ["negative", "positive"], "it goes within labels: {negative: [values], positive: [values]}"
    ),
    **dict.fromkeys(
        ["ignore", "skip", "drop"], "labels: {ignore: [values]} leaves rows out, and empty_text: ignore does"
    ),
    **dict.fromkeys(
        ["dropna", "drop_empty", "skip_empty", "ignore_empty", "empty", "empty_texts"], "empty_text"
    ),
    **dict.fromkeys(["split_column", "split_field", "fold"], "split"),
    **dict.fromkeys(["split_names"], "splits"),
    **dict.fromkeys(["train", "validation", "test"], "it goes within files: {train: file, test: file}"),
    **dict.fromkeys(["data_files", "data", "path", "paths", "filename", "filenames", "input"], "files"),
    **dict.fromkeys(["unlabeled", "unsupervised"], "unlabelled"),
    **dict.fromkeys(["test_share", "test_split", "test_fraction", "holdout"], "test_size"),
    **dict.fromkeys(["groups", "group_column", "film", "movie"], "group"),
    **dict.fromkeys(["dataset", "repo", "repo_id", "dataset_name", "huggingface"], "hub"),
    **dict.fromkeys(["commit", "sha"], "revision"),
    **dict.fromkeys(["subset", "config_name", "configuration"], "config"),
    **dict.fromkeys(["validation_size", "split_seed", "max_train_reviews"], "it is a key of params.yaml"),
    "compression": "a file named .gz, .bz2 or .xz is unpacked",
    "seed": "split_seed of params.yaml draws the splits",
}
_Column = Annotated[str, AfterValidator(column_name)]
_Value = str | int | float | bool | None


class Source(BaseModel):
    """The schema of data/<name>/dataset.yaml: either `hub` and `revision`, or `files`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    hints: ClassVar[dict[str, str]] = _HINTS

    description: str = Field("", description="one line of text")
    license: str = Field("", description="one line of text")
    language: str | None = Field(None, description="a language code such as en", pattern=r"^[a-z]{2,3}$")
    hub: str | None = Field(
        None, description="a Hub dataset such as org/name", pattern=r"^[\w.-]+(/[\w.-]+)?$"
    )
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
        None,
        description="{train: name, validation: name, test: name}, the names that the data has for its splits",
    )
    test_size: float | None = Field(
        None, description="a share above 0 and below 1, cut off for testing", gt=0, lt=1
    )
    text: _Column | Annotated[list[_Column], Field(min_length=1)] = Field(
        "text", description="the name of the column with the review, or a list such as [title, content]"
    )
    label: _Column = Field("label", description="the name of the column with the label")
    split: _Column = Field("split", description="the name of the column that says train, validation or test")
    group: _Column | None = Field(
        None,
        description="the name of a column, such as film, whose values stay together where a split is cut off; prepare "
        "counts those that splits of the data share",
    )
    labels: dict[Literal["negative", "positive", "unlabelled", "ignore"], list[_Value]] | None = Field(
        None,
        description="{negative: [values], positive: [values], unlabelled: [values of rows without a label], "
        "ignore: [values of rows to leave out]}",
    )
    empty_text: Literal["ignore"] | None = Field(None, description="ignore, to leave out rows without text")
    rows: _Counts | None = Field(
        None, description="{train: count, validation: count, test: count, unlabelled: count}"
    )
    text_bytes: _Counts | None = Field(
        None, description="{train: count, validation: count, test: count, unlabelled: count}"
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Source":
        if (self.hub is None) == (self.files is None):
            raise ValueError("needs either hub (with revision) or files")
        if self.hub and not self.revision:
            raise ValueError(
                "hub needs a revision: a commit of 40 hexadecimal digits, so that the data never changes"
            )
        if self.hub and isinstance(self.unlabelled, list):
            raise ValueError("unlabelled: of a Hub dataset it is one name, that of a split")
        if not self.names_unlabelled and "unlabelled" in {*(self.rows or {}), *(self.text_bytes or {})}:
            raise ValueError("unlabelled has counts, and neither unlabelled nor labels names such reviews")
        return self

    @model_validator(mode="after")
    def _splits_that_differ(self) -> "Source":
        if self.splits is not None and isinstance(self.files, dict):
            raise ValueError("splits: files names the files of each split already; leave splits out")
        names = [spelling(name) for name in (self.splits or {}).values()]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"splits: {shortened(twice[0])} stands for two splits")
        official = self.splits or (self.files if isinstance(self.files, dict) else {})
        if self.test_size and "test" in official:
            raise ValueError(
                "test_size cuts a test split off, and there is one already; leave out one of them"
            )
        if self.test_size and self.splits is None and "split" in self.model_fields_set:
            raise ValueError(
                "split names a column with splits, and test_size would cut a new one: leave test_size out, or "
                "`splits: {train: train}` takes no other split"
            )
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
    def given(self) -> dict[str, set[str]]:
        """The values that dataset.yaml lists for each meaning, as `spelling` writes them."""
        return {
            str(key): {spelling(value) for value in values} for key, values in (self.labels or {}).items()
        }

    @property
    def layout(self) -> Layout:
        """How the files are written, where they do not show it themselves."""
        return Layout(self.delimiter, self.columns, self.quoting, self.encoding, self.lines)

    def spellings(self) -> dict[str, set[str]]:
        """The values that mean negative and positive, of no label, and of rows to leave out, as `spelling` writes them."""
        given = self.given
        usual = {} if {"negative", "positive"} & set(given) else _SPELLINGS
        return (
            usual | {"unlabelled": set(), "ignore": _SPELLINGS["ignore"].difference(*given.values())} | given
        )

    @property
    def names_unlabelled(self) -> bool:
        """Whether there are to be reviews without labels."""
        return self.unlabelled is not None or bool((self.labels or {}).get("unlabelled"))

    def split_names(self) -> dict[str, Split]:
        """The names of splits in the data, as `spelling` writes them, and the splits that they stand for."""
        return {spelling(name): split for split, name in self.splits.items()} if self.splits else _SPLIT_NAMES


class Dataset(NamedTuple):
    """A dataset as `load` reads it.

    Attributes:
        source: the content of dataset.yaml.
        reviews: one row a review: `id` (split and row, such as test-17, counted from 1), `split` (train, validation, test;
            no test where test_size is to cut that off), `text` (normalised), `label` (index into LABELS), `group` where
            dataset.yaml names one, then the other columns as text, but for those that have a name which the pipeline gives.
        ignored: how many rows `labels` in dataset.yaml leaves out.
        without_text: how many rows without text `empty_text` in dataset.yaml leaves out.
    """

    source: Source
    reviews: pd.DataFrame
    ignored: int
    without_text: int = 0


class _Part(NamedTuple):
    """An entry of `files`, or a file of a Hub dataset.

    Attributes:
        split: None where the rows say it.
        reader: of its rows.
        names: of the classes, by the dataset's card; None if that names none.
    """

    split: Split | None
    reader: Reader
    names: list[str] | None = None


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
    counts = _counters()
    blocks: list[pd.DataFrame] = []
    needed = [split for split in needed if split != "test" or source.test_size is None]
    parts = list(_parts(folder, source, needed))
    labels = _label_column(source, parts)
    _refuse_to_cut_named_files(folder, source, parts)
    with Progress(f"reading {folder}", sum(part.reader.size for part in parts), "B") as bar:
        for split, reader, _ in parts:
            reader.require(*source.texts, source.label, *([source.group] if source.group else []))
            if split is None and _has_split_column(source):
                try:
                    reader.require(source.split)
                except InputError as error:
                    raise InputError(
                        f"{error}; {_CUT}, or files: {{train: file, test: file}} names them"
                    ) from None
            rows = _watched(reader, bar.update)
            if source.test_size is not None and source.splits is None:
                rows = _without_named_splits(source, split, rows)
            blocks += _frames(_records(source, split, rows, labels, reader, counts))
    reviews = (
        pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=["split", "text", "label"])
    )
    _check_counts(folder, source, counts, SPLITS)
    _check_presence(folder, source, counts, needed)
    for each, labels in reviews.groupby("split")["label"]:
        require_classes(labels, f"{folder}: every {each} review")
    reviews.insert(0, "id", reviews["split"] + "-" + (reviews.groupby("split").cumcount() + 1).astype(str))
    return Dataset(source, reviews, counts["ignored"].total(), counts["without_text"].total())


def load_unlabelled(name: str) -> tuple[pd.DataFrame, int]:
    """Read, check and normalise the reviews without labels that data/<name>/dataset.yaml names, by file, split or label.

    One row a review: `id` (such as unlabelled-17), `text`, and `group` where dataset.yaml names one. There are no rows
    where it names no such reviews. The second value counts the rows without text that `empty_text` leaves out.

    Raises:
        InputError: the first fault found, with its file and row.
    """
    source, folder = read_source(name), DATA / name
    if not source.names_unlabelled:
        return pd.DataFrame(columns=["id", "text"], dtype="str"), 0
    counts = _counters()
    blocks: list[pd.DataFrame] = []
    readers: list[tuple[Reader, LabelColumn | None]] = [
        (each, None) for each in _unlabelled_readers(folder, source)
    ]
    if source.spellings()["unlabelled"]:
        parts = list(_parts(folder, source, needed=[]))
        labels = _label_column(source, parts)
        readers += [(part.reader, labels) for part in parts]
    with Progress(f"reading {folder}, unlabelled", sum(reader.size for reader, _ in readers), "B") as bar:
        for reader, by_label in readers:
            columns = [
                *source.texts,
                *([source.group] if source.group else []),
                *([source.label] if by_label else []),
            ]
            reader.require(*columns)
            blocks += _frames(_unlabelled_records(source, _watched(reader, bar.update), by_label, counts))
    _check_counts(folder, source, counts, ["unlabelled"])
    if not counts["rows"]["unlabelled"]:
        raise InputError(f"{folder}: there are no unlabelled reviews")
    reviews = pd.concat(blocks, ignore_index=True)
    reviews.insert(0, "id", "unlabelled-" + (reviews.index + 1).astype("str"))
    return reviews, counts["without_text"].total()


def require_classes(labels: pd.Series, reviews: str) -> None:
    """Check that there are reviews of both classes; `reviews` is how the error line names them.

    Raises:
        InputError: there are not.
    """
    if labels.nunique() < len(LABELS):
        only = f"is {LABELS[labels.iloc[0]]}" if len(labels) else "was dropped"
        raise InputError(f"{reviews} {only}; both classes are needed")


def _counters() -> dict[str, Counter[str]]:
    """Counts by split."""
    return {key: Counter() for key in ("rows", "text_bytes", "ignored", "without_text")}


def _parts(folder: Path, source: Source, needed: Sequence[Split]) -> Iterator[_Part]:
    """The entries of `files`, or the files of a Hub dataset."""
    if source.hub:
        yield from _hub_parts(source, needed)
        return
    by_split = source.files if isinstance(source.files, dict) else {None: source.files or []}
    for split, files in by_split.items():
        for reader in _file_readers(folder, source, "files", files):
            yield _Part(split, reader)


def _label_column(source: Source, parts: Iterable[_Part]) -> LabelColumn:
    """The label column, whose values mean what dataset.yaml and the names in the data say."""
    column = LabelColumn(source.label, source.spellings(), source.given)
    for part in parts:
        for where, names in part.reader.class_names(source.label).items():
            column.add(where, names, part.names, f"the card of {source.hub}")
    return column


def _refuse_to_cut_named_files(folder: Path, source: Source, parts: Iterable[_Part]) -> None:
    """Raise InputError if `test_size` is to cut a test split off files that are named after several splits."""
    if source.hub or source.test_size is None or source.splits is not None:
        return
    named: dict[Split, str] = {}
    for path in (path for part in parts for path in part.reader.paths):
        inside = path.relative_to(folder)
        if split := path.suffix.lower() != ".txt" and _split_of_name(
            inside
        ):  # of .txt files, folders are a column
            named.setdefault(split, one_line(str(inside), 80))
    if len(named) > 1:
        files = ", ".join(f"{split}: {path}" for split, path in named.items())
        raise InputError(
            f"{folder / 'dataset.yaml'}: test_size would mix files of several splits and cut a new test split; leave "
            f"test_size out and write `files: {{{files}}}`, or let `files` name those for training alone"
        )


def _split_of_name(path: Path) -> Split | None:
    """The split that the name of a file, or else of its folder, stands for: that of train-00000.csv is train."""
    for part in reversed(path.parts):
        splits = {_SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", part.lower()) if word in _SPLIT_NAMES}
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None


def _without_named_splits(source: Source, split: Split | None, rows: Iterable[Row]) -> Iterator[Row]:
    """Pass on the rows that `test_size` cuts a test split off.

    Raises:
        InputError: a column says that they belong to several splits already.
    """
    values: dict[str, set[str]] = {}
    for number, row in enumerate(rows):
        if number == 0:
            others = row.values.keys() - {*source.texts, source.label, source.group}
            named = {name for name in others if spelling(row.values[name]) in _SPLIT_NAMES}
            values = {name: set() for name in sorted(named | others & {source.split})}
        for name in list(values):
            value = spelling(row.values.get(name))
            values[name].add(value)
            if len(values[name]) > _MOST_SPLITS or (name != source.split and value not in _SPLIT_NAMES):
                del values[name]  # a column of something else
        yield row
    for name, those in values.items():
        splits = {_SPLIT_NAMES.get(value) for value in those}
        of_known = splits - {None}
        if of_known and splits != {"train"} and (len(splits) > 1 or (name == source.split and split is None)):
            where, what = row.where, f"column {shortened(name)} says"
            if where.endswith(".txt"):
                where, what = str(Path(where).parents[2]), "its folders are"
            raise InputError(
                f"{where}: {what} {_listed(sorted(those))}, and test_size would mix these splits and cut a new one; "
                f"{_instead_of_test_size(source, name, those)}"
            )


def _instead_of_test_size(source: Source, column: str, values: Iterable[str]) -> str:
    """The ways to keep the splits that a column names."""
    if source.hub:
        return "download the file and name it by `files`, which reads that column"
    named = {_SPLIT_NAMES[value]: value for value in sorted(values) if value in _SPLIT_NAMES}
    training = {"train": named.get("train", "train")} | {
        key: named[key] for key in ("validation",) if key in named
    }
    taken = f"splits: {{{', '.join(f'{key}: {value}' for key, value in training.items())}}}"
    keys = [] if column == "split" else [f"split: {one_line(column, 80)}"]
    if isinstance(source.files, dict):
        keys = ["files: …", *keys]
    keep = keys if "test" in named else [*keys, f"splits: {{train: {training['train']}, test: name}}"]
    kept = "".join(f" and write `{key}`" for key in keep)
    return f"leave test_size out{kept} to keep them, or add {_listed(f'`{key}`' for key in [*keys, taken])} to take no others"


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
        download, files, _ = _hub_snapshot(source)
        by_spelling = {spelling(split): paths for split, paths in files.items()}
        wanted = spelling(source.unlabelled)
        if wanted not in by_spelling:
            raise InputError(
                f"{source.hub}: has splits {_listed(files)}, and none named {shortened(source.unlabelled)}, which "
                "`unlabelled` in dataset.yaml names"
            )
        for path in by_spelling[wanted]:
            yield _hub_reader(download, source, "unlabelled", path)


def _hub_snapshot(source: Source) -> tuple[Path, dict[str, list[Path]], list[str] | None]:
    """The folder that a Hub dataset was downloaded to, the files of each split, and the names of its classes."""
    from sentiment import hub

    # Not load_dataset(source.hub): where the Hub does not answer, that takes whichever revision was cached last.
    folder = hub.snapshot("dataset", str(source.hub), source.revision, _HUB_FILES).resolve()
    if not any(_is_data(path) for path in folder.rglob("*")):
        raise InputError(_no_data(source, _unread_files(source)))
    return folder, *_hub_files(folder, source)


def _is_data(path: Path) -> bool:
    return ending(path)[0] in FORMATS and path.name not in _DESCRIPTIONS


def _unread_files(source: Source) -> list[Path]:
    """The files of a Hub dataset that are neither data in a format that is read nor a description."""
    from sentiment import hub

    files = [Path(name) for name in hub.file_names("dataset", str(source.hub), source.revision)]
    return [
        path for path in files if not path.name.startswith(".") and ending(path)[0] not in (*FORMATS, ".md")
    ]


def _no_data(source: Source, unread: Sequence[Path]) -> str:
    """Why a Hub dataset is refused whose data is in no format that is read."""
    if any(path.suffix == ".py" for path in unread):
        fault = "is a loading script, which is never run"
    else:
        fault = f"its data is in no format that is read, which are {', '.join(FORMATS)}"
    return (
        f"{source.hub}: {fault}; it has {_listed(unread) or 'no data'}. Take a commit of its branch refs/convert/parquet "
        "as the revision, if it has one, or download the data and name it by `files`"
    )


def _hub_reader(folder: Path, source: Source, split: str, path: Path) -> Reader:
    if not path.is_relative_to(folder) or ".." in path.parts:
        raise InputError(f"{source.hub}: {split}: {path} lies outside the dataset")
    name_of = lambda path: f"{source.hub} {path.relative_to(folder)}"  # noqa: E731
    return Reader(path, layout=source.layout, name=name_of)


def _hub_parts(source: Source, needed: Sequence[Split]) -> Iterator[_Part]:
    folder, files, names_of_classes = _hub_snapshot(source)
    names = source.split_names()
    chosen: dict[Split, list[Path]] = {}
    for name, paths in files.items():
        split = names.get(spelling(name))
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
            yield _Part(split, _hub_reader(folder, source, split, path), names_of_classes)


def _hub_files(folder: Path, source: Source) -> tuple[dict[str, list[Path]], list[str] | None]:
    """The files of each split of a downloaded dataset, as its README.md or their names tell, and its classes' names."""
    import datasets  # late: it takes a second, and most datasets are files
    from datasets.info import DatasetInfosDict

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # else an error is more than its one line
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        try:
            configs = datasets.get_dataset_config_names(str(folder))
            config = source.config or datasets.get_dataset_default_config_name(str(folder))
            if config in configs:
                builder = datasets.load_dataset_builder(str(folder), config, cache_dir=scratch)
                files = builder.config.data_files or {}
                by_split = {str(split): [Path(file) for file in paths] for split, paths in files.items()}
                infos = DatasetInfosDict.from_directory(str(folder))
                # A card with one description may name no configuration, or one that is called otherwise.
                only = next(iter(infos.values())).features if len(infos) == 1 else None
                feature = (builder.info.features or only or {}).get(source.label)
                while isinstance(feature, datasets.List):
                    feature = feature.feature
                return by_split, getattr(feature, "names", None)
        except Exception as error:  # whatever is wrong with its README.md, or the names of its files
            if isinstance(error, FileNotFoundError) and (unread := _unread_files(source)):
                raise InputError(_no_data(source, unread)) from error
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
    source: Source, rows: Iterable[Row], labels: LabelColumn | None, counts: dict[str, Counter[str]]
) -> Iterator[dict[str, Any]]:
    """The reviews of a table as `load_unlabelled` returns them, but for the id; counted.

    `labels`: of all rows, those are meant whose label is one of `labels: {unlabelled: …}`.

    Raises:
        InputError: the first fault, with its place.
    """
    for row in rows:
        try:
            if labels and labels.meaning(row) != "unlabelled":
                continue
            if _lacks_text(row, source):
                counts["without_text"]["unlabelled"] += 1
                continue
            record = {"text": _text(row, source)}
            if source.group:
                record["group"] = str(_given(row, source.group))
        except InputError as error:
            raise InputError(f"{row.place}: {error}") from None
        _count(row, source, "unlabelled", counts)
        yield record


def _records(
    source: Source,
    split: Split | None,
    rows: Iterable[Row],
    labels: LabelColumn,
    reader: Reader,
    counts: dict[str, Counter[str]],
) -> Iterator[dict[str, Any]]:
    """The reviews of a table as `load` returns them, but for the id; counted by split. `reader` reads the rows again.

    Raises:
        InputError: the first fault, with its place.
    """
    used = {*source.texts, source.label, source.split, source.group, *_TAKEN, "split", "text", "label"}
    names, known = source.split_names(), split or (None if _has_split_column(source) else "train")
    for row in rows:
        try:
            if _lacks_text(row, source):
                counts["without_text"]["labelled"] += 1
                continue
            of = known or _split(row, source, names)
            if of is None:
                continue
            meaning = labels.meaning(row)
            if meaning is None:
                raise InputError(_label_fault(row, source, of, labels, reader, known))
            if meaning not in CLASSES:
                counts["ignored"][of] += meaning == "ignore"
                continue
            record: dict[str, Any] = {
                "split": of,
                "text": _text(row, source),
                "label": CLASSES.index(meaning),
            }
            if source.group:
                record["group"] = str(_given(row, source.group))
            for column in row.values:
                if column not in used:
                    record[column] = row.shown(column)
        except InputError as error:
            raise InputError(f"{row.place}: {error}") from None
        _count(row, source, of, counts)
        yield record


def _text(row: Row, source: Source) -> str:
    try:
        return row.text(*source.texts)
    except AbsentError as error:
        if row.values.keys().isdisjoint(source.texts):  # then the name of the column may be wrong
            raise
        raise InputError(f"{error}; `empty_text: ignore` in dataset.yaml leaves such rows out") from None


def _lacks_text(row: Row, source: Source) -> bool:
    """Whether a row is to be left out because it has no text."""
    if source.empty_text is None:
        return False
    try:
        row.text(*source.texts)
    except AbsentError:
        return True
    except InputError:
        return False  # another fault, which is reported if the row is used
    return False


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
    split = names.get(spelling(value))
    if split is None and source.splits is None:
        fault = (
            f"{one_line(source.split, 80)} {shortened(value)} is not allowed; allowed: {', '.join(SPLITS)}"
        )
        raise InputError(f"{fault}; `splits: {{train: name, test: name}}` in dataset.yaml gives other names")
    return split


def _label_fault(
    row: Row, source: Source, split: Split, labels: LabelColumn, reader: Reader, known: Split | None
) -> str:
    """Why the label of a row is refused, and what helps, by the labels of the first rows of this split."""
    names, found = source.split_names(), {labels.vocabulary(row).name(labels.value(row))}
    for other in islice(reader, _SURVEYED):
        with suppress(InputError):
            if (known or _split(other, source, names)) == split:
                found.add(labels.vocabulary(other).name(labels.value(other)))
    if found - {""} == {"-1"} and split == "test":
        if isinstance(source.files, dict):
            unlabelled = "name another file, or leave out test and use test_size"
        else:
            unlabelled = "use `splits: {train: train, test: validation}`, or `{train: train}` and test_size"
        return labels.fault(row, found, f"-1 often means unlabelled: {unlabelled}")
    return labels.fault(row, found)


def _given(row: Row, column: str) -> Any:
    value = row.value(column)
    if value is None:
        raise InputError(f"{one_line(column, 80)} is missing; every review needs one")
    return value


def _check_counts(
    folder: Path, source: Source, counts: dict[str, Counter[str]], splits: Iterable[str]
) -> None:
    """Raise InputError unless each of these splits has what dataset.yaml says."""
    for key in ("rows", "text_bytes"):
        expected = getattr(source, key) or {}
        for split in splits:
            if counts[key][split] != expected.get(split, counts[key][split]):
                raise InputError(
                    f"{folder}: {split} has {counts[key][split]} {key}; dataset.yaml says {expected[split]}"
                )


def _check_presence(
    folder: Path, source: Source, counts: dict[str, Counter[str]], needed: Sequence[Split]
) -> None:
    """Raise InputError unless the splits that are needed or named have reviews."""
    named = source.files if isinstance(source.files, dict) else source.splits or {}
    for split in (*needed, *named):
        if not counts["rows"][split]:
            cut = f"; {_CUT}" if split == "test" and not named else ""
            dropped = counts["without_text"].total() + counts["ignored"].total()
            left_out = f"; {dropped} rows were left out, as dataset.yaml says" if dropped else ""
            raise InputError(f"{folder}: there are no {split} reviews{cut}{left_out}")
