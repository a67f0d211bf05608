"""Writes the soft labels that a teacher gives the unlabelled reviews to data/soft_labels/<seed>.parquet.

A teacher is trained on the labelled reviews first, unless `teacher_epochs` is 0. The labels are a blend of
the teacher and the baseline. The argument of stages.teach is the seed. Not part of the default run:
`dvc exp run -S 'teachers=[1]'`.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

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
    train, validation, unlabelled = (pd.read_parquet(path) for path in PREPARED.values())
    if unlabelled.empty:
        raise InputError("params.yaml: teachers: every unlabelled review also occurs in another split")
    if params.teacher_epochs:
        trained = fine_tune(own.training_params(params, seed), train, validation, FILES)
        if trained.is_main:
            network = trained.trainer.classifier.model
            classifier = TransformerClassifier(network, trained.encoder, params.precision)
            folder = Path(trained.trainer.args.output_dir or "")
            label(Model(classifier, trained.validation, folder), seed, validation, unlabelled, own)
        trained.end()
    elif os.environ.get("RANK", "0") == "0":  # the first process, if torchrun starts several
        label(used_as_it_is(params, own, validation), seed, validation, unlabelled, own)
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
    with Progress("validation", len(validation)) as bar:
        probability = classifier.probabilities(validation["text"].tolist(), bar.update)
    return Model(classifier, probability, folder)


def label(model: Model, seed: int, validation: pd.DataFrame, unlabelled: pd.DataFrame, own: Teacher) -> None:
    """Blend a teacher with the baseline on validation, and write its soft labels and metrics."""
    baseline = regression.load(BASELINE)
    by_baseline = baseline.probabilities(validation["text"].tolist())
    blend = weights.fit(by_baseline, model.validation, validation["label"].to_numpy())
    details = compute_with_intervals(validation, blend.probabilities(by_baseline, model.validation))
    scores = {"model": (model.validation, blend.encoder), "baseline": (by_baseline, blend.ngrams)}
    for name, (probability, weight) in scores.items():
        metrics = metrics_json(compute_with_intervals(validation, probability))
        del metrics["details"]
        details[name] = {"weight": weight, **metrics}

    texts = unlabelled["text"].tolist()
    by_model = labelling.label(model.classifier, texts, model.folder / "labels")
    with Progress("labelling by n-grams", len(texts)) as bar:
        probability = blend.probabilities(baseline.probabilities(texts, bar.update), by_model)
    path = soft_labels.path(seed)
    with atomic.replacing(path) as target:
        unlabelled[["id"]].assign(probability=probability).to_parquet(target, index=False)
    details |= {"teacher": own.model, "soft_labels": len(texts)}
    details |= {"positive_share": float((probability >= 0.5).mean())}
    atomic.write_json(f"metrics/teachers/{seed}.json", metrics_json(details))
    print(
        f"{path}: {len(texts):,} soft labels; validation accuracy of the blend with the baseline "
        f"{details['accuracy']:.4f}, of the model alone {details['model']['accuracy']:.4f}"
    )


if __name__ == "__main__":
    stage_runner.run(main, f"teach@{sys.argv[1]}")
