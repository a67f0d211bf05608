"""Scores the pretrained model before fine-tuning, to show what fine-tuning gains."""

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.params import BeforeTrainingParams
from sentiment.pretrained import sources
from sentiment.progress import Progress


def main() -> None:
    """Write metrics/before_training.json; for a model without a trained head, the file says so instead."""
    params = BeforeTrainingParams.load()
    model = sources.fetch(params.model)
    if model.kept_labels(params.head) is None:
        metrics = {"accuracy": "no trained head"}
        atomic.write_json("metrics/before_training.json", {**metrics, "details": [metrics]})
        if model.has_head:
            print("zero-shot: head: new")
        else:
            print(f"zero-shot: {model.source} has no trained head")
        return
    # Imported here because many models have no head, and importing PyTorch takes seconds.
    from sentiment.metrics.metrics_file import compute_with_intervals, metrics_json
    from sentiment.model import encoding, scoring
    from sentiment.pretrained import building

    scoring.make_deterministic()
    encoder = encoding.Encoder(model.folder, params.max_length, params.truncation)
    weights = building.build_classifier(model, encoder, params.head)
    building.check_lengths(weights, encoder, model.source, max_length=params.max_length)
    classifier = scoring.TransformerClassifier(weights, encoder, params.precision)
    test = pd.read_parquet("data/prepared/test.parquet")
    with Progress("scoring before training", len(test)) as bar:
        metrics = compute_with_intervals(test, classifier.probabilities(test["text"].tolist(), bar.update))
    atomic.write_json("metrics/before_training.json", metrics_json(metrics))
    print(f"zero-shot: test accuracy {metrics['accuracy']:.4f}")


if __name__ == "__main__":
    stage_runner.run(main, "before_training")
