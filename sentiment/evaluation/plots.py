"""The tables behind the plots of dvc.yaml: confusion matrix, curves, reliability, and accuracy by slice."""

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from sentiment.labels import LABELS

_WORDS = [0, 50, 100, 200, 400, np.inf]  # bounds of the slices by length
_MOST_VALUES = 30  # of a column that reviews are sliced by


def tables(scored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows behind each plot, by its name, from prepared reviews with their `probability` (of POSITIVE)."""
    truth, probability = scored["label"].to_numpy(), scored["probability"].to_numpy()
    names = np.array(LABELS)
    false_positive, true_positive, _ = roc_curve(truth, probability)
    precision, recall, _ = precision_recall_curve(truth, probability, drop_intermediate=True)
    share, mean = calibration_curve(truth, probability, n_bins=10, strategy="quantile")
    return {
        "confusion": pd.DataFrame(
            {"actual": names[truth], "predicted": names[(probability >= 0.5).astype(int)]}
        ),
        "roc": pd.DataFrame({"false_positive_rate": false_positive, "true_positive_rate": true_positive}),
        "precision_recall": pd.DataFrame({"recall": recall, "precision": precision}),
        "reliability": pd.DataFrame({"probability": mean, "share_positive": share}),
        "slices": slices(scored),
    }


def slices(scored: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by length of the review and by each column of the dataset that has few values, such as genre."""
    right = (scored["probability"] >= 0.5) == scored["label"]
    words = pd.cut(scored["text"].str.split().str.len(), _WORDS, right=False)
    by: dict[str, pd.Series] = {
        "words": words.map(
            lambda bin: f"{bin.left:.0f}+" if bin.right == np.inf else f"{bin.left:.0f}-{bin.right - 1:.0f}"
        )
    }
    for column in scored.columns.difference(["id", "text", "label", "probability", "group"], sort=False):
        if scored[column].nunique() <= _MOST_VALUES:
            by[column] = scored[column]
    parts = []
    for name, values in by.items():
        accuracy = right.groupby(values, observed=True).agg(["mean", "size"])
        labels = [f"{name}: {value}" for value in accuracy.index]
        columns = {"slice": labels, "accuracy": accuracy["mean"].array, "reviews": accuracy["size"].array}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
