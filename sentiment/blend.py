"""Blend of two models that make different mistakes, such as a transformer and the n-gram baseline."""

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression

MARGIN = 1e-6  # probabilities are clipped to this distance from 0 and 1, whose logits are infinite


class Blend:
    """Logistic regression on the logits of two models, fitted on validation reviews.

    It weights the models and calibrates the result.

    Args:
        first: probabilities of POSITIVE from one model, shape (validation reviews,).
        second: probabilities of POSITIVE from the other model, for the same reviews.
        labels: indices into LABELS, shape (validation reviews,).
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, labels: np.ndarray):
        self._regression = LogisticRegression(fit_intercept=False).fit(self._logits(first, second), labels)

    @property
    def weights(self) -> tuple[float, float]:
        """The weights of the two models' logits."""
        first, second = self._regression.coef_[0]
        return float(first), float(second)

    def probabilities(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Blended probabilities of POSITIVE, float64 array of shape (reviews,).

        Args:
            first: probabilities of POSITIVE from the first model, shape (reviews,).
            second: probabilities of POSITIVE from the second model, shape (reviews,).
        """
        blended: np.ndarray = self._regression.predict_proba(self._logits(first, second))[:, 1]
        return blended

    @staticmethod
    def _logits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        probabilities = np.column_stack([first, second])
        return logit(np.clip(probabilities, MARGIN, 1 - MARGIN))
