"""Fits and scores the n-gram baseline, the reference for fine-tuning.

Fitting keeps all features in memory, so it uses at most MAX_REVIEWS of each split: a sample with the same
shares of both classes. metrics/baseline.json then has their numbers (`fit_on`). The whole test split is
scored.
"""

import time

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.metrics.metrics_file import compute_with_intervals, metrics_json
from sentiment.ngrams import regression
from sentiment.progress import Progress
from sentiment.sampling import capped

MAX_REVIEWS = {"train": 100_000, "validation": 20_000}


def main() -> None:
    """Fit on the training split, and write models/baseline.npz and metrics/baseline.json."""
    train, validation, test = (
        pd.read_parquet(f"data/prepared/{split}.parquet") for split in ("train", "validation", "test")
    )
    fit_on = {
        "train": capped(train, MAX_REVIEWS["train"], seed=0),
        "validation": capped(validation, MAX_REVIEWS["validation"], seed=0),
    }
    started = time.perf_counter()
    with Progress("baseline", regression.work(**fit_on) + len(test), unit="") as bar:
        classifier, strength = regression.fit(**fit_on, advance=bar.update)
        with atomic.replacing("models/baseline.npz") as path:
            regression.save(classifier, path)
        probability = classifier.probabilities(test["text"], bar.update)
    seconds = time.perf_counter() - started

    metrics = compute_with_intervals(test, probability) | {"strength": strength}
    note = ""
    if len(fit_on["train"]) < len(train) or len(fit_on["validation"]) < len(validation):
        metrics["fit_on"] = {split: len(rows) for split, rows in fit_on.items()}
        note = f", fit on {len(fit_on['train']):,} of {len(train):,} training reviews"
    atomic.write_json("metrics/baseline.json", metrics_json(metrics))
    atomic.write_json("metrics/speed/baseline.json", {"seconds": seconds})
    print(f"baseline: test accuracy {metrics['accuracy']:.4f} in {seconds:.0f} s{note}")


if __name__ == "__main__":
    stage_runner.run(main, "baseline")
