"""The schema of dataset.yaml: its keys, what each may contain, and the datasets that have one."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from sentiment.data.files import advice, check_encoding
from sentiment.data.labels import CLASSES, Meaning, spelling
from sentiment.data.layout import Layout
from sentiment.data.quoting import Quoting
from sentiment.data.text import column_name
from sentiment.errors import InputError
from sentiment.labels import SPELLINGS
from sentiment.validation import PRINTABLE, explain, read_yaml, shortened

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SplitOrUnlabelled = Split | Literal["unlabelled"]
DATA = Path("data")
# How messages advise to get a test split where the data has none.
TEST_SIZE_ADVICE = "`test_size: 0.2` in dataset.yaml holds out a test split"
# How messages advise to say that only the test split has labels.
NO_TRAIN_ADVICE = "`splits: {test: test}` in dataset.yaml says that no training reviews have labels"
# Usual names of splits. `eval` is validation for some and test for others: the key `splits` says which.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
}
# Label values that are ignored unless `labels` lists them: aclImdb keeps its unlabelled reviews in a folder
# unsup.
_USUALLY_IGNORED = {"unsup"}
# Names that other tools give to keys of dataset.yaml, by the key; and by advice, names of what is no key
# here.
_OTHER_NAMES = {
    "delimiter": ["sep", "separator", "delim", "field_separator", "fielddelimiter"],
    "quoting": ["quotechar", "quote", "quotes", "quote_char", "escapechar", "doublequote"],
    "encoding": ["charset", "codec", "encoding_errors"],
    "columns": ["names", "column_names", "colnames", "fieldnames"],
    "the first line is the header, unless `columns` names the columns": ["header", "headers", "skiprows"],
    "text": ["text_column", "text_field", "text_columns", "content", "review", "sentence", "body"],
    "label": ["label_column", "label_field", "target", "target_column", "sentiment", "class", "y"],
    "labels": ["label_map", "label_mapping", "label_names", "mapping", "classes", "id2label", "label2id"],
    "it goes within labels: {negative: [values], positive: [values]}": ["negative", "positive"],
    "labels: {ignore: [values]} leaves rows out, and empty_text: ignore does": ["ignore", "skip", "drop"],
    "empty_text": ["dropna", "drop_empty", "skip_empty", "ignore_empty", "empty", "empty_texts"],
    "split": ["split_column", "split_field", "fold"],
    "splits": ["split_names"],
    "it goes within files: {train: file, test: file}": ["train", "validation", "test"],
    "files": ["data_files", "data", "path", "paths", "filename", "filenames", "input"],
    "unlabelled": ["unlabeled", "unsupervised"],
    "corrections": ["correction", "verdicts", "corrected_labels", "label_corrections"],
    "test_size": ["test_share", "test_split", "test_fraction", "holdout"],
    "group": ["groups", "group_column", "film", "movie"],
    "hub": ["dataset", "repo", "repo_id", "dataset_name", "huggingface"],
    "revision": ["commit", "sha"],
    "config": ["subset", "config_name", "configuration"],
    "it is a key of params.yaml": ["validation_size", "split_seed", "max_train_reviews"],
    "a file named .gz, .bz2 or .xz is unpacked": ["compression"],
    "split_seed of params.yaml draws the splits": ["seed"],
}

_File = Annotated[str, Field(pattern=PRINTABLE, max_length=200)]
Files = _File | Annotated[list[_File], Field(min_length=1)]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Counts = dict[SplitOrUnlabelled, _Count]
_Column = Annotated[str, AfterValidator(column_name)]
_Value = str | int | float | bool | None


class Source(BaseModel):
    """The schema of data/<name>/dataset.yaml: either `hub` and `revision`, or `files`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    hints: ClassVar[dict[str, str]] = {name: hint for hint, names in _OTHER_NAMES.items() for name in names}

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
    files: Files | Annotated[dict[Split, Files], Field(min_length=1)] | None = Field(
        None,
        description="a file, a folder, a pattern such as train-*.parquet, a list of these, or "
        "{train: file, validation: file, test: file}; files without labels under the key unlabelled",
    )
    unlabelled: Files | None = Field(
        None,
        description="the name of a split of the Hub dataset or, beside files, a file, a folder, a pattern, "
        "or a list of these",
    )
    delimiter: str | None = Field(
        None, description='one character, such as ";", between the fields of CSV', pattern=r'^[^"\r\n]$'
    )
    columns: list[_Column] | None = Field(
        None, description="names of the columns, of CSV files without a header", min_length=1
    )
    quoting: Quoting | None = Field(
        None,
        description="double (a quote within quotes is written twice), backslash (a quote follows a "
        "backslash), or none (quotes are ordinary characters)",
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
        None,
        description="a share above 0 and below 1 of the training reviews, held out for testing",
        gt=0,
        lt=1,
    )
    text: _Column | Annotated[list[_Column], Field(min_length=1)] = Field(
        "text", description="the name of the column with the review, or a list such as [title, content]"
    )
    label: _Column = Field("label", description="the name of the column with the label")
    split: _Column = Field("split", description="the name of the column that says train, validation or test")
    group: _Column | None = Field(
        None,
        description="the name of a column, such as film: a held-out split shares none of its values with "
        "the others; prepare counts those that splits of the data share",
    )
    labels: dict[Meaning, list[_Value]] | None = Field(
        None,
        description="{negative: [values], positive: [values], unlabelled: [values of rows without a label], "
        "ignore: [values of rows to leave out]}",
    )
    corrections: _File | None = Field(
        None,
        description="a CSV file in the same folder with verdicts on labels, such as corrections.csv",
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
    def _corrections_inside(self) -> "Source":
        if self.corrections is None:
            return self
        path = Path(self.corrections)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"corrections: {self.corrections!r} lies outside the folder of dataset.yaml")
        if path.suffix.lower() != ".csv":
            raise ValueError(f"corrections: {self.corrections!r} is not named .csv")
        return self

    @model_validator(mode="after")
    def _splits_that_differ(self) -> "Source":
        if self.splits is not None and isinstance(self.files, dict):
            raise ValueError("splits: files names the files of each split already; leave splits out")
        names = [spelling(name) for name in (self.splits or {}).values()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"splits: {shortened(name)} names two splits")
        if self.test_size and "test" in self.named_splits:
            raise ValueError(
                "test_size holds out a test split, but there is one already; leave out one of them"
            )
        if self.test_size and self.splits is None and "split" in self.model_fields_set:
            raise ValueError(
                "split names a column with splits, and test_size would hold out a new one: leave test_size "
                "out, or add `splits: {train: train}` to use no other split"
            )
        return self

    @model_validator(mode="after")
    def _labels_that_differ(self) -> "Source":
        values_of = self.label_values
        if not all(values_of.get(meaning) for meaning in CLASSES):
            raise ValueError("labels: both negative and positive need values")
        for (one, values), (other, other_values) in combinations(values_of.items(), 2):
            if shared := sorted(values & other_values):
                raise ValueError(f"labels: {shortened(shared[0])} means both {one} and {other}")
        return self

    @property
    def texts(self) -> list[str]:
        """The columns that contain the review."""
        return [self.text] if isinstance(self.text, str) else self.text

    @property
    def listed_labels(self) -> dict[Meaning, set[str]]:
        """The label values that dataset.yaml lists for each meaning, normalised by `spelling`."""
        listed: dict[Meaning, set[str]] = {}
        for meaning, values in (self.labels or {}).items():
            listed[meaning] = set(map(spelling, values))
        return listed

    @property
    def label_values(self) -> dict[Meaning, set[str]]:
        """The label values for each meaning, listed in dataset.yaml or usual, normalised by `spelling`."""
        listed = self.listed_labels
        values: dict[Meaning, set[str]] = {}
        if listed.keys().isdisjoint(CLASSES):
            values |= zip(CLASSES, SPELLINGS, strict=True)
        values["unlabelled"] = set()
        values["ignore"] = _USUALLY_IGNORED.difference(*listed.values())
        return values | listed

    @property
    def split_names(self) -> dict[str, Split]:
        """The split for each name that the data may give to one, normalised by `spelling`."""
        if not self.splits:
            return SPLIT_NAMES
        return {spelling(name): split for split, name in self.splits.items()}

    @property
    def named_splits(self) -> list[Split]:
        """The splits that dataset.yaml names, under `files` or `splits`."""
        return list(self.files if isinstance(self.files, dict) else self.splits or {})

    @property
    def rows_name_splits(self) -> bool:
        """Whether each row of a file names its split, unless `files` does."""
        return self.test_size is None or self.splits is not None

    @property
    def names_unlabelled(self) -> bool:
        """Whether the dataset includes reviews without labels."""
        return self.unlabelled is not None or bool(self.listed_labels.get("unlabelled"))

    @property
    def labels_training(self) -> bool:
        """Whether there are training reviews with labels.

        There are none if dataset.yaml names reviews without labels, and under `files` or `splits` no train.
        """
        if not self.names_unlabelled or not self.named_splits or self.test_size is not None:
            return True
        return "train" in self.named_splits

    @property
    def labels_validation(self) -> bool:
        """Whether the dataset has labels of the validation reviews; otherwise, teachers label them."""
        return self.labels_training or "validation" in self.named_splits

    @property
    def layout(self) -> Layout:
        """How the files are written, as far as they do not show it themselves."""
        return Layout(self.delimiter, self.columns, self.quoting, self.encoding, self.lines)


