"""Datasets: all reviews that dataset.yaml describes, read in one pass over the files, each row checked."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sentiment.data import existing_splits
from sentiment.data.labels import CLASSES, LabelColumn, Meaning, spelling
from sentiment.data.parts import Part, find_parts
from sentiment.data.reader import Reader
from sentiment.data.row import AbsentError, Row
from sentiment.data.schema import (
    DATA,
    NO_TRAIN_ADVICE,
    SPLITS,
    TEST_SIZE_ADVICE,
    Source,
    Split,
    SplitOrUnlabelled,
    read_source,
)
from sentiment.errors import InputError, one_line
from sentiment.labels import LABELS
from sentiment.progress import Advance, Progress
from sentiment.validation import shortened

_ROWS_FOR_ADVICE = 100_000  # rows that are read again for advice about an unknown label
_BLOCK = 50_000  # records that are Python objects at the same time; a frame takes a fraction of their memory
# Columns that the pipeline itself makes.
_OWN_COLUMNS = {"id", "text", "label", "split", "group", "probability"}


class Dataset(NamedTuple):
    """A dataset as `load` reads it.

    Attributes:
        source: the content of dataset.yaml.
        reviews: one row per review with a label: `id` (split and number, such as test-17, counted from 1),
            `split` (train, validation or test; no test if `test_size` holds one out), `text` (normalised),
            `label` (index into LABELS), `group` if dataset.yaml names one, and as text all other columns
            except those named like a column that the pipeline makes.
        unlabelled: one row per review without a label: `id` (such as unlabelled-17), `text`, and `group` if
            dataset.yaml names one.
        ignored: the number of rows that `labels` in dataset.yaml leaves out.
        without_text: the number of rows without text that `empty_text` in dataset.yaml leaves out.
    """

    source: Source
    reviews: pd.DataFrame
    unlabelled: pd.DataFrame
    ignored: int
    without_text: int


def load(name: str, needed: Sequence[Split] = ("train", "test")) -> Dataset:
    """Read, check and normalise the dataset in data/<name>/.

    Args:
        name: the folder.
        needed: splits that the dataset must have.

    Raises:
        InputError: the first fault, with its file and row.
    """
    source, folder = read_source(name), DATA / name
    if source.test_size is not None:
        needed = [split for split in needed if split != "test"]
    if not source.labels_training:
        needed = [split for split in needed if split != "train"]
    parts = find_parts(folder, source, needed)
    labelled = [part for part in parts if part.split != "unlabelled"]
    rows = _Rows(source, _label_column(source, labelled))
    paths: list[Path] = []
    for part in labelled:
        paths += part.reader.paths
    existing_splits.refuse_file_names(folder, source, paths)
    with Progress(f"reading {folder}", sum(part.reader.size for part in parts), "B") as bar:
        for part in parts:
            _require_columns(source, part)
            rows.read(part, bar.update)
    rows.check(folder, needed)
    reviews, unlabelled = rows.labelled.frame(), rows.unlabelled.frame()
    for split, labels in reviews.groupby("split")["label"]:
        require_classes(labels, f"{folder}: every {split} review")
    reviews.insert(0, "id", reviews["split"] + "-" + (reviews.groupby("split").cumcount() + 1).astype(str))
    unlabelled.insert(0, "id", "unlabelled-" + (unlabelled.index + 1).astype("str"))
    return Dataset(source, reviews, unlabelled, rows.ignored, rows.without_text)


def require_classes(labels: pd.Series, reviews: str) -> None:
    """Check that there are reviews of both classes; `reviews` is how the error calls them.

    Raises:
        InputError: there are not.
    """
    if labels.nunique() < len(LABELS):
        only = f"is {LABELS[labels.iloc[0]]}" if len(labels) else "was dropped"
        raise InputError(f"{reviews} {only}; both classes are needed")


def _label_column(source: Source, parts: Iterable[Part]) -> LabelColumn:
    """The label column, with the meaning of its values by dataset.yaml and the data's own class names."""
    column = LabelColumn(source.label, source.label_values, source.listed_labels)
    for part in parts:
        for where, names in part.reader.class_names(source.label).items():
            column.add(where, names, part.class_names, f"the card of {source.hub}")
    return column


