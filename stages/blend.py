"""Combines the n-gram baseline and the fine-tuned model, and scores the blend on all evaluation sets."""

from pathlib import Path

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.blend import Blend
from sentiment.metrics import evaluation_sets

PREDICTIONS = Path("metrics/predictions")


def main() -> None:
    """Fit the weights on validation, and write models/blend.json, metrics and predictions."""
    validation = pd.read_parquet("metrics/validation/predictions.parquet")
    ngrams = pd.read_parquet(PREDICTIONS / "baseline/validation.parquet")["probability"].to_numpy()
    blend = Blend(validation["probability"].to_numpy(), ngrams, validation["label"].to_numpy())
    scored = evaluation_sets.read_all()
    for name, rows in scored.items():
        by_encoder, by_ngrams = (
            pd.read_parquet(PREDICTIONS / model / f"{name}.parquet")["probability"].to_numpy()
            for model in ("classifier", "baseline")
        )
        rows["probability"] = blend.probabilities(by_encoder, by_ngrams)
    encoder, ngram = blend.weights
    weights = {"ngrams": ngram, "encoder": encoder}
    content = {"ngrams": "baseline.npz", "encoder": "classifier", "weights": weights, "cascade": None}
    atomic.write_json("models/blend.json", content)
    metrics = evaluation_sets.write("blend", scored)
    print(f"blend: {evaluation_sets.in_words(metrics)}")


if __name__ == "__main__":
    stage_runner.run(main, "blend")
