"""The cascade of a blend: where the n-grams are certain, they decide alone, and the encoder is skipped."""

import math

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sentiment.blend.weights import Weights, fit_logits, logits, probabilities

MIN_REVIEWS = 1000  # validation reviews: with fewer, one changed label would be more than is allowed
MAX_CHANGED = 1 / 1000  # share of the validation reviews whose label the cascade may change


class Cascade(BaseModel):
    """The reviews that the n-grams decide alone, and their probabilities.

    Attributes:
        margin: the n-grams decide where the absolute value of their logit reaches it.
        weight: what their logit is multiplied by there, which calibrates it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    margin: float = Field(ge=0)
    weight: float = Field(gt=0)

    def decides(self, ngrams: np.ndarray) -> np.ndarray:
        """Whether the n-grams decide each review: array of bool, shape (reviews,).

        Args:
            ngrams: probabilities of POSITIVE from the n-grams, shape (reviews,).
        """
        certain: np.ndarray = np.abs(logits(ngrams)) >= self.margin
        return certain

    def probabilities(self, ngrams: np.ndarray) -> np.ndarray:
        """Probabilities of POSITIVE where the n-grams decide, float64 array of shape (reviews,).

        Args:
            ngrams: probabilities of POSITIVE from the n-grams, shape (reviews,).
        """
        return probabilities(self.weight * logits(ngrams))


def choose(weights: Weights, ngrams: np.ndarray, encoder: np.ndarray, labels: np.ndarray) -> Cascade | None:
    """Choose the smallest margin with which at most MAX_CHANGED of the blend's labels change.

    Args:
        weights: of the blend.
        ngrams: probabilities of POSITIVE from the n-grams on validation reviews, shape (reviews,).
        encoder: probabilities of POSITIVE from the encoder, for the same reviews.
        labels: indices into LABELS, shape (reviews,).

    Returns:
        The cascade; None if there are fewer than MIN_REVIEWS reviews, or if the n-grams would decide too few
        to calibrate their probabilities.
    """
    if len(labels) < MIN_REVIEWS:
        return None
    certainty = np.abs(logits(ngrams))
    changed = (ngrams >= 0.5) != (weights.probabilities(ngrams, encoder) >= 0.5)
    # The least certain review that may not be decided: the one whose label is the first too many to change.
    most_certain_first = np.argsort(-certainty, kind="stable")
    too_many = np.cumsum(changed[most_certain_first]) > MAX_CHANGED * len(labels)
    limit = certainty[most_certain_first][too_many].max(initial=-math.inf)
    # At least one review remains, because MIN_REVIEWS allows one changed label.
    margin = rounded_up(certainty[certainty > limit].min())
    decided = certainty >= margin
    if len(set(labels[decided].tolist())) < 2:
        return None
    (weight,) = fit_logits(logits(ngrams[decided])[:, None], labels[decided])
    return Cascade(margin=margin, weight=weight) if weight > 0 else None


def rounded_up(number: float) -> float:
    """The next number with at most three decimals."""
    return math.ceil(number * 1000) / 1000
