"""Trainer as params.yaml has it: which model, what a batch is, what is printed."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from datasets import Dataset, disable_progress_bars
from tqdm import tqdm
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    DataCollatorWithPadding,
    PreTrainedConfig,
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.utils import logging

from stages import checkpoints, encoding, errors, outputs, parameters, resume, scoring

# What BERT and its kin call it, then DistilBERT.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")


def quiet() -> None:
    """Leave one progress bar and one line an epoch of all that the libraries print."""
    disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def classifier(checkpoint: checkpoints.Checkpoint, dropout: float | None) -> PreTrainedModel:
    """The checkpoint with a two-label head: its own if it was trained with one, else a new one.

    Raises:
        InputError: it cannot be loaded, weights are missing, or it would run code of its own.
    """
    kind = checkpoint.config["model_type"]
    if kind not in CONFIG_MAPPING:
        code = ", and code that comes with a model is never run" if "auto_map" in checkpoint.config else ""
        raise errors.InputError(
            f"model {checkpoint.source}: transformers has no architecture {parameters.shortened(kind)}{code}"
        )
    with errors.loading(f"model {checkpoint.source}"):
        config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
        config.id2label = dict(enumerate(checkpoint.labels()))
        config.label2id = {name: index for index, name in config.id2label.items()}
        set_dropout(config, dropout)
        return scoring.classifier(checkpoint.folder, config, new_head=not checkpoint.has_head)


def set_dropout(config: PreTrainedConfig, dropout: float | None) -> None:
    """Set every kind of dropout that the model has; None leaves the checkpoint's own."""
    for name in DROPOUTS:
        if dropout is not None and hasattr(config, name):
            setattr(config, name, dropout)


def length(params: parameters.TrainParams) -> int:
    """The most tokens of a review in training."""
    return params.train_max_length or params.max_length


def as_dataset(ids: list[list[int]], labels: list[int]) -> Dataset:
    """Encoded reviews for Trainer, the longest first: so validation is read, with little padding."""
    rows = pd.DataFrame({"input_ids": ids, "labels": labels, "length": [len(review) for review in ids]})
    rows = rows.sort_values("length", ascending=False, kind="stable")
    return Dataset.from_pandas(rows, preserve_index=False)


def fit(
    folder: Path,
    checkpoint: checkpoints.Checkpoint,
    encoder: encoding.Encoder,
    params: parameters.TrainParams,
    train: Dataset,
    validation: Dataset,
) -> Trainer:
    """Fine-tune as params.yaml says, going on from the last checkpoint in `folder` if there is one.

    Where memory runs out, micro-batches are halved; the optimizer's batch stays.

    Raises:
        InputError: memory runs out with one review at a time, or with several processes; or the disk is full.
    """
    halvings = 0
    while True:
        set_seed(params.seed)
        model = classifier(checkpoint, params.dropout)
        trainer = trainer_for(folder, model, encoder, params, train, validation, halvings)
        last = resume.last(folder)
        if last and trainer.is_world_process_zero():
            print(f"going on from {last}")
        try:
            with outputs.room("models"):
                trainer.train(resume_from_checkpoint=str(last) if last else None)
            return trainer
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        args = trainer.args
        size, device = args.per_device_train_batch_size, args.device
        if size == 1 or args.world_size > 1:  # processes would have to agree
            raise errors.InputError(
                f"memory ran out on {device} in training {size} reviews at a time; "
                f"train_max_length in params.yaml, now {length(params)}, is what to lower, or more processes share the batch"
            )
        print(f"memory ran out on {device} with {size} reviews at a time; going on with fewer, batch_size stays")
        del trainer, model
        clear_device_cache(garbage_collection=True)
        halvings += 1


def trainer_for(
    folder: Path,
    model: PreTrainedModel,
    encoder: encoding.Encoder,
    params: parameters.TrainParams,
    train: Dataset,
    validation: Dataset,
    halvings: int = 0,
) -> Trainer:
    """The Trainer that fine-tunes `model` as params.yaml says, with its checkpoints in `folder`.

    `halvings` is how often to halve the micro-batches that are usual.
    """
    trainer = LengthGroupedTrainer(
        model=model,
        args=arguments(folder, params, halvings),
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


def arguments(folder: Path, params: parameters.TrainParams, halvings: int = 0) -> TrainingArguments:
    """What Trainer is told, from params.yaml.

    `batch_size` is what the optimizer sees, shared among processes and gathered from micro-batches.

    Raises:
        InputError: the processes cannot share a batch evenly.
    """
    cuda = torch.cuda.is_available()
    tokens = scoring.TOKENS_A_BATCH["cuda" if cuda else "cpu"]
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=params.lr,
        num_train_epochs=params.epochs,
        per_device_eval_batch_size=max(1, tokens // params.max_length >> halvings),
        warmup_steps=params.warmup_ratio,  # below 1, it is a share of all steps
        weight_decay=params.weight_decay,
        bf16=scoring.bf16(params.precision),
        use_cpu=not cuda,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=3,  # should the last be damaged, there is the one before it, and the best
        load_best_model_at_end=True,
        metric_for_best_model="eval_accuracy",  # the loss can rise while more reviews come right
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
    room = share if cuda else min(share, tokens // length(params))
    args.per_device_train_batch_size = micro_batch(share, room >> halvings)
    args.gradient_accumulation_steps = share // args.per_device_train_batch_size
    return args


def mean_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a micro-batch over the size of the whole batch.

    Trainer leaves this to the model, and BERT's classifier would average over the micro-batch alone.
    """
    return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch


def micro_batch(share: int, room: int) -> int:
    """The most reviews that divide a process's share of the batch and are no more than `room`, at least one."""
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
