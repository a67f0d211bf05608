"""Data of the plots in dvc.yaml: confusion matrix, curves, reliability, and accuracy by slice and set."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from sentiment.labels import LABELS

_WORD_BOUNDS = [0, 50, 100, 200, 400, np.inf]  # of the slices by length
_MAX_VALUES = 30  # a column with more values does not define slices
_NO_SLICES = ["id", "text", "label", "probability", "group", "verdict", "corrected_label"]


def tables(scored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The data of each plot by its name.

    Args:
        scored: prepared reviews with `probability` (of POSITIVE).
    """
    truth, probability = scored["label"].to_numpy(), scored["probability"].to_numpy()
    names = np.array(LABELS)
    false_positive, true_positive, _ = roc_curve(truth, probability)
    precision, recall, _ = precision_recall_curve(truth, probability, drop_intermediate=True)
    share, mean = calibration_curve(truth, probability, n_bins=10, strategy="quantile")
    predicted = (probability >= 0.5).astype(int)
    return {
        "confusion": pd.DataFrame({"actual": names[truth], "predicted": names[predicted]}),
        "roc": pd.DataFrame({"false_positive_rate": false_positive, "true_positive_rate": true_positive}),
        "precision_recall": pd.DataFrame({"recall": recall, "precision": precision}),
        "reliability": pd.DataFrame({"probability": mean, "share_positive": share}),
        "slices": slices(scored),
    }


def accuracy_by_set(scored: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Accuracy on each evaluation set: `set`, `accuracy` and `reviews`.

    Args:
        scored: by name, prepared reviews with `probability` (of POSITIVE).
    """
    right = [(rows["probability"] >= 0.5) == rows["label"] for rows in scored.values()]
    columns = {"accuracy": [each.mean() for each in right], "reviews": [len(each) for each in right]}
    return pd.DataFrame({"set": list(scored), **columns})


def slices(scored: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by review length and by each column of the dataset that has few values, such as genre."""
    right = (scored["probability"] >= 0.5) == scored["label"]
    words = pd.cut(scored["text"].str.split().str.len(), _WORD_BOUNDS, right=False)
    sliced_by: dict[str, pd.Series] = {"words": words.map(_word_range)}
    for column in scored.columns.difference(_NO_SLICES, sort=False):
        if scored[column].nunique() <= _MAX_VALUES:
            sliced_by[column] = scored[column]
    parts = []
    for name, values in sliced_by.items():
        accuracy = right.groupby(values, observed=True).agg(["mean", "size"])
        labels = [f"{name}: {value}" for value in accuracy.index]
        columns = {"slice": labels, "accuracy": accuracy["mean"].array, "reviews": accuracy["size"].array}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _word_range(words: pd.Interval) -> str:
    if words.right == np.inf:
        return f"{words.left:.0f}+"
    return f"{words.left:.0f}-{words.right - 1:.0f}"
