"""The weights of a blend: logistic regression on the logits of n-grams and encoder."""

import numpy as np
from pydantic import BaseModel, ConfigDict

CLIP = 1e-6  # probabilities are clipped to this distance from 0 and 1, whose logits are infinite


class Weights(BaseModel):
    """The weights of the two models' logits. They also calibrate the sum, so no temperature is needed.

    Attributes:
        ngrams: the weight of the n-grams.
        encoder: the weight of the encoder, such as a fine-tuned transformer.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    ngrams: float
    encoder: float

    def probabilities(self, ngrams: np.ndarray, encoder: np.ndarray) -> np.ndarray:
        """Blended probabilities of POSITIVE, float64 array of shape (reviews,).

        Args:
            ngrams: probabilities of POSITIVE from the n-grams, shape (reviews,).
            encoder: probabilities of POSITIVE from the encoder, for the same reviews.
        """
        # Not a matrix product, whose last bits can depend on the number of reviews.
        return probabilities(self.ngrams * logits(ngrams) + self.encoder * logits(encoder))


def fit(ngrams: np.ndarray, encoder: np.ndarray, labels: np.ndarray) -> Weights:
    """Fit the weights on validation reviews of both labels: logistic regression without an intercept.

    Args:
        ngrams: probabilities of POSITIVE from the n-grams, shape (reviews,).
        encoder: probabilities of POSITIVE from the encoder, for the same reviews.
        labels: indices into LABELS, shape (reviews,).
    """
    of_ngrams, of_encoder = fit_logits(np.column_stack([logits(ngrams), logits(encoder)]), labels)
    return Weights(ngrams=of_ngrams, encoder=of_encoder)


def fit_logits(of_models: np.ndarray, labels: np.ndarray) -> list[float]:
    """Fit one weight per model, with six decimals, as JSON files have them.

    Args:
        of_models: logits of POSITIVE, shape (reviews, models).
        labels: indices into LABELS, shape (reviews,); both labels occur.
    """
    # Imported here because only fitting needs it, and the import takes a second.
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(fit_intercept=False).fit(of_models, labels)
    return [round(weight, 6) for weight in regression.coef_[0].tolist()]


def logits(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, clipped so that they are finite."""
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    log_odds: np.ndarray = np.log(clipped / (1 - clipped))
    return log_odds


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Probabilities from log-odds."""
    with np.errstate(over="ignore"):  # the result is then 0
        sigmoid: np.ndarray = 1 / (1 + np.exp(-logits))
    return sigmoid