def names() -> list[str]:
    """The names of all datasets: the folders of data/ that contain a dataset.yaml."""
    return sorted(path.parent.name for path in DATA.glob("*/dataset.yaml"))


def read_source(name: str, key: str = "dataset") -> Source:
    """Read and check data/<name>/dataset.yaml; `key` is the parameter with the name, for errors.

    Raises:
        InputError: there is no such dataset, or the file has an unknown, missing or disallowed value.
    """
    path = DATA / name / "dataset.yaml"
    if name not in names():
        what_to_do = advice(path) or f"; allowed: {', '.join(names())}, or a new folder with one"
        raise InputError(f"params.yaml: {key}: no {path}{what_to_do}")
    try:
        return Source.model_validate(read_yaml(path))
    except ValidationError as error:
        raise InputError(explain(error, path, Source)) from None


def check_teachers(source: Source, name: str, teachers: Sequence[int], teacher_epochs: int) -> None:
    """Check that teachers label the reviews of a dataset without labelled training reviews.

    Args:
        source: the content of data/<name>/dataset.yaml.
        name: the dataset.
        teachers: the parameter `teachers`.
        teacher_epochs: the parameter `teacher_epochs`.

    Raises:
        InputError: there are no teachers, or they would have to learn from labels.
    """
    if source.labels_training:
        return
    path = DATA / name / "dataset.yaml"
    if not teachers:
        raise InputError(
            f"params.yaml: teachers: {path} names no labelled training reviews; set teachers to a list such "
            "as [1], teacher_model to a model that already classifies reviews, and teacher_epochs to 0"
        )
    if teacher_epochs > 0:
        raise InputError(
            f"params.yaml: teacher_epochs: {teacher_epochs} is not allowed: {path} names no labelled "
            "training reviews for teachers to learn from; allowed: 0, which uses teacher_model as it is"
        )
