"""Fits and scores the n-gram baseline, the reference for fine-tuning.

Fitting keeps all features in memory, so it uses at most MAX_REVIEWS of each split: a sample with the same
shares of both classes. metrics/baseline.json then has their numbers (`fit_on`). All evaluation
sets are scored as a whole. Without labelled training reviews there is no baseline, and its files say so.
"""

import time
from typing import Any

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.metrics import evaluation_sets
from sentiment.ngrams import regression
from sentiment.progress import Progress
from sentiment.sampling import capped

MAX_REVIEWS = {"train": 100_000, "validation": 20_000}


def main() -> None:
    """Fit on the training split, score validation and all evaluation sets, and write the model and scores."""
    train, validation = (
        pd.read_parquet(f"data/prepared/{split}.parquet") for split in ("train", "validation")
    )
    if train.empty:
        with atomic.replacing("models/baseline.npz") as path:
            regression.save_unavailable(path, evaluation_sets.NO_LABELS)
        evaluation_sets.write_unavailable("baseline", evaluation_sets.NO_LABELS)
        print(f"baseline: {evaluation_sets.NO_LABELS}")
        return
    evaluated = evaluation_sets.read_all()
    scored = [validation, *evaluated.values()]
    fit_on = {
        "train": capped(train, MAX_REVIEWS["train"], seed=0),
        "validation": capped(validation, MAX_REVIEWS["validation"], seed=0),
    }
    started = time.perf_counter()
    with Progress("baseline", regression.work(**fit_on) + sum(map(len, scored)), unit="") as bar:
        classifier, strength = regression.fit(**fit_on, advance=bar.update)
        with atomic.replacing("models/baseline.npz") as path:
            regression.save(classifier, path)
        for rows in scored:
            rows["probability"] = classifier.probabilities(rows["text"], bar.update)
    seconds = time.perf_counter() - started

    extra: dict[str, Any] = {"strength": strength}
    note = ""
    if len(fit_on["train"]) < len(train) or len(fit_on["validation"]) < len(validation):
        extra["fit_on"] = {split: len(rows) for split, rows in fit_on.items()}
        note = f", fit on {len(fit_on['train']):,} of {len(train):,} training reviews"
    metrics = evaluation_sets.write(
        "baseline", evaluated, extra={"test": extra}, files={"validation.parquet": validation}
    )
    atomic.write_json("metrics/speed/baseline.json", {"seconds": seconds})
    print(f"baseline: {evaluation_sets.in_words(metrics)} in {seconds:.0f} s{note}")


if __name__ == "__main__":
    stage_runner.run(main, "baseline")
