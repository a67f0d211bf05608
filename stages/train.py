"""Fine-tune the model that params.yaml names on data/prepared/ into models/classifier/."""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import transformers
from datasets import Dataset, disable_progress_bars
from dvclive import Live
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedConfig,
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.utils import logging

from stages import checkpoints, encoding, errors, outputs, parameters, resume, scoring
from stages.labels import LABELS

PREPARED = {split: Path(f"data/prepared/{split}.parquet") for split in ("train", "validation")}
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

    folder = resume.folder_for(
        params.model_dump()
        | {"bf16": scoring.bf16(params.precision), "versions": [torch.__version__, transformers.__version__]},
        [*PREPARED.values(), *checkpoint.folder.glob("*.safetensors")],
    )
    trainer = trainer_for(folder, model, encoder, params, train, validation)
    last = resume.last(folder)
    if last and trainer.is_world_process_zero():
        print(f"going on from {last}")
    started = time.perf_counter()
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    seconds = time.perf_counter() - started

    if trainer.is_world_process_zero():
        save(model, encoder, checkpoint, params)
        write_curves(trainer.state.log_history)
        report = summary(trainer.state)
        tokens = {"tokens_per_review": sum(train["length"]) / len(train), "reviews_cut": cut / len(train)}
        outputs.write_json("metrics/train.json", report | tokens)
        rate = None if last else len(train) * params.epochs / seconds
        outputs.write_json("metrics/speed/train.json", {"seconds": seconds, "reviews_per_second": rate})
        shutil.rmtree(resume.FOLDER)
        print(
            f"models/classifier/: validation accuracy {report['validation_accuracy']:.4f} "
            f"after epoch {report['best_epoch']}"
        )
    trainer.accelerator.end_training()


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
    set_dropout(config, dropout)
    return AutoModelForSequenceClassification.from_pretrained(
        checkpoint.folder, config=config, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )


def set_dropout(config: PreTrainedConfig, dropout: float | None) -> None:
    """Set every kind of dropout that the model has; None leaves the checkpoint's own."""
    for name in DROPOUTS:
        if dropout is not None and hasattr(config, name):
            setattr(config, name, dropout)


def encoded(split: str, encoder: encoding.Encoder, names: tuple[str, ...]) -> tuple[Dataset, int]:
    """A prepared split as token ids and label indices of the model's own head, and how many reviews were cut."""
    rows = pd.read_parquet(PREPARED[split])
    ids, cut = encoder(rows["text"])
    labels = [names.index(LABELS[label]) for label in rows["label"]]
    return as_dataset(ids, labels), cut


def as_dataset(ids: list[list[int]], labels: list[int]) -> Dataset:
    """Encoded reviews for Trainer, the longest first: so validation is read, with little padding."""
    rows = pd.DataFrame({"input_ids": ids, "labels": labels, "length": [len(review) for review in ids]})
    rows = rows.sort_values("length", ascending=False, kind="stable")
    return Dataset.from_pandas(rows, preserve_index=False)


def trainer_for(
    folder: Path,
    model: PreTrainedModel,
    encoder: encoding.Encoder,
    params: parameters.TrainParams,
    train: Dataset,
    validation: Dataset,
) -> Trainer:
    """The Trainer that fine-tunes `model` as params.yaml says, with its checkpoints in `folder`."""
    trainer = LengthGroupedTrainer(
        model=model,
        args=arguments(folder, params),
        train_dataset=train,
        eval_dataset=validation,
        data_collator=DataCollatorWithPadding(encoder.tokenizer, pad_to_multiple_of=8),
        compute_loss_func=mean_loss,
        compute_metrics=lambda scored: {"accuracy": float((scored[0].argmax(-1) == scored[1]).mean())},
        callbacks=[EpochLine(), resume.Save()],
    )
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback):
        trainer.add_callback(Bar)
    return trainer


