"""Scores the pretrained model before fine-tuning, to show what fine-tuning gains.

A trained head is kept and scored as it is. A model without one gets a linear probe: logistic regression on
its frozen features. Of each review, the probe reads at most the last MAX_TOKENS tokens. It is fitted on at
most MAX_REVIEWS of each split, a sample with the same shares of both classes; `fit_on` in its metrics has
their numbers. All evaluation sets are scored as a whole. Without labelled training reviews there is no probe,
and its files say so.
"""

from typing import TYPE_CHECKING, Any

import pandas as pd

from sentiment import stage_runner
from sentiment.metrics import evaluation_sets
from sentiment.params import ProbeParams
from sentiment.pretrained import sources
from sentiment.progress import Progress
from sentiment.sampling import capped

if TYPE_CHECKING:
    from sentiment.classifier import Classifier

# In cross-validation on the sample's training reviews, the last 96 tokens reach the loss of 256 from head and
# tail (0.360 and 0.361), in three quarters of the time. 96 tokens from head and tail are worse: 0.399.
MAX_TOKENS = 96
MAX_REVIEWS = {"train": 10_000, "validation": 2_000}


def main() -> None:
    """Score all evaluation sets, and write metrics and predictions."""
    params = ProbeParams.load()
    pretrained = sources.fetch(params.model)
    has_head = pretrained.kept_labels(params.head) is not None
    if not has_head and pd.read_parquet("data/prepared/train.parquet").empty:
        evaluation_sets.write_unavailable("probe", evaluation_sets.NO_LABELS)
        print(f"before training: {evaluation_sets.NO_LABELS}")
        return
    # Imported only now, because importing PyTorch takes seconds and a mistake in params.yaml should not.
    from transformers.utils import logging

    from sentiment.model import scoring
    from sentiment.model.encoding import Encoder
    from sentiment.pretrained import building
    from sentiment.probe import linear_probe
    from sentiment.probe.features import MeanPooled

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    scoring.make_deterministic()
    if has_head:
        encoder = Encoder(pretrained.folder, params.max_length, params.truncation)
    else:
        encoder = Encoder(pretrained.folder, min(params.max_length, MAX_TOKENS), "tail")
    model = building.build_classifier(pretrained, encoder, params.head)
    building.check_lengths(model, encoder, pretrained.source, max_length=encoder.max_length)

    scored = evaluation_sets.read_all()
    fit_on = {} if has_head else _reviews_to_fit()
    with Progress("scoring before training", sum(map(len, [*fit_on.values(), *scored.values()]))) as bar:
        classifier: Classifier
        if has_head:
            classifier = scoring.TransformerClassifier(model, encoder, params.precision)
            details: dict[str, Any] = {"kind": "own head"}
        else:
            pooled = MeanPooled(model, encoder, params.precision)
            classifier, strength = linear_probe.fit(pooled, **fit_on, advance=bar.update)
            details = {"kind": "linear probe", "strength": strength, "max_length": encoder.max_length}
            details["fit_on"] = {split: len(rows) for split, rows in fit_on.items()}
        for rows in scored.values():
            rows["probability"] = classifier.probabilities(rows["text"].tolist(), bar.update)
    metrics = evaluation_sets.write("probe", scored, extra=dict.fromkeys(scored, details))
    print(f"before training, {details['kind']}: {evaluation_sets.in_words(metrics)}")


def _reviews_to_fit() -> dict[str, pd.DataFrame]:
    """The training and validation reviews of the probe."""
    return {
        split: capped(pd.read_parquet(f"data/prepared/{split}.parquet"), most, seed=0)
        for split, most in MAX_REVIEWS.items()
    }


if __name__ == "__main__":
    stage_runner.run(main, "probe")
