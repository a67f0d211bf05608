"""Classifiers: the interface that the models in PyTorch, ONNX Runtime and scikit-learn share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sentiment import progress
from sentiment.errors import InputError
from sentiment.progress import Advance

if TYPE_CHECKING:
    from sentiment.model.encoding import Encoder

# Of the tokens. Models for English lack only a few tokens per thousand of English reviews.
MAX_UNKNOWN_SHARE = 0.03


class Scores(NamedTuple):
    """Scores of reviews, and how many of their tokens the model's vocabulary lacks.

    Attributes:
        probabilities: of POSITIVE, float64 array of shape (reviews,), in the order of the reviews.
        tokens: tokens of all reviews before truncation, without special tokens; 0 for the n-gram baseline.
        unknown: those of them that the vocabulary lacks.
    """

    probabilities: np.ndarray
    tokens: int = 0
    unknown: int = 0


class Classifier(ABC):
    """Scores reviews: the probability that each is POSITIVE.

    Attributes:
        independent: whether a score depends only on its own text, not on the other reviews of the call.
    """

    independent: bool

    @abstractmethod
    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        """Score normalised reviews, at least one.

        Args:
            texts: the reviews, as `data.text.normalise` returns them.
            advance: is called with the number of reviews scored since its last call.

        Raises:
            InputError: there is too little memory for even one review.
        """

    def probabilities(self, texts: Sequence[str], advance: Advance = progress.ignore) -> np.ndarray:
        """The probabilities of `score` alone: float64 array of shape (reviews,)."""
        return self.score(texts, advance).probabilities


class TokenClassifier(Classifier):
    """A classifier that reads token ids; several threads can share it, each scoring one batch at a time.

    Attributes:
        encoder: turns reviews into the token ids that the model reads.
    """

    encoder: "Encoder"

    @abstractmethod
    def share_threads(self) -> int:
        """Let the caller run the threads; return how many may each score one batch at a time from now on."""

    @abstractmethod
    def next_batch(self, lengths: Sequence[int]) -> list[int]:
        """Choose the reviews to score in the next call: indices into `lengths`, always with the first.

        Args:
            lengths: tokens of each waiting review, special tokens included.
        """

    @abstractmethod
    def probabilities_of_batch(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Score a batch that `next_batch` chose, in the calling thread: float64 array of shape (reviews,).

        Args:
            encoded: token ids of each review, special tokens included.
        """


def unknown_tokens_warning(tokens: int, unknown: int) -> str | None:
    """A warning for users if the vocabulary lacks more than MAX_UNKNOWN_SHARE of the tokens, else None.

    Args:
        tokens: tokens of all reviews.
        unknown: those of them that the vocabulary lacks.
    """
    share = unknown / max(tokens, 1)
    if share <= MAX_UNKNOWN_SHARE:
        return None
    return (
        f"warning: {share:.0%} of the reviews' tokens are not in the model's vocabulary, so the model cannot "
        "read them; does it support this language, and emoji?"
    )


def check_exists(path: Path) -> None:
    """Raise InputError unless there is a classifier at a path: a folder, a .npz or a .json file."""
    if not (path.is_file() and path.suffix in (".npz", ".json")) and not (path / "config.json").is_file():
        raise InputError(f"{path}: no classifier there; `dvc repro` trains one, `dvc pull` fetches one")
