"""Blends the n-grams and the fine-tuned model by their saved predictions, and writes models/blend.json.

The weights and the cascade are fitted on the validation reviews. The blend is then scored on the test split
and every other evaluation set, as it will be used: with its cascade, if there is one.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.blend import cascade, saved, weights
from sentiment.blend.saved import Blend
from sentiment.metrics.metrics_file import compute_with_intervals, metrics_json, with_interval

MODEL = Path("models/blend.json")
PREDICTIONS = Path("metrics/predictions")
ALSO_TEST = Path("metrics/also_test/blend")


def main() -> None:
    """Fit the blend, score it on every evaluation set, and write its metrics and predictions."""
    validation = side_by_side(
        PREDICTIONS / "baseline/validation.parquet", Path("metrics/validation/predictions.parquet")
    )
    blend = fit(validation)
    saved.write(MODEL, blend)

    names = sorted(file.stem for file in (PREDICTIONS / "classifier").glob("*.parquet"))
    sets, metrics = {}, {}
    for name in names:
        file = f"{name}.parquet"
        scores = side_by_side(PREDICTIONS / "baseline" / file, PREDICTIONS / "classifier" / file)
        rows = pd.read_parquet(path_of_reviews(name)).merge(scores.drop(columns="label"), on="id")
        rows["probability"] = blend.probabilities(rows["ngrams"].to_numpy(), rows["encoder"].to_numpy())
        sets[name] = rows
        metrics[name] = compute_with_intervals(rows, rows["probability"].to_numpy())
        metrics[name] |= effect_of_cascade(blend, rows)

    with atomic.replacing(PREDICTIONS / "blend") as folder:
        folder.mkdir(parents=True)
        for name, rows in sets.items():
            rows[["id", "label", "probability"]].to_parquet(folder / f"{name}.parquet", index=False)
    with atomic.replacing(ALSO_TEST) as folder:
        folder.mkdir(parents=True)
        (folder / ".gitkeep").touch()  # Git has the folder also without evaluation sets
        for name in sets.keys() - {"test"}:
            atomic.write_json(folder / f"{name}.json", metrics_json(metrics[name]))
    of_test = metrics["test"] | blend.model_dump(include={"weights", "cascade"})
    atomic.write_json("metrics/blend.json", metrics_json(of_test))
    for name in sets:
        print(f"blend: {name} accuracy {with_interval(metrics[name])}")
    if blend.cascade is None:
        print("no cascade: it needs more validation reviews, or n-grams that agree more often with the blend")
    else:
        print(f"n-grams alone decide {of_test['decided_by_ngrams']:.0%} of the test reviews")


def fit(validation: pd.DataFrame) -> Blend:
    """Fit the weights, and choose the cascade.

    Args:
        validation: the result of `side_by_side` for the validation reviews.
    """
    ngrams, encoder = validation["ngrams"].to_numpy(), validation["encoder"].to_numpy()
    labels = validation["label"].to_numpy()
    fitted = weights.fit(ngrams, encoder, labels)
    chosen = cascade.choose(fitted, ngrams, encoder, labels)
    return Blend(ngrams="baseline.npz", encoder="classifier", weights=fitted, cascade=chosen)


def side_by_side(by_ngrams: Path, by_encoder: Path) -> pd.DataFrame:
    """The saved predictions of both models: `id`, `label`, and probabilities as `ngrams` and `encoder`."""
    ngrams = pd.read_parquet(by_ngrams).rename(columns={"probability": "ngrams"})
    encoder = pd.read_parquet(by_encoder).rename(columns={"probability": "encoder"})
    return ngrams.merge(encoder[["id", "encoder"]], on="id", validate="one_to_one")


def path_of_reviews(name: str) -> Path:
    """The prepared reviews of the test split or another evaluation set."""
    return Path("data/prepared/test.parquet") if name == "test" else Path(f"data/also_test/{name}.parquet")


def effect_of_cascade(blend: Blend, rows: pd.DataFrame) -> dict[str, Any]:
    """The accuracy without the cascade, the share of reviews that n-grams decide, and the labels it changes.

    Args:
        blend: the blend.
        rows: the result of `side_by_side`, with `probability`, the scores of the blend.
    """
    ngrams = rows["ngrams"].to_numpy()
    label_without = blend.weights.probabilities(ngrams, rows["encoder"].to_numpy()) >= 0.5
    label_with = rows["probability"].to_numpy() >= 0.5
    return {
        "accuracy_without_cascade": float(np.mean(label_without == rows["label"])),
        "decided_by_ngrams": float(blend.decided(ngrams).mean()),
        "labels_changed": int((label_with != label_without).sum()),
    }


if __name__ == "__main__":
    stage_runner.run(main, "blend")
