"""Classifiers: the calls that every one of them answers, whether in PyTorch, ONNX Runtime or scikit-learn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from sentiment import progress
from sentiment.errors import InputError
from sentiment.progress import Advance

if TYPE_CHECKING:
    from sentiment.model.encoding import Encoder


class Classifier(Protocol):
    """Gives reviews their probability of POSITIVE.

    Attributes:
        independent: whether a score depends on its own text alone, not on the reviews scored in the same call.
    """

    independent: bool

    def probabilities(self, texts: Sequence[str], advance: Advance = progress.ignore) -> np.ndarray:
        """Probability of POSITIVE for normalised reviews: float64 array of shape (reviews,).

        `advance` takes how many of them more are scored.
        """

    def warning(self) -> str | None:
        """A line for people if the model knew little of what it has scored, else None."""


@runtime_checkable
class TokenClassifier(Classifier, Protocol):
    """A classifier that reads token ids, and can be shared by threads that score one batch each."""

    encoder: "Encoder"

    def share_threads(self) -> int:
        """Leave the threads to the caller: how many may from now on each score one batch at a time."""

    def next_batch(self, lengths: Sequence[int]) -> list[int]:
        """Rows of waiting reviews, of so many tokens each, to score in one call; the first is among them."""

    def probabilities_of_batch(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Probability of POSITIVE for the token ids of such reviews, by the calling thread alone: shape (reviews,)."""


def check_exists(path: Path) -> None:
    """Raise InputError unless there is a classifier at a path."""
    if not (path.is_file() and path.suffix == ".npz") and not (path / "config.json").is_file():
        raise InputError(f"{path}: no classifier there; `dvc repro` trains one, `dvc pull` fetches one")
