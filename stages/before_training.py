"""Scores the pretrained model before fine-tuning, to show what fine-tuning gains.

A trained head is kept and scored as it is. A model without one gets a linear probe: logistic regression on
its frozen features. To take little time, the probe reads at most MAX_TOKENS of a review, and is fitted on at
most MAX_REVIEWS of each split: a sample with the same shares of both classes. Its metrics then have the
numbers of reviews (`fit_on`). All test reviews are scored.
"""

from typing import TYPE_CHECKING, Any

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.params import BeforeTrainingParams
from sentiment.pretrained import sources
from sentiment.progress import Progress
from sentiment.sampling import capped

if TYPE_CHECKING:
    from sentiment.classifier import Classifier

MAX_TOKENS = 64
MAX_REVIEWS = {"train": 10_000, "validation": 2_000}


def main() -> None:
    """Write metrics/before_training.json."""
    params = BeforeTrainingParams.load()
    pretrained = sources.fetch(params.model)
    has_head = pretrained.kept_labels(params.head) is not None
    # Imported only now, so that a mistake in params.yaml is reported at once: importing PyTorch takes seconds.
    from transformers.utils import logging

    from sentiment.metrics.metrics_file import compute_with_intervals, metrics_json
    from sentiment.model import scoring
    from sentiment.model.encoding import Encoder
    from sentiment.pretrained import building
    from sentiment.probe import linear_probe
    from sentiment.probe.features import MeanPooled

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    scoring.make_deterministic()
    length = params.max_length if has_head else min(params.max_length, MAX_TOKENS)
    encoder = Encoder(pretrained.folder, length, params.truncation)
    weights = building.build_classifier(pretrained, encoder, params.head)
    building.check_lengths(weights, encoder, pretrained.source, max_length=length)

    test = pd.read_parquet("data/prepared/test.parquet")
    fit_on = {} if has_head else _reviews_to_fit()
    with Progress("scoring before training", sum(map(len, [*fit_on.values(), test]))) as bar:
        classifier: Classifier
        if has_head:
            classifier = scoring.TransformerClassifier(weights, encoder, params.precision)
            details: dict[str, Any] = {"kind": "own head"}
        else:
            pooled = MeanPooled(weights, encoder, params.precision)
            classifier, strength = linear_probe.fit(pooled, **fit_on, advance=bar.update)
            details = {"kind": "linear probe", "strength": strength, "tokens": length}
            details["fit_on"] = {split: len(rows) for split, rows in fit_on.items()}
        probability = classifier.probabilities(test["text"].tolist(), bar.update)

    metrics = compute_with_intervals(test, probability) | details
    atomic.write_json("metrics/before_training.json", metrics_json(metrics))
    print(f"before training, {details['kind']}: test accuracy {metrics['accuracy']:.4f}")


def _reviews_to_fit() -> dict[str, pd.DataFrame]:
    """The training and validation reviews for the probe."""
    return {
        split: capped(pd.read_parquet(f"data/prepared/{split}.parquet"), most, seed=0)
        for split, most in MAX_REVIEWS.items()
    }


if __name__ == "__main__":
    stage_runner.run(main, "before_training")