def _require_columns(source: Source, part: Part) -> None:
    """Check that the files of a part have the columns that dataset.yaml names; JSON is checked row by row."""
    columns = list(source.texts)
    if part.split != "unlabelled":
        columns.append(source.label)
    if source.group:
        columns.append(source.group)
    part.reader.require(*columns)
    if part.split is None and source.rows_name_splits:
        try:
            part.reader.require(source.split)
        except InputError as error:
            advice = f"{TEST_SIZE_ADVICE}, or files: {{train: file, test: file}} names them"
            raise InputError(f"{error}; {advice}") from None


class _Table:
    """Collects records into a frame; at most _BLOCK of them are Python objects at the same time."""

    def __init__(self, *columns: str):
        self._records: list[dict[str, Any]] = []
        self._blocks: list[pd.DataFrame] = []
        self._columns = columns  # if there are no records

    def add(self, record: dict[str, Any]) -> None:
        self._records.append(record)
        if len(self._records) == _BLOCK:
            self.end_block()

    def end_block(self) -> None:
        """Turn the latest records into a frame: labels into integers, all else into text."""
        if self._records:
            block = pd.DataFrame.from_records(self._records)
            kinds = dict.fromkeys(block.columns, "str")
            if "label" in kinds:
                kinds["label"] = "int64"
            self._blocks.append(block.astype(kinds))
            self._records = []

    def frame(self) -> pd.DataFrame:
        """All records, as one frame."""
        if not self._blocks:
            return pd.DataFrame(columns=list(self._columns), dtype="str")
        return pd.concat(self._blocks, ignore_index=True)


