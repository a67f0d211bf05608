"""Soft labels: probabilities of POSITIVE that teachers assign to unlabelled reviews, as training labels.

Self-training with soft labels (Xie et al. 2020, arXiv 1911.04252): a teacher learns from the labelled
reviews, and a student learns from these and from the soft labels. The student may have the same architecture
as the teacher.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

FOLDER = Path("data/soft_labels")


def path(seed: int) -> Path:
    """The file with the soft labels of one teacher: `id` and `probability` of each unlabelled review."""
    return FOLDER / f"{seed}.parquet"


def remove_others(teachers: Sequence[int]) -> None:
    """Remove the soft labels of all other teachers, because train depends on the whole folder."""
    for file in FOLDER.glob("*.parquet"):
        if file not in map(path, teachers):
            file.unlink()


def with_unlabelled(train: pd.DataFrame, unlabelled: pd.DataFrame, teachers: Sequence[int]) -> pd.DataFrame:
    """Combine labelled and unlabelled reviews: `text` and `label`, for the latter the mean of the teachers.

    Args:
        train: prepared reviews: `text` and `label`.
        unlabelled: prepared reviews: `id` and `text`.
        teachers: seeds of the teachers. If there are none, the result is `train`.
    """
    if not teachers:
        return train
    by_teacher = [pd.read_parquet(path(seed)).set_index("id")["probability"] for seed in teachers]
    mean = pd.concat(by_teacher, axis=1).mean(axis=1)
    labelled = unlabelled.assign(label=unlabelled["id"].map(mean))
    return pd.concat([train, labelled], ignore_index=True)[["text", "label"]]
