"""Score models/classifier/ on the test split and the challenge set: metrics, predictions, and the plots' data."""

import time

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from stages import errors, outputs, parameters, reviews, scoring
from stages.labels import LABELS
from stages.metrics import report

MISTAKES = 20
LENGTHS = [0, 50, 100, 200, 400, np.inf]  # words


def main() -> None:
    """Evaluate once, and write everything that follows from the predictions."""
    params = parameters.load(parameters.EvaluateParams)
    scoring.deterministic()
    model, encoder = scoring.load("models/classifier")
    test = pd.read_parquet("data/prepared/test.parquet")
    _, challenge = reviews.load("challenge", needed=["test"])

    started = time.perf_counter()
    for rows in (test, challenge):
        rows["probability"] = scoring.probabilities(model, encoder, rows["text"], params.precision)
    seconds = time.perf_counter() - started

    with outputs.whole("metrics/predictions") as folder:
        folder.mkdir()
        for name, rows in {"test": test, "challenge": challenge}.items():
            rows[["id", "label", "probability"]].to_parquet(folder / f"{name}.parquet", index=False)
        (folder / "mistakes.md").write_text(mistakes(test), encoding="utf-8")
    with outputs.whole("metrics/plots") as folder:
        folder.mkdir()
        for name, table in plots(test).items():
            table.round(6).to_csv(folder / f"{name}.csv", index=False)
    found = {
        name: report(rows, rows["probability"].to_numpy())
        for name, rows in {"test": test, "challenge": challenge}.items()
    }
    for name, metrics in found.items():
        outputs.write_json(f"metrics/{name}.json", metrics)
        print(
            f"{name} accuracy {metrics['accuracy']:.4f} ({metrics['accuracy_low']:.4f} to {metrics['accuracy_high']:.4f})"
        )
    rate = (len(test) + len(challenge)) / seconds
    outputs.write_json("metrics/speed/evaluate.json", {"seconds": seconds, "reviews_per_second": rate})


def plots(test: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows behind each plot, from test reviews with their `label` and `probability` (of POSITIVE)."""
    truth, probability = test["label"].to_numpy(), test["probability"].to_numpy()
    names = np.array(LABELS)
    false_positive, true_positive, _ = roc_curve(truth, probability)
    precision, recall, _ = precision_recall_curve(truth, probability, drop_intermediate=True)
    share, mean = calibration_curve(truth, probability, n_bins=10, strategy="quantile")
    return {
        "confusion": pd.DataFrame({"actual": names[truth], "predicted": names[(probability >= 0.5).astype(int)]}),
        "roc": pd.DataFrame({"false_positive_rate": false_positive, "true_positive_rate": true_positive}),
        "precision_recall": pd.DataFrame({"recall": recall, "precision": precision}),
        "reliability": pd.DataFrame({"probability": mean, "share_positive": share}),
        "slices": slices(test),
    }


def slices(test: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by length of the review and by each column of the dataset that has few values, such as genre."""
    right = (test["probability"] >= 0.5) == test["label"]
    words = pd.cut(test["text"].str.split().str.len(), LENGTHS, right=False)
    by: dict[str, pd.Series] = {
        "words": words.map(
            lambda bin: f"{bin.left:.0f}+" if bin.right == np.inf else f"{bin.left:.0f}-{bin.right - 1:.0f}"
        )
    }
    for column in test.columns.difference(["id", "text", "label", "probability", "group"], sort=False):
        if test[column].nunique() <= 30:
            by[column] = test[column]
    parts = []
    for name, values in by.items():
        found = right.groupby(values, observed=True).agg(["mean", "size"])
        labels = [f"{name}: {value}" for value in found.index]
        parts.append(pd.DataFrame({"slice": labels, "accuracy": found["mean"].array, "reviews": found["size"].array}))
    return pd.concat(parts, ignore_index=True)


def mistakes(test: pd.DataFrame) -> str:
    """A Markdown table of the most confident mistakes, each review in short."""
    wrong = test[(test["probability"] >= 0.5) != test["label"]]
    worst = wrong.loc[(wrong["probability"] - wrong["label"]).abs().sort_values(ascending=False).index[:MISTAKES]]
    lines = ["| id | label | probability of POSITIVE | review |", "|---|---|---|---|"]
    for row in worst.itertuples():
        text = reviews.in_short(str(row.text)).replace("|", "\\|")
        lines.append(f"| {row.id} | {LABELS[row.label]} | {row.probability:.3f} | {text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    errors.run(main)
