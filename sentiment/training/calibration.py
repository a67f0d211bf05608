"""Calibration: after training, one temperature divides the logits (Guo et al. 2017, arXiv 1706.04599).

It is folded into the last linear layer. So the plain transformers folder and its exports return calibrated
probabilities, and no label changes.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from transformers import PreTrainedModel

from sentiment.model.transformer import last_linear

# If a model makes no error on validation, the loss falls with the temperature without end. A few hundred
# reviews without errors are no reason to be much more certain.
LOWEST, HIGHEST = 0.5, 10.0


class Calibration(NamedTuple):
    """A temperature, and the mean validation loss before and after it."""

    temperature: float
    loss_before: float
    loss: float


def calibrate(model: PreTrainedModel, logits: np.ndarray, labels: np.ndarray) -> Calibration | None:
    """Fit the temperature with the lowest validation loss, and fold it into the model's last linear layer.

    Args:
        model: the classifier; only that layer is changed.
        logits: the model's logits of the validation reviews, shape (reviews, 2).
        labels: indices into LABELS, shape (reviews,).

    Returns:
        None, and the model is unchanged, if its head does not end in a linear layer.
    """
    name = last_linear(model)
    if name is None:
        return None
    found = minimize_scalar(
        lambda exponent: loss(logits / np.exp(exponent), labels),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
    )
    temperature = float(np.exp(found.x))
    with torch.no_grad():
        for parameter in model.get_submodule(name).parameters():
            parameter.div_(temperature)
    return Calibration(temperature, loss(logits, labels), loss(logits / temperature, labels))


def loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of logits, shape (reviews, 2), and indices into LABELS, shape (reviews,)."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(logits)), labels].mean())
