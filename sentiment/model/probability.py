"""Probability of POSITIVE from the logits of a two-label classifier."""

from collections.abc import Mapping

import numpy as np

from sentiment.labels import LABELS


def positive_probability(logits: np.ndarray, id2label: Mapping[int, str] | Mapping[str, str]) -> np.ndarray:
    """Probability of POSITIVE, float64 array of shape (reviews,), from logits of shape (reviews, 2).

    The order of the labels is read from `id2label` of the model's config, never assumed.
    """
    names = {str(name).upper(): int(index) for index, name in id2label.items()}
    # As scipy.special.softmax, which takes most of a second to import.
    odds = np.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return odds[:, names[LABELS[1]]] / odds.sum(axis=1)
