"""Calibration: the temperature has the lowest validation loss, and is part of the weights."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import log_loss
from transformers import BertConfig, BertForSequenceClassification

from sentiment.training.calibration import HIGHEST, LOWEST, calibrate, loss
from tests.conftest import Clone, curve


@pytest.fixture
def model() -> BertForSequenceClassification:
    """A random BERT of one small layer."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    return BertForSequenceClassification(config).eval()


def validation(factor: float, reviews: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by a factor, and labels drawn from the right probabilities."""
    random = np.random.default_rng(0)
    log_odds = random.normal(0, 2, reviews)
    labels = (random.random(reviews) < expit(log_odds)).astype(int)
    return factor * np.column_stack([-log_odds / 2, log_odds / 2]), labels


@pytest.mark.parametrize("factor", [0.8, 1, 3])
def test_the_temperature_corrects_too_large_logits_and_is_part_of_the_weights(
    model: BertForSequenceClassification, factor: float
) -> None:
    logits, labels = validation(factor)
    ids = torch.arange(48).reshape(4, 12)
    with torch.no_grad():
        before = model(ids).logits
        calibrated = calibrate(model, logits, labels)
        after = model(ids).logits
    assert calibrated
    assert calibrated.temperature == pytest.approx(factor, rel=0.08)
    torch.testing.assert_close(after * calibrated.temperature, before)
    assert calibrated.loss_before == pytest.approx(loss(logits, labels))
    for other in (0.9, 1.1):
        assert calibrated.loss < loss(logits / calibrated.temperature / other, labels)


@pytest.mark.parametrize(("right", "expected"), [(1, LOWEST), (0, HIGHEST)])
def test_the_temperature_has_limits(
    model: BertForSequenceClassification, right: int, expected: float
) -> None:
    logits = np.array([[-1.0, 1.0], [-2.0, 2.0]])
    calibrated = calibrate(model, logits, np.full(2, right))
    assert calibrated
    assert calibrated.temperature == pytest.approx(expected, rel=1e-3)


def test_a_head_that_does_not_end_in_a_linear_layer_stays_as_it_is(
    model: BertForSequenceClassification,
) -> None:
    model.classifier = torch.nn.Sequential(torch.nn.Bilinear(16, 16, 2))  # type: ignore[assignment]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert calibrate(model, *validation(3)) is None
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_metrics_and_predictions_of_a_run_are_calibrated(ran: Clone) -> None:
    predictions = pd.read_parquet(ran.folder / "metrics/validation/predictions.parquet")
    metrics = json.loads((ran.folder / "metrics/validation.json").read_text())
    assert metrics["loss"] == pytest.approx(
        log_loss(predictions["label"], predictions["probability"]), abs=1e-4
    )
    right = (predictions["probability"] >= 0.5) == predictions["label"]
    assert metrics["accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    details = ran.details("train")
    assert details["validation_loss"] == pytest.approx(curve(ran, "validation/loss").iloc[-1], abs=1e-6)
    assert metrics["loss"] < details["validation_loss"]
    assert (
        f"calibrated: a temperature of {details['temperature']:.2f} "
        in (ran.folder.parent / "output.txt").read_text()
    )