class _Rows:
    """The rows of a dataset, read part by part, and their counts.

    Attributes:
        labelled: the reviews with a label, as `load` returns them except for `id`.
        unlabelled: those without.
        counts: by `rows` and `text_bytes`, the keys of dataset.yaml: of the reviews of each split.
        ignored, without_text: the number of rows left out.
    """

    def __init__(self, source: Source, labels: LabelColumn):
        self._source, self._labels = source, labels
        self._used = {*_OWN_COLUMNS, *source.texts, source.label, source.split, source.group}
        self._some_labels_mean_unlabelled = bool(source.label_values["unlabelled"])
        self.labelled, self.unlabelled = _Table("split", "text", "label"), _Table("text")
        self.counts: dict[str, Counter[str]] = {"rows": Counter(), "text_bytes": Counter()}
        self.ignored = self.without_text = 0

    def read(self, part: Part, advance: Advance) -> None:
        """Read all rows of a part; `advance` takes the number of bytes read.

        Raises:
            InputError: the first fault, with its place.
        """
        source, rows = self._source, _watched(part.reader, advance)
        if part.split != "unlabelled" and source.test_size is not None and source.splits is None:
            rows = existing_splits.refuse_split_columns(source, rows, part.split)
        for row in rows:
            try:
                self._add(row, part)
            except InputError as error:
                raise InputError(f"{row.place}: {error}") from None
        self.labelled.end_block()
        self.unlabelled.end_block()

    def check(self, folder: Path, needed: Sequence[Split]) -> None:
        """Check the number of reviews in each split.

        Raises:
            InputError: a split has other counts than dataset.yaml says, or one that is needed or named has no
                reviews.
        """
        source = self._source
        for key, counts in self.counts.items():
            for split, count in (getattr(source, key) or {}).items():
                if counts[split] != count:
                    raise InputError(
                        f"{folder}: {split} has {counts[split]} {key}; dataset.yaml says {count}"
                    )
        expected: list[SplitOrUnlabelled] = [*needed, *source.named_splits]
        if source.names_unlabelled:
            expected.append("unlabelled")
        for split in expected:
            if not self.counts["rows"][split]:
                advice = f"; {TEST_SIZE_ADVICE}" if split == "test" and not source.named_splits else ""
                if split == "train" and source.names_unlabelled and not source.named_splits:
                    advice = f"; {NO_TRAIN_ADVICE}"
                omitted = self.ignored + self.without_text
                if omitted:
                    advice += f"; {omitted} rows were left out, as dataset.yaml says"
                raise InputError(f"{folder}: there are no {split} reviews{advice}")

    def _add(self, row: Row, part: Part) -> None:
        """Add the review of a row, unless dataset.yaml says to leave it out."""
        if self._lacks_text(row):
            self.without_text += 1
            return
        if part.split == "unlabelled":
            self._add_review(row, "unlabelled")
            return
        split = self._split(row, part)
        if split is None and not self._some_labels_mean_unlabelled:
            return
        meaning = self._labels.meaning(row)
        if meaning == "unlabelled":
            self._add_review(row, "unlabelled")
        elif split is None:
            return
        elif meaning is None:
            raise InputError(self._label_fault(row, split, part))
        elif meaning == "ignore":
            self.ignored += 1
        else:
            self._add_review(row, split, meaning)

    def _add_review(self, row: Row, split: SplitOrUnlabelled, meaning: Meaning | None = None) -> None:
        """Add a review to the table of its kind, and count it."""
        source = self._source
        record: dict[str, Any] = {"text": self._text(row)}
        if meaning:
            record = {"split": split, **record, "label": CLASSES.index(meaning)}
        if source.group:
            record["group"] = str(_group(row, source.group))
        if meaning:
            for column in row.values:
                if column not in self._used:
                    record[column] = row.shown(column)
            self.labelled.add(record)
        else:
            self.unlabelled.add(record)
        self.counts["rows"][split] += 1
        for column in source.texts:
            text = row.values.get(column)
            if isinstance(text, str):
                self.counts["text_bytes"][split] += len(text.encode())

    def _text(self, row: Row) -> str:
        try:
            return row.text(*self._source.texts)
        except AbsentError as error:
            if row.values.keys().isdisjoint(self._source.texts):  # then the name of the column may be wrong
                raise
            raise InputError(f"{error}; `empty_text: ignore` in dataset.yaml leaves such rows out") from None

    def _lacks_text(self, row: Row) -> bool:
        """Whether a row is left out because it has no text."""
        if self._source.empty_text is None:
            return False
        try:
            row.text(*self._source.texts)
        except AbsentError:
            return True
        except InputError:
            return False  # another fault, which is reported if the row is used
        return False

    def _split(self, row: Row, part: Part) -> Split | None:
        """The split of a row with a label; None: one that `splits` does not name."""
        source = self._source
        if part.split in SPLITS:
            return part.split
        if not source.rows_name_splits:
            return "train"
        try:
            value = row.value(source.split)
        except InputError as error:
            raise error if row.fault else InputError(f"{error} ({TEST_SIZE_ADVICE})") from None
        split = source.split_names.get(spelling(value))
        if split is None and source.splits is None:
            fault = f"{one_line(source.split, 80)} {shortened(value)} is not allowed"
            raise InputError(
                f"{fault}; allowed: {', '.join(SPLITS)}; "
                "`splits: {train: name, test: name}` in dataset.yaml gives other names"
            )
        return split

    def _label_fault(self, row: Row, split: Split, part: Part) -> str:
        """The error for a label without a meaning, with advice from the first labels of its split."""
        labels = self._labels
        names = {labels.vocabulary(row).name(labels.value(row))}
        for other in islice(part.reader, _ROWS_FOR_ADVICE):
            with suppress(InputError):
                if self._split(other, part) == split:
                    names.add(labels.vocabulary(other).name(labels.value(other)))
        if names - {""} != {"-1"} or split != "test":
            return labels.fault(row, names)
        if isinstance(self._source.files, dict):
            advice = "name another file, or leave out test and use test_size"
        else:
            advice = "use `splits: {train: train, test: validation}`, or `{train: train}` and test_size"
        return labels.fault(row, names, f"-1 often means unlabelled: {advice}")


def _group(row: Row, column: str) -> Any:
    value = row.value(column)
    if value is None:
        raise InputError(f"{one_line(column, 80)} is missing; every review needs one")
    return value


def _watched(reader: Reader, advance: Advance) -> Iterator[Row]:
    """The rows of a reader; every 1000 rows, `advance` takes the number of bytes read since the last call."""
    before = 0.0
    for number, row in enumerate(reader):
        if number % 1000 == 0:
            position = reader.size * reader.position() / (reader.total or 1)
            advance(position - before)
            before = position
        yield row
    advance(reader.size - before)
