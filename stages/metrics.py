"""The metrics that every classifier here is measured by."""

from typing import Any

import datasets
import evaluate
import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, precision_recall_fscore_support, roc_auc_score

from stages import uncertainty
from stages.labels import LABELS


def report(reviews: pd.DataFrame, probability: np.ndarray) -> dict[str, Any]:
    """What a metrics JSON says of one model on one set of reviews.

    Args:
        reviews: prepared reviews: `label`, and `group` where whole groups are to be drawn for the intervals.
        probability: probabilities of POSITIVE, shape (reviews,).

    Returns:
        The SentimentMetrics, 95 % intervals of accuracy and macro F1 (`_low`, `_high`) and the calibration error.
    """
    truth = reviews["label"].to_numpy()
    found = SentimentMetrics().compute(predictions=probability, references=truth)
    group = reviews["group"].to_numpy() if "group" in reviews else None
    between = uncertainty.intervals(truth, probability, group)
    shown: dict[str, Any] = {}
    for name, value in found.items():
        shown[name] = value
        if name in ("accuracy", "macro_f1"):
            shown |= {f"{name}_low": between[name].low, f"{name}_high": between[name].high}
        if name == "loss":
            shown["calibration_error"] = uncertainty.calibration_error(truth, probability)
    return shown


class SentimentMetrics(evaluate.Metric):
    """Accuracy, loss, macro F1, ROC AUC, and precision, recall and F1 of each class.

    Predictions are probabilities of POSITIVE, references label indices (0 NEGATIVE, 1 POSITIVE); a probability of
    0.5 or more counts as POSITIVE. Computed by scikit-learn; `evaluate.load` is not used because it downloads code.

    >>> SentimentMetrics().compute(predictions=[0.9, 0.2], references=[1, 0])["accuracy"]
    1.0
    """

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Value("float64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description=str(self.__doc__), citation="", features=features)

    def _compute(self, predictions: list[float], references: list[int]) -> dict[str, object]:
        probability, truth = np.asarray(predictions), np.asarray(references)
        predicted = (probability >= 0.5).astype(int)
        each = precision_recall_fscore_support(truth, predicted, labels=[0, 1], zero_division=0.0)
        report: dict[str, object] = {
            "accuracy": float((predicted == truth).mean()),
            "loss": float(log_loss(truth, probability, labels=[0, 1])),
            "macro_f1": float(each[2].mean()),
            "roc_auc": float(roc_auc_score(truth, probability)),
        }
        for index, label in enumerate(LABELS):
            precision, recall, f1 = (float(scores[index]) for scores in each[:3])
            report[label.lower()] = {"precision": precision, "recall": recall, "f1": f1}
        return report