def arguments(folder: Path, params: parameters.TrainParams) -> TrainingArguments:
    """What Trainer is told, from params.yaml.

    `batch_size` is what the optimizer sees, shared among processes and gathered from micro-batches.

    Raises:
        InputError: the processes cannot share a batch evenly.
    """
    cuda = torch.cuda.is_available()
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=params.lr,
        num_train_epochs=params.epochs,
        per_device_eval_batch_size=max(1, scoring.TOKENS_A_BATCH["cuda" if cuda else "cpu"] // params.max_length),
        warmup_steps=params.warmup_ratio,  # below 1, it is a share of all steps
        weight_decay=params.weight_decay,
        bf16=scoring.bf16(params.precision),
        use_cpu=not cuda,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=3,  # should the last be damaged, there is the one before it, and the best
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        logging_steps=0.02,  # fifty points a curve
        disable_tqdm=not sys.stderr.isatty(),
        ddp_find_unused_parameters=False,
        report_to="none",  # write_curves does, without seconds
        seed=params.seed,
    )
    args._n_gpu = min(args.n_gpu, 1)  # one process a GPU, by torchrun; DataParallel would multiply the batch
    if params.batch_size % args.world_size:
        raise errors.InputError(
            f"params.yaml: batch_size: {args.world_size} processes cannot share {params.batch_size} reviews evenly"
        )
    share = params.batch_size // args.world_size
    args.per_device_train_batch_size = share if cuda else micro_batch(share, params.max_length)
    args.gradient_accumulation_steps = share // args.per_device_train_batch_size
    return args


def mean_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a micro-batch over the size of the whole batch.

    Trainer leaves this to the model, and BERT's classifier would average over the micro-batch alone.
    """
    return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch


def micro_batch(share: int, max_length: int) -> int:
    """The most reviews that divide a process's share of the batch and stay within a CPU's cache, at least one."""
    room = scoring.TOKENS_A_BATCH["cpu"] // max_length
    return max((size for size in range(1, room + 1) if share % size == 0), default=1)


class LengthGroupedTrainer(Trainer):
    """Trainer whose batches hold reviews of like length, in an order that follows from seed and epoch alone.

    Trainer's own `group_by_length` orders otherwise for another number of processes, and from long to short.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> torch.utils.data.Sampler[int]:
        accumulated = self.args.gradient_accumulation_steps * self.args.world_size
        lengths = self.train_dataset["length"]  # type: ignore[index]
        return LengthGrouped(lengths, self.args.train_batch_size * accumulated, self.args.seed)


class LengthGrouped(torch.utils.data.Sampler[int]):
    """Rows in shuffled batches of like length, all of them whole: an epoch leaves out what is over.

    Where there are not enough rows for one batch, they are the batch.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths, self.seed, self.epoch = list(lengths), seed, 0
        self.batch_size = min(batch_size, len(self.lengths))

    def __len__(self) -> int:  # noqa: D105
        return len(self.lengths) // self.batch_size * self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; Trainer calls this at the start of each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:  # noqa: D105
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        rows = torch.tensor(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))
        batches = rows[: len(self)].view(-1, self.batch_size)
        yield from batches[torch.randperm(len(batches), generator=generator)].flatten().tolist()


class EpochLine(TrainerCallback):
    """A line of validation figures after each epoch."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Print the line, once."""
        metrics = kwargs["metrics"]
        if state.is_world_process_zero:
            tqdm.write(
                f"epoch {state.epoch:.0f}/{state.num_train_epochs}: validation loss {metrics['eval_loss']:.4f}, "
                f"accuracy {metrics['eval_accuracy']:.4f}"
            )


class Bar(ProgressCallback):
    """Trainer's progress bar without a line for each logged step."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Nothing: EpochLine says what there is to say."""


def summary(state: TrainerState) -> dict[str, Any]:
    """What metrics/train.json says of the training."""
    logged = [entry for entry in state.log_history if "loss" in entry]
    steps = np.diff([0, *(entry["step"] for entry in logged)])
    best = min((entry for entry in state.log_history if "eval_loss" in entry), key=lambda entry: entry["eval_loss"])
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
            for name in curves.keys() & entry.keys():
                live.log_metric(curves[name], entry[name])


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
