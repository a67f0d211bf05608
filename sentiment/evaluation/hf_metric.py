"""The project's metrics as a metric of the package `evaluate`."""

from typing import Any

import datasets
import evaluate
import numpy as np

from sentiment.metrics.classification import compute


class SentimentMetrics(evaluate.Metric):
    """Accuracy, loss, macro F1, ROC AUC, and precision, recall and F1 of each class.

    Predictions are probabilities of POSITIVE; references are label indices (0 NEGATIVE, 1 POSITIVE). As with
    every metric of `evaluate`, batches can be added one by one. We avoid `evaluate.load` because it downloads
    code.

    >>> SentimentMetrics().compute(predictions=[0.9, 0.2], references=[1, 0])["accuracy"]
    1.0
    """

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True)

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features(
            {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
        )
        return evaluate.MetricInfo(description=str(self.__doc__), citation="", features=features)

    def _compute(self, predictions: list[float], references: list[int]) -> dict[str, Any]:
        return compute(np.asarray(references), np.asarray(predictions))
