"""Fine-tunes the pretrained model of params.yaml on data/prepared/ and writes models/classifier/."""

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.model.saved import save_transformer
from sentiment.params import TrainParams
from sentiment.training import history, soft_labels
from sentiment.training.calibration import Calibration
from sentiment.training.fine_tuning import fine_tune

LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate")  # their versions affect the result
PREPARED = {name: Path(f"data/prepared/{name}.parquet") for name in ("train", "validation", "unlabelled")}


def main() -> None:
    """Train, and write the weights of the epoch with the highest validation accuracy, and its metrics."""
    params = TrainParams.load()
    soft_labels.remove_others(params.teachers)
    rows = {name: pd.read_parquet(path) for name, path in PREPARED.items()}
    train = soft_labels.with_unlabelled(rows["train"], rows["unlabelled"], params.teachers)
    validation = rows["validation"]
    by_teachers = validation.empty
    if by_teachers:
        validation = soft_labels.validation(rows["unlabelled"], params.teachers)
    files = [Path(__file__), *PREPARED.values(), *map(soft_labels.path, params.teachers)]
    # The teachers' labels do not say how often teachers are wrong.
    trained = fine_tune(params, train, validation, files, Path("metrics/training"), calibrate=not by_teachers)

    if trained.is_main:
        with atomic.replacing("models/classifier") as target:
            save_transformer(target, trained.trainer.model, trained.encoder, trained.source)
        with atomic.replacing("metrics/validation") as target:
            target.mkdir()
            predictions = validation[["id", "label"]].assign(probability=trained.validation)
            predictions.to_parquet(target / "predictions.parquet", index=False)
        metrics = history.summarise(trained.trainer.state)
        versions = {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
        details = metrics | trained.tokens | {"head": trained.trainer.head}
        details["temperature"] = trained.calibration.temperature if trained.calibration else None
        details |= {"soft_labels": len(train) - len(rows["train"]), "versions": versions}
        if by_teachers:
            details["validation_labels"] = "teachers"
        atomic.write_json("metrics/train.json", {"loss": metrics["train_loss"], "details": [details]})
        accuracy, loss = metrics["validation_accuracy"], metrics["validation_loss"]
        if trained.calibration:
            loss = trained.calibration.loss
        atomic.write_json("metrics/validation.json", {"accuracy": accuracy, "loss": loss})
        # This file is not versioned and may be older than metrics/train.json; the hash shows if they match.
        train_json = Path("metrics/train.json").read_bytes()
        speed = {
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "train_json_md5": hashlib.md5(train_json, usedforsecurity=False).hexdigest(),
            "seconds": trained.seconds,
            "reviews_per_second": trained.reviews_per_second,
        }
        atomic.write_json("metrics/speed/train.json", speed)
        print(f"models/classifier/: validation accuracy {accuracy:.4f} after epoch {metrics['best_epoch']}")
        if trained.calibration:
            print(calibrated(trained.calibration))
        if by_teachers:
            print(f"validation accuracy is agreement with the teachers, on {len(validation):,} reviews")
    trained.end()


def calibrated(calibration: Calibration) -> str:
    """The temperature of the weights, in words."""
    return (
        f"calibrated: a temperature of {calibration.temperature:.2f} changes the validation loss from "
        f"{calibration.loss_before:.4f} to {calibration.loss:.4f}"
    )


if __name__ == "__main__":
    stage_runner.run(main, "train")
