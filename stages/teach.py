"""Fine-tunes a teacher, and labels the reviews without labels by it and the baseline: data/soft_labels/<seed>.parquet.

Not part of the default run: `dvc exp run -S 'teachers=[1]'`. What follows -m stages.teach is the seed.
"""

import sys
from pathlib import Path

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.blend import Blend
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
    """Train on the labelled reviews, blend with the baseline by validation, and write the soft labels."""
    seed = int(sys.argv[1])
    params = TeachParams.load()
    shared = params.model_dump(exclude={"teacher_epochs"})
    training = TrainParams(**shared, epochs=params.teacher_epochs, seed=seed, teachers=[])
    train, validation, unlabelled = (pd.read_parquet(path) for path in PREPARED.values())
    if unlabelled.empty:
        raise InputError(
            "params.yaml: teachers: no review without a label is left that stands in no other split"
        )
    baseline = regression.load(BASELINE)
    trained = fine_tune(training, train, validation, [Path(__file__), *PREPARED.values(), BASELINE])

    if trained.is_main:
        model = TransformerClassifier(trained.trainer.classifier.model, trained.encoder, params.precision)
        known = trained.validation, baseline.probabilities(validation["text"].tolist())
        blend = Blend(*known, validation["label"].to_numpy())
        texts = unlabelled["text"].tolist()
        with Progress("labelling", len(texts)) as bar:
            by_model = model.probabilities(texts, bar.update)
        with Progress("labelling by n-grams", len(texts)) as bar:
            probability = blend.probabilities(by_model, baseline.probabilities(texts, bar.update))
        path = soft_labels.path(seed)
        with atomic.replacing(path) as target:
            unlabelled[["id"]].assign(probability=probability).to_parquet(target, index=False)

        metrics = metrics_json(compute_with_intervals(validation, blend.probabilities(*known)))
        for name, scores, weight in zip(("model", "baseline"), known, blend.weights, strict=True):
            metrics["details"][0][name] = {
                "weight": weight,
                **metrics_json(compute_with_intervals(validation, scores)),
            }
            del metrics["details"][0][name]["details"]
        metrics["details"][0] |= {
            "soft_labels": len(texts),
            "positive_share": float((probability >= 0.5).mean()),
        }
        atomic.write_json(f"metrics/teachers/{seed}.json", metrics)
        print(
            f"{path}: {len(texts):,} soft labels; on validation, the blend with the baseline comes to "
            f"{metrics['accuracy']:.4f}, the model alone to {metrics['details'][0]['model']['accuracy']:.4f}"
        )
    trained.end()


if __name__ == "__main__":
    stage_runner.run(main, f"teach@{sys.argv[1]}")
