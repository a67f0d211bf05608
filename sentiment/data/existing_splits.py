"""Checks that `test_size` does not mix splits that the data already has and hold out a new one."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from sentiment.data.labels import spelling
from sentiment.data.row import Row
from sentiment.data.schema import SPLIT_NAMES, Source, Split
from sentiment.errors import InputError, one_line
from sentiment.validation import listed, shortened

_MOST_SPLITS = 20  # a column with more values than this does not name splits


def refuse_file_names(folder: Path, source: Source, paths: Iterable[Path]) -> None:
    """Check that the files which `test_size` holds out a test split are not named after several splits.

    Raises:
        InputError: they are.
    """
    if source.hub or source.test_size is None or source.splits is not None:
        return
    example_of: dict[Split, str] = {}
    for path in paths:
        inside = path.relative_to(folder)
        split = _split_of_name(inside)
        if split and path.suffix.lower() != ".txt":  # the folders of .txt files are read as a column
            example_of.setdefault(split, one_line(str(inside), 80))
    if len(example_of) > 1:
        files = ", ".join(f"{split}: {path}" for split, path in example_of.items())
        raise InputError(
            f"{folder / 'dataset.yaml'}: test_size would mix files of several splits and hold out a new test "
            f"split; leave test_size out and write `files: {{{files}}}`, or name only the training files "
            "under `files`"
        )


def _split_of_name(path: Path) -> Split | None:
    """The split that a file's name, or else its folder's, contains: train for train-00000.csv."""
    for part in reversed(path.parts):
        words = re.split(r"[^a-z]+", part.lower())
        splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None


def refuse_split_columns(source: Source, rows: Iterable[Row], split: str | None) -> Iterator[Row]:
    """Yield the rows that `test_size` splits, and check that no column assigns them to splits already.

    Args:
        source: the content of dataset.yaml.
        rows: the rows of one part of the dataset.
        split: the split that `files` gives for them; None: it gives none.

    Raises:
        InputError: a column does; raised after the last row.
    """
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    # By column that may name splits: its values.
    values_of: dict[str, set[str]] = {name: set() for name in _columns_of_splits(source, first)}
    for row in chain([first], rows):
        for name in list(values_of):
            value = spelling(row.values.get(name))
            values_of[name].add(value)
            is_split = name == source.split or value in SPLIT_NAMES
            if not is_split or len(values_of[name]) > _MOST_SPLITS:
                del values_of[name]  # a column of something else
        yield row
    for name, values in values_of.items():
        splits = {SPLIT_NAMES.get(value) for value in values}
        if splits <= {None} or splits == {"train"}:
            continue
        if len(splits) > 1 or (name == source.split and split is None):
            raise InputError(_mixed_splits(source, first.where, name, sorted(values)))


def _columns_of_splits(source: Source, row: Row) -> list[str]:
    """The columns that may name splits: the key `split`, and columns with the name of a split in this row."""
    columns = []
    for name in sorted(row.values.keys() - {*source.texts, source.label, source.group}):
        if name == source.split or spelling(row.values[name]) in SPLIT_NAMES:
            columns.append(name)
    return columns


def _mixed_splits(source: Source, where: str, column: str, values: list[str]) -> str:
    """The error for a column that assigns the rows of a file to several splits."""
    subject = f"{where}: column {shortened(column)} says"
    if where.endswith(".txt"):
        subject = f"{Path(where).parents[2]}: its folders are"
    return (
        f"{subject} {listed(values)}, and test_size would mix these splits and hold out a new one; "
        f"{_instead_of_test_size(source, column, values)}"
    )


def _instead_of_test_size(source: Source, column: str, values: list[str]) -> str:
    """Advice on how dataset.yaml can keep the splits that a column names."""
    if source.hub:
        return "download the file and name it under `files`, which reads that column"
    name_of: dict[str, str] = {}
    for value in values:
        if value in SPLIT_NAMES:
            name_of[SPLIT_NAMES[value]] = value
    train = name_of.get("train", "train")
    keys = []
    if isinstance(source.files, dict):
        keys.append("files: …")
    if column != "split":
        keys.append(f"split: {one_line(column, 80)}")
    to_keep = "".join(f" and write `{key}`" for key in keys)
    if "test" not in name_of:
        to_keep += f" and write `splits: {{train: {train}, test: name}}`"
    taken = f"train: {train}"
    if "validation" in name_of:
        taken += f", validation: {name_of['validation']}"
    to_take_no_others = listed(f"`{key}`" for key in [*keys, f"splits: {{{taken}}}"])
    return f"leave test_size out{to_keep} to keep them, or add {to_take_no_others} to use no others"
