"""Metrics, compared with scikit-learn on weighted random cases, and with manual calculations."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, precision_recall_fscore_support, roc_auc_score

from sentiment.evaluation.hf_metric import SentimentMetrics
from sentiment.metrics.classification import METRICS, WeightedMetrics, calibration_error, compute, nested


def scikit_learn_metrics(truth: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """METRICS as scikit-learn computes them."""
    predicted = probability >= 0.5
    each = precision_recall_fscore_support(truth, predicted, labels=[0, 1], zero_division=0.0)
    values: dict[str, float] = {
        "accuracy": float((predicted == truth).mean()),
        "loss": float(log_loss(truth, probability, labels=[0, 1])),
        "macro_f1": float(each[2].mean()),
        "roc_auc": float(roc_auc_score(truth, probability)),
    }
    for index, label in enumerate(("negative", "positive")):
        values |= {
            f"{label}.{name}": float(each[at][index]) for at, name in enumerate(("precision", "recall", "f1"))
        }
    return values


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, 60)
    probability = rng.uniform(0, 1, 60).round(1)  # with ties
    assert compute(truth, probability) == pytest.approx(scikit_learn_metrics(truth, probability))
    # A weight of n equals n copies of the review.
    copies = rng.integers(0, 4, 60)
    repeated = np.repeat(np.arange(60), copies)
    weighted = WeightedMetrics(truth, probability)(copies[None].astype(float))[:, 0]
    expected = scikit_learn_metrics(truth[repeated], probability[repeated])
    assert dict(zip(METRICS, weighted, strict=True)) == pytest.approx(expected)


def test_metrics_equal_a_manual_calculation() -> None:
    # Predicted + + - - +, true + - - + +: two true positives, one false positive, one false negative.
    metrics: dict[str, Any] = nested(compute(np.array([1, 0, 0, 1, 1]), np.array([0.9, 0.6, 0.2, 0.4, 0.5])))
    assert metrics["accuracy"] == pytest.approx(3 / 5)
    assert metrics["positive"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3})
    assert metrics["negative"] == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2})
    assert metrics["macro_f1"] == pytest.approx(7 / 12)
    assert metrics["roc_auc"] == pytest.approx(4 / 6)  # in two of six pairs, 0.4 and 0.5 are below 0.6
    assert metrics["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.4, 0.5]).mean())


def test_a_class_that_is_never_predicted_scores_zero() -> None:
    metrics = compute(np.array([1, 1, 0]), np.array([0.1, 0.2, 0.3]))
    assert (metrics["positive.precision"], metrics["positive.recall"], metrics["positive.f1"]) == (0, 0, 0)
    assert metrics["negative.recall"] == 1


def test_the_metric_for_the_package_evaluate_accepts_batches() -> None:
    truth, probability = np.array([1, 0, 0, 1, 1]), np.array([0.9, 0.6, 0.2, 0.4, 0.5])
    metric = SentimentMetrics()
    for rows in (slice(0, 2), slice(2, 5)):
        metric.add_batch(predictions=probability[rows], references=truth[rows])
    assert metric.compute() == compute(truth, probability)


def test_calibration_error_equals_a_manual_calculation() -> None:
    # Four reviews at a confidence of 0.9, three of them right: a gap of 0.15; two at 0.6, both right: 0.4.
    probability, truth = np.array([0.9, 0.9, 0.1, 0.9, 0.6, 0.4]), np.array([1, 1, 0, 0, 1, 0])
    assert calibration_error(truth, probability) == pytest.approx((4 * 0.15 + 2 * 0.4) / 6)
    assert calibration_error(np.array([1, 0]), np.array([1.0, 0.0])) == 0
