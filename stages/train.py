"""Fine-tune the model that params.yaml names on data/prepared/ into models/classifier/."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from dvclive import Live
from transformers import PreTrainedModel, TrainerState

from stages import checkpoints, encoding, errors, outputs, parameters, resume, scoring, training
from stages.labels import LABELS

PREPARED = {split: Path(f"data/prepared/{split}.parquet") for split in ("train", "validation")}


def main() -> None:
    """Train, keep the checkpoint of the epoch with the highest validation accuracy, and write metrics/train.json."""
    params = parameters.load(parameters.TrainParams)
    training.quiet()
    scoring.deterministic()

    checkpoint = checkpoints.fetch(params.model)
    checkpoint.check_length(max_length=params.max_length, train_max_length=params.train_max_length)
    encoder = encoding.Encoder(checkpoint.folder, params.max_length, params.truncation)
    for_training = encoding.Encoder(checkpoint.folder, training.length(params), params.truncation)
    train, cut = encoded("train", for_training, checkpoint.labels())
    validation, _ = encoded("validation", encoder, checkpoint.labels())

    read = [Path(__file__), *PREPARED.values(), *checkpoint.folder.glob("*.safetensors")]
    facts = {
        "bf16": scoring.bf16(params.precision),
        "processes": os.environ.get("WORLD_SIZE", "1"),
        "threads": torch.get_num_threads(),
    }
    folder = resume.folder_for(params, read, facts)
    resumed = resume.last(folder) is not None
    started = time.perf_counter()
    trainer = training.fit(folder, checkpoint, encoder, params, train, validation)
    seconds = time.perf_counter() - started
    trainer.accelerator.wait_for_everyone()  # no process reads checkpoints any more

    if trainer.is_world_process_zero():
        save(cast(PreTrainedModel, trainer.model), encoder, checkpoint, params)
        write_curves(trainer.state.log_history)
        report = summary(trainer.state)
        tokens = {"tokens_per_review": sum(train["length"]) / len(train), "reviews_cut": cut / len(train)}
        outputs.write_json("metrics/train.json", report | tokens)
        rate = None if resumed else len(train) * params.epochs / seconds
        outputs.write_json("metrics/speed/train.json", {"seconds": seconds, "reviews_per_second": rate})
        shutil.rmtree(resume.FOLDER)
        print(
            f"models/classifier/: validation accuracy {report['validation_accuracy']:.4f} "
            f"after epoch {report['best_epoch']}"
        )
    trainer.accelerator.end_training()


def encoded(split: str, encoder: encoding.Encoder, names: tuple[str, ...]) -> tuple[Dataset, int]:
    """A prepared split as token ids and label indices of the model's own head, and how many reviews were cut."""
    rows = pd.read_parquet(PREPARED[split])
    ids, cut = encoder(rows["text"])
    labels = [names.index(LABELS[label]) for label in rows["label"]]
    return training.as_dataset(ids, labels), cut


def save(
    model: PreTrainedModel,
    encoder: encoding.Encoder,
    checkpoint: checkpoints.Checkpoint,
    params: parameters.TrainParams,
) -> None:
    """Write models/classifier/, a plain transformers folder that also says how its reviews were truncated."""
    encoder.tokenizer.model_max_length = params.max_length
    with outputs.whole("models/classifier") as folder:
        model.save_pretrained(folder)
        encoder.tokenizer.save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.pop("auto_map", None)  # of code that did not come along
        config["base_model"] = checkpoint.source
        config["review_truncation"] = params.truncation
        config["review_max_length"] = params.max_length
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def summary(state: TrainerState) -> dict[str, Any]:
    """What metrics/train.json says of the training."""
    logged = [entry for entry in state.log_history if "loss" in entry]
    steps = np.diff([0, *(entry["step"] for entry in logged)])
    epochs = [entry for entry in state.log_history if "eval_accuracy" in entry]
    best = max(epochs, key=lambda entry: entry["eval_accuracy"])  # the first of equals, as Trainer keeps it
    return {
        "train_loss": float(np.average([entry["loss"] for entry in logged], weights=steps)),
        "validation_loss": best["eval_loss"],
        "validation_accuracy": best["eval_accuracy"],
        "best_epoch": round(best["epoch"]),
        "steps": state.global_step,
    }


def write_curves(history: list[dict[str, float]]) -> None:
    """Write metrics/training/, loss and learning rate by step, through DVCLive.

    transformers' own DVCLiveCallback also logs every training argument and the seconds taken, which differ from run
    to run of the same commit.
    """
    curves = {
        "loss": "train/loss",
        "learning_rate": "learning_rate",
        "eval_loss": "validation/loss",
        "eval_accuracy": "validation/accuracy",
    }
    with outputs.whole("metrics/training") as folder, Live(str(folder), save_dvc_exp=False, dvcyaml=None) as live:
        for entry in history:
            live.step = int(entry["step"])
            for name, curve in curves.items():
                if name in entry:
                    live.log_metric(curve, entry[name])


if __name__ == "__main__":
    errors.run(main)
