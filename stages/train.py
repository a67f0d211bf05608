"""Fine-tunes the pretrained model that params.yaml names on data/prepared/ into models/classifier/."""

import shutil
import time
from pathlib import Path

import pandas as pd

from sentiment import atomic, stage
from sentiment.model import pretrained, scoring
from sentiment.model.classifier import save_transformer
from sentiment.model.encoding import Encoder
from sentiment.params import TrainParams
from sentiment.training import checkpoints, history, trainer

PREPARED = {split: Path(f"data/prepared/{split}.parquet") for split in ("train", "validation")}


def main() -> None:
    """Train, keep the weights of the epoch with the highest validation accuracy, and write its metrics."""
    params = TrainParams.load()
    trainer.quiet_libraries()
    scoring.make_deterministic()

    base = pretrained.fetch(params.model)
    encoder = Encoder(base.folder, params.max_length, params.truncation)
    for_training = Encoder(base.folder, trainer.lengths(params)["train_max_length"], params.truncation)
    train, cut = trainer.encoded_split(PREPARED["train"], for_training)
    validation, _ = trainer.encoded_split(PREPARED["validation"], encoder)
    if warning := for_training.warning():
        print(warning)

    read = [Path(__file__), *PREPARED.values(), *base.folder.glob("*.safetensors")]
    folder = checkpoints.folder_for(params, read)
    resumed = checkpoints.last_complete(folder) is not None
    started = time.perf_counter()
    trained = trainer.fine_tune(folder, base, encoder, params, train, validation, Path("metrics/training"))
    seconds = time.perf_counter() - started
    probability = trained.validation_probabilities()
    trained.accelerator.wait_for_everyone()  # no process reads checkpoints any more

    if trained.is_world_process_zero():
        with atomic.replacing("models/classifier") as target:
            save_transformer(target, trained.model, encoder, base.source)
        with atomic.replacing("metrics/validation") as target:
            target.mkdir()
            rows = pd.read_parquet(PREPARED["validation"], columns=["id", "label"])
            rows.assign(probability=probability).to_parquet(target / "predictions.parquet", index=False)
        metrics = history.summarise(trained.state)
        tokens = {
            "tokens_per_review": sum(train["length"]) / len(train), "reviews_cut": cut / len(train),
            "tokens_unknown": for_training.unknown_share,
        }  # fmt: skip
        atomic.write_json("metrics/train.json", {"loss": metrics["train_loss"], "details": [metrics | tokens]})
        kept = {name: metrics[f"validation_{name}"] for name in ("accuracy", "loss")}
        atomic.write_json("metrics/validation.json", kept)
        rate = None if resumed else len(train) * params.epochs / seconds
        atomic.write_json("metrics/speed/train.json", {"seconds": seconds, "reviews_per_second": rate})
        shutil.rmtree(checkpoints.FOLDER)
        print(
            f"models/classifier/: validation accuracy {metrics['validation_accuracy']:.4f} "
            f"after epoch {metrics['best_epoch']}"
        )
    trained.accelerator.end_training()


if __name__ == "__main__":
    stage.run(main, "train")
