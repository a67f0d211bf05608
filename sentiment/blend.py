"""Blends two models that err on different reviews, such as a transformer and the n-gram baseline."""

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

CERTAIN = 1e-6  # probabilities are kept this far from 0 and 1, where logits end


class Blend:
    """Two models' probabilities as one: logistic regression on their logits, fitted on validation reviews.

    It weighs the models, and calibrates what comes of it.

    Args:
        first: probabilities of POSITIVE by one model, shape (validation reviews,).
        second: by the other, the same reviews.
        labels: indices into LABELS.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, labels: np.ndarray):
        self._regression = LogisticRegression(fit_intercept=False).fit(self._logits(first, second), labels)

    @property
    def weights(self) -> tuple[float, float]:
        """The factors of the logits of both models."""
        first, second = self._regression.coef_[0]
        return float(first), float(second)

    def probabilities(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The blended probabilities of POSITIVE, float64 array of shape (reviews,)."""
        blended: np.ndarray = self._regression.predict_proba(self._logits(first, second))[:, 1]
        return blended

    @staticmethod
    def _logits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.column_stack([logit(np.clip(each, CERTAIN, 1 - CERTAIN)) for each in (first, second)])
