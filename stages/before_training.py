"""Scores the pretrained model before fine-tuning, to show what fine-tuning gains."""

from pathlib import Path

from sentiment import atomic, stage_runner
from sentiment.params import BeforeTrainingParams
from sentiment.pretrained import sources
from sentiment.progress import Progress


def main() -> None:
    """Write metrics/before_training.json; for a model without a trained head, the file says so instead."""
    params = BeforeTrainingParams.load()
    model = sources.fetch(params.model)
    if model.kept_labels(params.head) is None:
        unknown = {"accuracy": "no trained head"}
        atomic.write_json("metrics/before_training.json", {**unknown, "details": [unknown]})
        for folder in ("metrics/also_test", "metrics/predictions"):
            Path(folder, "before_training").mkdir(parents=True, exist_ok=True)
            Path(folder, "before_training/.gitkeep").touch()
        if model.has_head:
            print("zero-shot: head: new")
        else:
            print(f"zero-shot: {model.source} has no trained head")
        return
    # Imported here because many models have no head, and importing PyTorch takes seconds.
    from sentiment.metrics import evaluation_sets
    from sentiment.model import encoding, scoring
    from sentiment.pretrained import building

    scoring.make_deterministic()
    encoder = encoding.Encoder(model.folder, params.max_length, params.truncation)
    weights = building.build_classifier(model, encoder, params.head)
    building.check_lengths(weights, encoder, model.source, max_length=params.max_length)
    classifier = scoring.TransformerClassifier(weights, encoder, params.precision)
    scored = evaluation_sets.read_all()
    with Progress("scoring before training", sum(map(len, scored.values()))) as bar:
        for rows in scored.values():
            rows["probability"] = classifier.probabilities(rows["text"].tolist(), bar.update)
    metrics = evaluation_sets.write("before_training", scored)
    print(f"before training: {evaluation_sets.in_words(metrics)}")


if __name__ == "__main__":
    stage_runner.run(main, "before_training")
