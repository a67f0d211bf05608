"""Blends the n-grams and the fine-tuned model by their saved predictions, and writes models/blend.json.

The weights and the cascade are fitted on the validation reviews. The blend is then scored on every evaluation
set as it will be used: with its cascade, if there is one. Without n-grams there is no blend, and its files
say so.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sentiment import stage_runner
from sentiment.blend import cascade, saved, weights
from sentiment.blend.saved import Blend, Unavailable
from sentiment.metrics import evaluation_sets

MODEL = Path("models/blend.json")
PREDICTIONS = Path("metrics/predictions")
VALIDATION = Path("metrics/validation/predictions.parquet")


def main() -> None:
    """Fit the blend, score it on every evaluation set, and write its metrics and predictions."""
    if why := evaluation_sets.why_unavailable("baseline"):
        saved.write(MODEL, Unavailable(unavailable=why))
        evaluation_sets.write_unavailable("blend", why)
        print(f"blend: {why}")
        return
    blend = fit(scored_by_both(pd.read_parquet(VALIDATION), VALIDATION, "validation"))
    saved.write(MODEL, blend)
    scored, effects = {}, {}
    for name, reviews in evaluation_sets.read_all().items():
        by_encoder = PREDICTIONS / f"classifier/{name}.parquet"
        rows = scored_by_both(reviews, by_encoder, name)
        probability = blend.probabilities(rows["ngrams"].to_numpy(), rows["encoder"].to_numpy())
        scored[name] = rows.assign(probability=probability)
        effects[name] = effect_of_cascade(blend, scored[name])
    effects["test"] |= blend.model_dump(include={"weights", "cascade"})
    metrics = evaluation_sets.write("blend", scored, extra=effects)
    print(f"blend: {evaluation_sets.in_words(metrics)}")
    if blend.cascade:
        share = effects["test"]["decided_by_ngrams"]
        print(f"cascade: n-grams alone decide {share:.0%} of the test reviews")


def scored_by_both(reviews: pd.DataFrame, by_encoder: Path, name: str) -> pd.DataFrame:
    """Reviews with the saved probabilities of both models, in the columns `ngrams` and `encoder`.

    Args:
        reviews: the reviews, with `id`.
        by_encoder: the predictions of the fine-tuned model.
        name: of the evaluation set, or `validation`.
    """
    files = {"ngrams": PREDICTIONS / f"baseline/{name}.parquet", "encoder": by_encoder}
    for column, file in files.items():
        scores = pd.read_parquet(file)[["id", "probability"]].rename(columns={"probability": column})
        reviews = reviews.merge(scores, on="id", validate="one_to_one")
    return reviews


def fit(validation: pd.DataFrame) -> Blend:
    """Fit the weights, and choose the cascade.

    Args:
        validation: the result of `scored_by_both` for the validation reviews.
    """
    ngrams, encoder = validation["ngrams"].to_numpy(), validation["encoder"].to_numpy()
    labels = validation["label"].to_numpy()
    fitted = weights.fit(ngrams, encoder, labels)
    chosen = cascade.choose(fitted, ngrams, encoder, labels)
    return Blend(ngrams="baseline.npz", encoder="classifier", weights=fitted, cascade=chosen)


def effect_of_cascade(blend: Blend, scored: pd.DataFrame) -> dict[str, Any]:
    """The accuracy without the cascade, the share of reviews that n-grams decide, and the labels it changes.

    Args:
        blend: the blend.
        scored: the result of `scored_by_both`, with `probability`, the scores of the blend.
    """
    ngrams = scored["ngrams"].to_numpy()
    label_without = blend.weights.probabilities(ngrams, scored["encoder"].to_numpy()) >= 0.5
    label_with = scored["probability"].to_numpy() >= 0.5
    return {
        "accuracy_without_cascade": float(np.mean(label_without == scored["label"])),
        "decided_by_ngrams": float(blend.decided(ngrams).mean()),
        "labels_changed": int((label_with != label_without).sum()),
    }


if __name__ == "__main__":
    stage_runner.run(main, "blend")
