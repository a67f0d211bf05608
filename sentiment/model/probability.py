"""Probability of POSITIVE from the logits of a two-label classifier."""

from collections.abc import Mapping

import numpy as np

from sentiment.labels import LABELS


def positive_probability(logits: np.ndarray, id2label: Mapping[int, str] | Mapping[str, str]) -> np.ndarray:
    """Probability of POSITIVE: the softmax of logits, float64 array of shape (reviews,).

    Args:
        logits: shape (reviews, 2).
        id2label: of the model's config. The order of the labels is read from it, never assumed.
    """
    names = {str(name).upper(): int(index) for index, name in id2label.items()}
    # The same as scipy.special.softmax, whose import takes most of a second.
    odds = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return odds[:, names[LABELS[1]]] / odds.sum(axis=1)
