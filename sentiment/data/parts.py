"""The parts of a dataset: a reader for each file or pattern in dataset.yaml, and the split of its rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sentiment.data import hub_dataset
from sentiment.data.hub_dataset import HubDataset
from sentiment.data.labels import spelling
from sentiment.data.reader import Reader
from sentiment.data.schema import (
    NO_TRAIN_ADVICE,
    SPLITS,
    TEST_SIZE_ADVICE,
    Files,
    Source,
    Split,
    SplitOrUnlabelled,
)
from sentiment.errors import InputError
from sentiment.validation import listed, shortened


class Part(NamedTuple):
    """An entry of `files` or `unlabelled` in dataset.yaml, or a file of a Hub dataset.

    Attributes:
        split: the split of all its rows; None: each row names its own, or all are for training.
        reader: the reader of its rows.
        class_names: the names of the classes on the card of a Hub dataset; None if there are none.
    """

    split: SplitOrUnlabelled | None
    reader: Reader
    class_names: list[str] | None = None


def find_parts(folder: Path, source: Source, needed: Sequence[Split]) -> list[Part]:
    """List the parts of a dataset, those without labels first.

    Args:
        folder: the folder of dataset.yaml.
        source: its content.
        needed: splits that a Hub dataset must have.

    Raises:
        InputError: a file or a split is missing, or the format of a file is not supported.
    """
    if source.hub:
        return _hub_parts(source, needed)
    entries: list[tuple[SplitOrUnlabelled | None, Files]] = [("unlabelled", source.unlabelled or [])]
    if isinstance(source.files, dict):
        entries += source.files.items()
    else:
        entries.append((None, source.files or []))
    parts = []
    for split, files in entries:
        key = "unlabelled" if split == "unlabelled" else "files"
        for reader in _file_readers(folder, source, key, files):
            parts.append(Part(split, reader))
    return parts


def _file_readers(folder: Path, source: Source, key: str, files: Files) -> Iterator[Reader]:
    for file in [files] if isinstance(files, str) else files:
        path = Path(file)
        if path.is_absolute() or ".." in path.parts:  # as written: links of DVC point outside the folder
            raise InputError(f"{folder / 'dataset.yaml'}: {key}: {file!r} lies outside {folder}")
        yield Reader(folder / path, layout=source.layout)


def _hub_parts(source: Source, needed: Sequence[Split]) -> list[Part]:
    """A part for each file of the splits that are used."""
    dataset = hub_dataset.download(source)
    files_of: dict[SplitOrUnlabelled, list[Path]] = {}
    if source.unlabelled:
        files_of["unlabelled"] = _unlabelled_files(source, dataset)
    labelled = _labelled_files(source, dataset, needed)
    for split in SPLITS:
        files_of[split] = labelled.get(split, [])
    parts = []
    for name, paths in files_of.items():
        for path in paths:
            parts.append(Part(name, _hub_reader(source, dataset, name, path), dataset.class_names))
    return parts


def _unlabelled_files(source: Source, dataset: HubDataset) -> list[Path]:
    for name, paths in dataset.files.items():
        if spelling(name) == spelling(source.unlabelled):
            return paths
    raise InputError(
        f"{source.hub}: has splits {listed(dataset.files)}, but none named {shortened(source.unlabelled)}, "
        "which `unlabelled` in dataset.yaml names"
    )


def _labelled_files(source: Source, dataset: HubDataset, needed: Sequence[Split]) -> dict[Split, list[Path]]:
    """The files of each split with labels.

    Raises:
        InputError: a needed or named split is missing, two have one meaning, or `test_size` meets a test
            split.
    """
    files_of: dict[Split, list[Path]] = {}
    has = f"{source.hub}: has splits {listed(dataset.files)}"
    for name, paths in dataset.files.items():
        split = source.split_names.get(spelling(name))
        if split in files_of:
            raise InputError(f"{has}: `splits` in dataset.yaml says which is {split}")
        if split:
            files_of[split] = paths
    if source.test_size and "test" in files_of:
        advice = "leave test_size out, or add `splits: {train: train}` to use no other split"
        raise InputError(f"{source.hub}: test_size: there is a test split already; {advice}")
    missing = [split for split in (*needed, *source.named_splits) if split not in files_of]
    if missing:
        names = ", ".join(f"{split}: name" for split in needed)
        advice = f"`splits: {{{names}}}` in dataset.yaml names them"
        if missing == ["test"] and not source.splits:
            advice = f"{TEST_SIZE_ADVICE}, or {advice}"
        if missing == ["train"] and source.names_unlabelled and not source.splits:
            advice += f", or {NO_TRAIN_ADVICE}"
        raise InputError(f"{has}, but none for {missing[0]}; {advice}")
    return files_of


def _hub_reader(source: Source, dataset: HubDataset, split: str, path: Path) -> Reader:
    if not path.is_relative_to(dataset.folder) or ".." in path.parts:
        raise InputError(f"{source.hub}: {split}: {path} lies outside the dataset")

    def shown(path: Path) -> str:
        return f"{source.hub} {path.relative_to(dataset.folder)}"

    return Reader(path, layout=source.layout, name=shown)
