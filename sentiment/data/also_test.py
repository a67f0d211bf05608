"""Evaluation sets beside the test split: the datasets that `also_test` of params.yaml names."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sentiment.data import corrections, dataset
from sentiment.data.schema import read_source
from sentiment.errors import InputError
from sentiment.validation import listed

FOLDER = Path("data/also_test")
_KEY = "params.yaml: also_test"
# Names with another meaning in the folders of evaluation sets: splits of the dataset, and `none`.
_RESERVED = ("none", "test", "train", "unlabelled", "validation")


def path(name: str) -> Path:
    """The file with the prepared reviews of an evaluation set: the columns of data/prepared/test.parquet."""
    return FOLDER / f"{name}.parquet"


def check_names(names: Sequence[str], trained_on: str) -> None:
    """Check the names in `also_test`, without reading any reviews; `trained_on` is the name of the dataset.

    Raises:
        InputError: a name is not allowed, is the dataset itself, or is no dataset in data/, or its
            dataset.yaml has a fault or gives it no test split of its own.
    """
    for name in names:
        if name in _RESERVED:
            raise InputError(f"{_KEY}: {name!r} has another meaning; rename data/{name}")
        if name == trained_on:
            raise InputError(
                f"{_KEY}: {name!r} is the dataset itself, whose test split is always evaluated; "
                "name another dataset"
            )
        source = read_source(name, "also_test")
        if source.test_size is not None:
            raise InputError(
                f"{_KEY}: data/{name} has no test split of its own; "
                f"files: {{test: file}} in data/{name}/dataset.yaml names one, instead of test_size"
            )


def remove_others(names: Sequence[str]) -> None:
    """Remove the files of all other sets, because the stages that evaluate depend on the whole folder.

    If there are no sets, a file keeps the empty folder in Git. Otherwise, a fresh clone lacks the folder, so
    that `dvc repro --allow-missing` knows that its files are missing.
    """
    FOLDER.mkdir(exist_ok=True)
    keep = FOLDER / ".gitkeep"
    if names:
        keep.unlink(missing_ok=True)
    else:
        keep.touch()
    for file in FOLDER.glob("*.parquet"):
        if file not in map(path, names):
            file.unlink()


def load(name: str) -> pd.DataFrame:
    """The test split of a dataset, as `dataset.load` returns it, and the corrected labels if it has any.

    Raises:
        InputError: the dataset has a fault, no test reviews, or only one class in them.
    """
    reviews = dataset.load(name, needed=["test"]).reviews
    test = reviews[reviews["split"] == "test"].reset_index(drop=True)
    return corrections.with_corrected_labels(test)


def read_prepared(names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The prepared reviews of each of these sets.

    Raises:
        InputError: a set is missing.
    """
    missing = [name for name in names if not path(name).exists()]
    if missing:
        raise InputError(f"{FOLDER}: {listed(missing)} missing; `dvc repro` prepares them")
    return {name: pd.read_parquet(path(name)) for name in names}
