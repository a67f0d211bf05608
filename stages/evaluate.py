"""Score models/classifier/ on the test split: metrics/test.json, the predictions, and the plots' data."""

import time

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.metrics import precision_recall_curve, roc_curve

from stages import errors, outputs, parameters, scoring
from stages.labels import LABELS
from stages.metrics import SentimentMetrics


def main() -> None:
    """Evaluate once, and write everything that follows from the predictions."""
    params = parameters.load(parameters.EvaluateParams)
    test = pd.read_parquet("data/prepared/test.parquet")
    scoring.deterministic()
    model, encoder = scoring.load("models/classifier")

    started = time.perf_counter()
    ids, _ = encoder(test["text"])
    logits = scoring.score(model, ids, encoder.tokenizer.pad_token_id, params.precision)
    seconds = time.perf_counter() - started
    probability = softmax(logits.astype(float), axis=1)[:, scoring.positive(model)]

    report = SentimentMetrics().compute(predictions=probability, references=test["label"])
    with outputs.whole("metrics/predictions") as folder:
        folder.mkdir()
        predictions = pd.DataFrame({"id": test["id"], "label": test["label"], "probability": probability})
        predictions.to_parquet(folder / "test.parquet", index=False)
    with outputs.whole("metrics/plots") as folder:
        folder.mkdir()
        for name, table in plots(test["label"].to_numpy(), probability).items():
            table.to_csv(folder / f"{name}.csv", index=False)
    outputs.write_json("metrics/test.json", report)
    outputs.write_json("metrics/speed/evaluate.json", {"seconds": seconds, "reviews_per_second": len(test) / seconds})
    print(f"test accuracy {report['accuracy']:.4f}, macro F1 {report['macro_f1']:.4f} on {len(test):,} reviews")


def plots(truth: np.ndarray, probability: np.ndarray) -> dict[str, pd.DataFrame]:
    """The rows behind each plot: confusion matrix, ROC and precision-recall.

    Args:
        truth: label indices, shape (reviews,).
        probability: probabilities of POSITIVE, shape (reviews,).
    """
    names = np.array(LABELS)
    false_positive, true_positive, _ = roc_curve(truth, probability)
    precision, recall, _ = precision_recall_curve(truth, probability, drop_intermediate=True)
    return {
        "confusion": pd.DataFrame({"actual": names[truth], "predicted": names[(probability >= 0.5).astype(int)]}),
        "roc": pd.DataFrame({"false_positive_rate": false_positive, "true_positive_rate": true_positive}).round(6),
        "precision_recall": pd.DataFrame({"recall": recall, "precision": precision}).round(6),
    }


if __name__ == "__main__":
    errors.run(main)
