"""Fine-tunes the pretrained model that params.yaml names on data/prepared/ into models/classifier/."""

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
from sentiment.training.fine_tuning import fine_tune

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
)  # whose versions decide what a training comes to
PREPARED = {name: Path(f"data/prepared/{name}.parquet") for name in ("train", "validation", "unlabelled")}


def main() -> None:
    """Train, keep the weights of the epoch with the highest validation accuracy, and write its metrics."""
    params = TrainParams.load()
    soft_labels.remove_others(params.teachers)
    rows = {name: pd.read_parquet(path) for name, path in PREPARED.items()}
    train = soft_labels.with_unlabelled(rows["train"], rows["unlabelled"], params.teachers)
    validation = rows["validation"]
    read = [Path(__file__), *PREPARED.values(), *map(soft_labels.path, params.teachers)]
    trained = fine_tune(params, train, validation, read, Path("metrics/training"))

    if trained.is_main:
        with atomic.replacing("models/classifier") as target:
            save_transformer(target, trained.trainer.model, trained.encoder, trained.source)
        with atomic.replacing("metrics/validation") as target:
            target.mkdir()
            predictions = validation[["id", "label"]].assign(probability=trained.validation)
            predictions.to_parquet(target / "predictions.parquet", index=False)
        metrics = history.summarise(trained.trainer.state)
        versions = {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
        details = (
            metrics | trained.tokens | {"soft_labels": len(train) - len(rows["train"]), "versions": versions}
        )
        atomic.write_json("metrics/train.json", {"loss": metrics["train_loss"], "details": [details]})
        kept = {name: metrics[f"validation_{name}"] for name in ("accuracy", "loss")}
        atomic.write_json("metrics/validation.json", kept)
        # This file is not versioned and may be older than the training in the workspace: the hash links the two.
        speed = {
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "train_json_md5": hashlib.md5(
                Path("metrics/train.json").read_bytes(), usedforsecurity=False
            ).hexdigest(),
            "seconds": trained.seconds,
            "reviews_per_second": trained.reviews_per_second,
        }
        atomic.write_json("metrics/speed/train.json", speed)
        print(
            f"models/classifier/: validation accuracy {metrics['validation_accuracy']:.4f} "
            f"after epoch {metrics['best_epoch']}"
        )
    trained.end()


if __name__ == "__main__":
    stage_runner.run(main, "train")
