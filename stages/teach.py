"""Trains a teacher, and writes its soft labels of the unlabelled reviews to data/soft_labels/<seed>.parquet.

The labels are a blend of the teacher and the baseline. The argument of stages.teach is the seed.
Not part of the default run: `dvc exp run -S 'teachers=[1]'`.
"""

import sys
from pathlib import Path

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.blend import weights
from sentiment.errors import InputError
from sentiment.metrics.metrics_file import compute_with_intervals, metrics_json
from sentiment.model.scoring import TransformerClassifier
from sentiment.ngrams import regression
from sentiment.params import TeachParams, TrainParams
from sentiment.progress import Progress
from sentiment.training import soft_labels
from sentiment.training.fine_tuning import fine_tune

PREPARED = {name: Path(f"data/prepared/{name}.parquet") for name in ("train", "validation", "unlabelled")}
BASELINE = Path("models/baseline.npz")


def main() -> None:
    """Train on the labelled reviews, blend with the baseline on validation, and write the soft labels."""
    seed = int(sys.argv[1])
    params = TeachParams.load()
    shared = params.model_dump(exclude={"teacher_epochs"})
    training = TrainParams(**shared, epochs=params.teacher_epochs, seed=seed, teachers=[])
    train, validation, unlabelled = (pd.read_parquet(path) for path in PREPARED.values())
    if unlabelled.empty:
        raise InputError("params.yaml: teachers: every unlabelled review also occurs in another split")
    baseline = regression.load(BASELINE)
    trained = fine_tune(training, train, validation, [Path(__file__), *PREPARED.values(), BASELINE])

    if trained.is_main:
        model = TransformerClassifier(trained.trainer.classifier.model, trained.encoder, params.precision)
        by_baseline = baseline.probabilities(validation["text"].tolist())
        blend = weights.fit(by_baseline, trained.validation, validation["label"].to_numpy())
        details = compute_with_intervals(validation, blend.probabilities(by_baseline, trained.validation))
        scores = {"model": (trained.validation, blend.encoder), "baseline": (by_baseline, blend.ngrams)}
        for name, (probability, weight) in scores.items():
            metrics = metrics_json(compute_with_intervals(validation, probability))
            del metrics["details"]
            details[name] = {"weight": weight, **metrics}

        texts = unlabelled["text"].tolist()
        with Progress("labelling", len(texts)) as bar:
            by_model = model.probabilities(texts, bar.update)
        with Progress("labelling by n-grams", len(texts)) as bar:
            probability = blend.probabilities(baseline.probabilities(texts, bar.update), by_model)
        path = soft_labels.path(seed)
        with atomic.replacing(path) as target:
            unlabelled[["id"]].assign(probability=probability).to_parquet(target, index=False)
        details |= {"soft_labels": len(texts), "positive_share": float((probability >= 0.5).mean())}
        atomic.write_json(f"metrics/teachers/{seed}.json", metrics_json(details))
        print(
            f"{path}: {len(texts):,} soft labels; validation accuracy of the blend with the baseline "
            f"{details['accuracy']:.4f}, of the model alone {details['model']['accuracy']:.4f}"
        )
    trained.end()


if __name__ == "__main__":
    stage_runner.run(main, f"teach@{sys.argv[1]}")
