"""Writes the soft labels that a teacher gives the unlabelled reviews to data/soft_labels/<seed>.parquet.

A teacher is trained on the labelled reviews first, unless `teacher_epochs` is 0. The labels are a blend of
the teacher and the baseline, if there is one. The argument of stages.teach is the seed. Not part of the
default run: `dvc exp run -S 'teachers=[1]'`.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.blend import weights
from sentiment.errors import InputError
from sentiment.metrics.metrics_file import compute_with_intervals, metrics_json
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.scoring import TransformerClassifier
from sentiment.ngrams import regression
from sentiment.params import TeachParams
from sentiment.pretrained.building import build_classifier
from sentiment.progress import Progress
from sentiment.teaching import labelling, teacher
from sentiment.teaching.teacher import Teacher
from sentiment.training import checkpoints, soft_labels
from sentiment.training.fine_tuning import fine_tune, quiet_libraries

PREPARED = {name: Path(f"data/prepared/{name}.parquet") for name in ("train", "validation", "unlabelled")}
BASELINE = Path("models/baseline.npz")
FILES = [Path(__file__), teacher.PATH, *PREPARED.values(), BASELINE]


class Model(NamedTuple):
    """A teacher that is ready to label.

    Attributes:
        classifier: scores reviews.
        validation: its probabilities of POSITIVE for the validation reviews, shape (reviews,).
        folder: for the labels of the blocks that are complete.
    """

    classifier: TransformerClassifier
    validation: np.ndarray
    folder: Path


def main() -> None:
    """Label the unlabelled reviews, and write the soft labels and the teacher's validation metrics."""
    seed = int(sys.argv[1])
    params, own = TeachParams.load(), Teacher.read()
    reviews = {name: pd.read_parquet(path) for name, path in PREPARED.items()}
    if reviews["unlabelled"].empty:
        raise InputError("params.yaml: teachers: every unlabelled review also occurs in another split")
    if params.teacher_epochs:
        training = own.training_params(params, seed)
        trained = fine_tune(training, reviews["train"], reviews["validation"], FILES)
        if trained.is_main:
            network = trained.trainer.classifier.model
            classifier = TransformerClassifier(network, trained.encoder, params.precision)
            folder = Path(trained.trainer.args.output_dir or "")
            label(Model(classifier, trained.validation, folder), reviews, seed, own.model)
        trained.end()
    elif os.environ.get("RANK", "0") == "0":  # the first process, if torchrun starts several
        label(used_as_it_is(params, own, reviews["validation"]), reviews, seed, own.model)
        shutil.rmtree(checkpoints.FOLDER)


def used_as_it_is(params: TeachParams, own: Teacher, validation: pd.DataFrame) -> Model:
    """The teacher without any training, which keeps its own head."""
    quiet_libraries()
    scoring.make_deterministic()
    base = own.fetch()
    encoder = Encoder(base.folder, own.max_length, params.truncation)
    network = build_classifier(base, encoder, own.head)
    classifier = TransformerClassifier(network, encoder, params.precision)
    folder = checkpoints.checkpoint_folder(params, [*FILES, *base.folder.glob("*.safetensors")])
    checkpoints.remove_others(folder)
    probability = np.empty(0)
    if len(validation):
        with Progress("validation", len(validation)) as bar:
            probability = classifier.probabilities(validation["text"].tolist(), bar.update)
    return Model(classifier, probability, folder)


def label(model: Model, reviews: dict[str, pd.DataFrame], seed: int, name: str) -> None:
    """Write a teacher's soft labels and metrics.

    Args:
        model: the teacher.
        reviews: the prepared reviews, by split.
        seed: of the teacher.
        name: of its pretrained model.
    """
    unlabelled = reviews["unlabelled"]
    probability = labelling.label(model.classifier, unlabelled["text"].tolist(), model.folder / "labels")
    if reviews["train"].empty:  # there are no n-grams to blend it with
        metrics = validated(reviews["validation"], model.validation)
    else:
        probability, metrics = blended(probability, model.validation, reviews)
    path = soft_labels.path(seed)
    with atomic.replacing(path) as target:
        unlabelled[["id"]].assign(probability=probability).to_parquet(target, index=False)
    metrics["details"][0] |= {
        "teacher": name,
        "soft_labels": len(unlabelled),
        "positive_share": float((probability >= 0.5).mean()),
    }
    atomic.write_json(f"metrics/teachers/{seed}.json", metrics)
    said = f"{path}: {len(unlabelled):,} soft labels"
    if "accuracy" in metrics:
        said += f"; validation accuracy {metrics['accuracy']:.4f}"
    if "model" in metrics["details"][0]:
        said += f", without n-grams {metrics['details'][0]['model']['accuracy']:.4f}"
    print(said)


def blended(
    probability: np.ndarray, validation: np.ndarray, reviews: dict[str, pd.DataFrame]
) -> tuple[np.ndarray, dict[str, Any]]:
    """The soft labels of a teacher blended with the baseline, and the metrics of this blend.

    Args:
        probability: of POSITIVE by the teacher, for the unlabelled reviews, shape (reviews,).
        validation: the same for the validation reviews, on which the blend is fitted.
        reviews: the prepared reviews, by split.
    """
    baseline = regression.load(BASELINE)
    by_baseline = baseline.probabilities(reviews["validation"]["text"].tolist())
    blend = weights.fit(by_baseline, validation, reviews["validation"]["label"].to_numpy())
    metrics = validated(reviews["validation"], blend.probabilities(by_baseline, validation))
    scores = {"model": (validation, blend.encoder), "baseline": (by_baseline, blend.ngrams)}
    for name, (alone, weight) in scores.items():
        of_one = validated(reviews["validation"], alone)
        del of_one["details"]
        metrics["details"][0][name] = {"weight": weight, **of_one}
    texts = reviews["unlabelled"]["text"].tolist()
    with Progress("labelling by n-grams", len(texts)) as bar:
        return blend.probabilities(baseline.probabilities(texts, bar.update), probability), metrics


def validated(validation: pd.DataFrame, probability: np.ndarray) -> dict[str, Any]:
    """Metrics on the validation reviews, as metrics JSON files have them; without these reviews, none."""
    if validation.empty:
        return {"details": [{}]}
    return metrics_json(compute_with_intervals(validation, probability))


if __name__ == "__main__":
    stage_runner.run(main, f"teach@{sys.argv[1]}")
