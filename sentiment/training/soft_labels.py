"""Soft labels: probabilities of POSITIVE that teachers assign to unlabelled reviews, as training labels.

Self-training with soft labels (Xie et al. 2020, arXiv 1911.04252): a teacher learns from the labelled
reviews, and a student learns from these and from the soft labels. The student may have the same architecture
as the teacher.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sentiment.errors import InputError
from sentiment.labels import LABELS

FOLDER = Path("data/soft_labels")


def path(seed: int) -> Path:
    """The file with the soft labels of one teacher: `id` and `probability` of each unlabelled review."""
    return FOLDER / f"{seed}.parquet"


def remove_others(teachers: Sequence[int]) -> None:
    """Remove the soft labels of all other teachers, because train depends on the whole folder."""
    for file in FOLDER.glob("*.parquet"):
        if file not in map(path, teachers):
            file.unlink()


def mean(unlabelled: pd.DataFrame, teachers: Sequence[int]) -> pd.Series:
    """The mean of the teachers' soft labels of each review, probabilities of POSITIVE, shape (reviews,).

    Args:
        unlabelled: prepared reviews: `id`.
        teachers: seeds of the teachers, at least one.
    """
    by_teacher = [pd.read_parquet(path(seed)).set_index("id")["probability"] for seed in teachers]
    return unlabelled["id"].map(pd.concat(by_teacher, axis=1).mean(axis=1))


def with_unlabelled(train: pd.DataFrame, unlabelled: pd.DataFrame, teachers: Sequence[int]) -> pd.DataFrame:
    """Combine labelled and unlabelled reviews: `text` and `label`, for the latter the mean of the teachers.

    Args:
        train: prepared reviews: `text` and `label`.
        unlabelled: prepared reviews: `id` and `text`. Those that are `held_out` are left out.
        teachers: seeds of the teachers. If there are none, the result is `train`.

    Raises:
        InputError: there are no labelled reviews, and no teachers or only one class in their labels.
    """
    if not teachers and train.empty:
        raise InputError(
            "params.yaml: teachers: the dataset has no labelled training reviews; set teachers to a list "
            "such as [1]"
        )
    if not teachers:
        return train
    if "held_out" in unlabelled:
        unlabelled = unlabelled[~unlabelled["held_out"]]
    labelled = unlabelled.assign(label=mean(unlabelled, teachers))[["text", "label"]]
    if train.empty:
        require_both_classes(labelled["label"])
        return labelled.reset_index(drop=True)
    return pd.concat([train, labelled], ignore_index=True)[["text", "label"]]


def validation(unlabelled: pd.DataFrame, teachers: Sequence[int]) -> pd.DataFrame:
    """The unlabelled reviews that are `held_out`, with the class that the teachers give each as `label`.

    Args:
        unlabelled: prepared reviews: `id`, `text` and `held_out`.
        teachers: seeds of the teachers, at least one.

    Raises:
        InputError: the teachers give all the same class.
    """
    rows = unlabelled[unlabelled["held_out"]].reset_index(drop=True)
    probability = mean(rows, teachers)
    require_both_classes(probability)
    return rows.assign(label=(probability >= 0.5).astype(int))


def require_both_classes(probability: pd.Series) -> None:
    """Check that soft labels are of both classes.

    Raises:
        InputError: they are not.
    """
    classes = (probability >= 0.5).unique()
    if len(classes) < len(LABELS):
        label = LABELS[int(classes[0])]
        raise InputError(
            f"params.yaml: teachers: they label each of {len(probability):,} reviews {label}; "
            "both classes are needed; use another teacher or more reviews"
        )
