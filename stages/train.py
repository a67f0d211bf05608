"""Fine-tune the model that params.yaml names on data/prepared/ into models/classifier/."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset, disable_progress_bars
from dvclive import Live
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging

from stages import checkpoints, encoding, errors, outputs, parameters, scoring
from stages.labels import LABELS

CHECKPOINTS = Path("models/checkpoints")
# What BERT and its kin call it, then DistilBERT.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")


def main() -> None:
    """Train, keep the checkpoint of the epoch with the lowest validation loss, and write metrics/train.json."""
    params = parameters.load(parameters.TrainParams)
    quiet()
    scoring.deterministic()
    set_seed(params.seed)

    checkpoint = checkpoints.fetch(params.model)
    checkpoint.check_length(params.max_length)
    model = classifier(checkpoint, params.dropout)
    encoder = encoding.Encoder(checkpoint.folder, params.max_length, params.truncation)
    train, cut = encoded("train", encoder, checkpoint.labels())
    validation, _ = encoded("validation", encoder, checkpoint.labels())

    with outputs.whole("metrics/training") as curves:
        trainer = Trainer(
            model=model,
            args=arguments(params),
            train_dataset=train,
            eval_dataset=validation,
            data_collator=DataCollatorWithPadding(encoder.tokenizer, pad_to_multiple_of=8),
            compute_metrics=lambda scored: {"accuracy": float((scored[0].argmax(-1) == scored[1]).mean())},
            callbacks=[Curves(curves)],
        )
        trainer.remove_callback(PrinterCallback)
        if trainer.pop_callback(ProgressCallback):
            trainer.add_callback(Bar)
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started

    save(model, encoder, checkpoint, params)
    best = min(
        (entry for entry in trainer.state.log_history if "eval_loss" in entry), key=lambda entry: entry["eval_loss"]
    )
    final = next(entry for entry in reversed(trainer.state.log_history) if "train_loss" in entry)
    report = {
        "train_loss": final["train_loss"],
        "validation_loss": best["eval_loss"],
        "validation_accuracy": best["eval_accuracy"],
        "best_epoch": round(best["epoch"]),
        "steps": trainer.state.global_step,
        "tokens_per_review": sum(train["length"]) / len(train),
        "reviews_cut": cut / len(train),
    }
    outputs.write_json("metrics/train.json", report)
    outputs.write_json(
        "metrics/speed/train.json", {"seconds": seconds, "reviews_per_second": len(train) * params.epochs / seconds}
    )
    shutil.rmtree(CHECKPOINTS)
    print(f"models/classifier/: validation accuracy {best['eval_accuracy']:.4f} after epoch {report['best_epoch']}")


def quiet() -> None:
    """Leave one progress bar and one line an epoch of all that the libraries print."""
    disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def classifier(checkpoint: checkpoints.Checkpoint, dropout: float | None) -> PreTrainedModel:
    """The checkpoint with a two-label head: its own if it was trained with one, else a new one."""
    config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    config.id2label = dict(enumerate(checkpoint.labels()))
    config.label2id = {name: index for index, name in config.id2label.items()}
    for name in DROPOUTS:
        if dropout is not None and hasattr(config, name):
            setattr(config, name, dropout)
    return AutoModelForSequenceClassification.from_pretrained(
        checkpoint.folder, config=config, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )


def encoded(split: str, encoder: encoding.Encoder, names: tuple[str, ...]) -> tuple[Dataset, int]:
    """A prepared split as token ids and label indices of the model's own head, and how many reviews were cut."""
    rows = pd.read_parquet(f"data/prepared/{split}.parquet")
    ids, cut = encoder(rows["text"])
    labels = [names.index(LABELS[label]) for label in rows["label"]]
    return Dataset.from_dict({"input_ids": ids, "labels": labels, "length": [len(review) for review in ids]}), cut


def arguments(params: parameters.TrainParams) -> TrainingArguments:
    """What Trainer is told, from params.yaml."""
    return TrainingArguments(
        output_dir=str(CHECKPOINTS),
        learning_rate=params.lr,
        num_train_epochs=params.epochs,
        per_device_train_batch_size=params.batch_size,
        per_device_eval_batch_size=64,
        warmup_steps=params.warmup_ratio,  # below 1, it is a share of all steps
        weight_decay=params.weight_decay,
        bf16=scoring.bf16(params.precision),
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        logging_steps=0.02,  # fifty points a curve
        disable_tqdm=not sys.stderr.isatty(),
        report_to="none",  # Curves logs instead, without seconds
        seed=params.seed,
    )


class Curves(TrainerCallback):
    """Loss and learning rate by step, through DVCLive.

    transformers' own DVCLiveCallback also logs every training argument and the seconds taken, which differ from run
    to run of the same commit.
    """

    def __init__(self, folder: Path):
        self.live = Live(str(folder), save_dvc_exp=False, dvcyaml=None)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Log what belongs on a curve."""
        self.live.step = state.global_step
        for name, curve in {
            "loss": "train/loss",
            "learning_rate": "learning_rate",
            "eval_loss": "validation/loss",
            "eval_accuracy": "validation/accuracy",
        }.items():
            if logs and name in logs:
                self.live.log_metric(curve, logs[name])
        if logs and "eval_loss" in logs:
            tqdm.write(
                f"epoch {state.epoch:.0f}/{state.num_train_epochs}: validation loss {logs['eval_loss']:.4f}, "
                f"accuracy {logs['eval_accuracy']:.4f}"
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Finish the files."""
        self.live.end()


class Bar(ProgressCallback):
    """Trainer's progress bar without a line for each logged step."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Nothing: Curves says what there is to say."""


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
        config["base_model"] = checkpoint.source
        config["review_truncation"] = params.truncation
        config["review_max_length"] = params.max_length
        outputs.write_json(folder / "config.json", config)


if __name__ == "__main__":
    errors.run(main)
