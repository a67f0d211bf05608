"""One training, from reviews to a fine-tuned model: `fine_tune` reads from top to bottom, its parts follow in order."""

import shutil
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
import transformers
from accelerate.utils import gather_object
from accelerate.utils.memory import clear_device_cache
from datasets import Dataset, disable_progress_bars
from scipy.special import log_softmax
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import logging

from sentiment.classifier import unknown_tokens_warning
from sentiment.errors import InputError, full_disk, memory_ran_out
from sentiment.labels import LABELS
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.probability import positive_probability
from sentiment.params import TrainParams
from sentiment.pretrained import sources
from sentiment.pretrained.building import build_classifier, check_lengths
from sentiment.progress import Progress
from sentiment.training import attention, checkpoints, history
from sentiment.training.batches import LengthGrouped, micro_batch_size


@dataclass(frozen=True)
class FineTuned:
    """A finished training.

    Attributes:
        trainer: holds the weights that were kept.
        encoder: encodes reviews as the model reads them in use.
        source: the pretrained model that it started from.
        validation: probabilities of POSITIVE, shape (validation reviews,), in the order of their rows.
        seconds: the duration of training.
        reviews_per_second: None if training was resumed from a checkpoint.
        tokens: tokens per review in training, the share of truncated reviews, and the share of unknown tokens.
    """

    trainer: "LengthGroupedTrainer"
    encoder: Encoder
    source: str
    validation: np.ndarray
    seconds: float
    reviews_per_second: float | None
    tokens: dict[str, float]

    @property
    def is_main(self) -> bool:
        """Whether this is the only process, or the first of several, which writes the outputs."""
        return self.trainer.is_world_process_zero()

    def end(self) -> None:
        """Remove the checkpoints. Call this once all outputs are written."""
        if self.is_main:
            shutil.rmtree(checkpoints.FOLDER)
        self.trainer.accelerator.end_training()


def fine_tune(
    params: TrainParams,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    files: Iterable[Path],
    curves: Path | None = None,
) -> FineTuned:
    """Fine-tune the pretrained model, and keep the weights of the epoch with the highest validation accuracy.

    An interrupted training resumes from its last complete checkpoint.

    Args:
        params: the parameters of the training.
        train: reviews: `text`, and `label`, an index into LABELS or a probability of POSITIVE.
        validation: reviews: `text` and `label`, an index into LABELS.
        files: the files that the reviews were read from, and the stage itself; a checkpoint of other files is not used.
        curves: a folder for the curves of loss, accuracy and learning rate, written during training.

    Raises:
        InputError: the model does not fit the parameters, or memory or disk space runs out.
    """
    quiet_libraries()
    scoring.make_deterministic()
    base = sources.fetch(params.model)

    # Training may read fewer tokens of a review than the model does in use; validation reads as many as in use.
    encoder = Encoder(base.folder, params.max_length, params.truncation)
    training_encoder = Encoder(base.folder, lengths(params)["train_max_length"], params.truncation)
    encoded = training_encoder(train["text"].tolist())
    to_train = as_dataset(encoded.ids, train["label"].tolist())
    to_validate = as_dataset(encoder(validation["text"].tolist()).ids, validation["label"].tolist())
    if warning := unknown_tokens_warning(encoded.tokens, encoded.unknown):
        print(warning)

    folder = checkpoints.folder_of(params, [*files, *base.folder.glob("*.safetensors")])
    checkpoints.remove_others(folder)
    checkpoint = checkpoints.last_complete(folder)
    started = time.perf_counter()
    trainer = train_within_memory(folder, checkpoint, base, encoder, params, to_train, to_validate, curves)
    seconds = time.perf_counter() - started

    probability = trainer.validation_probabilities()
    trainer.accelerator.wait_for_everyone()  # no process reads checkpoints any more
    return FineTuned(
        trainer=trainer,
        encoder=encoder,
        source=base.source,
        validation=probability,
        seconds=seconds,
        reviews_per_second=None if checkpoint else len(train) * params.epochs / seconds,
        tokens={
            "tokens_per_review": sum(to_train["length"]) / len(train),
            "reviews_cut": encoded.truncated / len(train),
            "tokens_unknown": encoded.unknown / max(encoded.tokens, 1),
        },
    )


def quiet_libraries() -> None:
    """Silence the libraries' own progress bars and messages."""
    disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def lengths(params: TrainParams) -> dict[str, int]:
    """The maximum number of tokens per review, in use (`max_length`) and in training (`train_max_length`)."""
    return {"max_length": params.max_length, "train_max_length": params.train_max_length or params.max_length}


def as_dataset(ids: list[list[int]], labels: list[int] | list[float]) -> Dataset:
    """Encoded reviews as a dataset for Trainer, the longest first, so that validation batches need little padding.

    The column `row` is the position of a review in `ids`.

    Args:
        ids: token ids of each review.
        labels: indices into LABELS, or probabilities of POSITIVE.
    """
    rows = pd.DataFrame({"input_ids": ids, "labels": labels, "length": [len(review) for review in ids]})
    rows["row"] = range(len(rows))
    rows = rows.sort_values("length", ascending=False, kind="stable")
    return Dataset.from_pandas(rows, preserve_index=False)


def train_within_memory(
    folder: Path,
    checkpoint: Path | None,
    base: sources.Pretrained,
    encoder: Encoder,
    params: TrainParams,
    train: Dataset,
    validation: Dataset,
    curves: Path | None = None,
) -> "LengthGroupedTrainer":
    """Train, and halve the micro-batches whenever memory runs out; the optimizer's batch stays the same.

    Args:
        folder: for the checkpoints.
        checkpoint: the one to resume from, if any.
        base: the pretrained model.
        encoder: of this model, as in use.
        params: the parameters of the training.
        train: encoded reviews.
        validation: encoded reviews.
        curves: a folder for the curves, or None.

    Raises:
        InputError: memory runs out with one review at a time, or with several processes; or the disk is full.
    """
    parts = 1
    while True:
        try:
            return train_once(folder, checkpoint, base, encoder, params, train, validation, curves, parts)
        except Exception as error:
            if not memory_ran_out(error):
                raise
        args = training_arguments(folder, params, parts)
        size, device = args.per_device_train_batch_size, args.device
        if size == 1 or args.world_size > 1:  # several processes would have to agree on a size
            raise InputError(
                f"memory ran out on {device} while training on {size} reviews at a time; lower train_max_length in "
                f"params.yaml, now {lengths(params)['train_max_length']}, or share the batch among more processes"
            )
        print(
            f"memory ran out on {device} with {size} reviews at a time; continuing with fewer, same batch_size"
        )
        parts *= 2
        checkpoint = checkpoints.last_complete(folder)


def train_once(
    folder: Path,
    checkpoint: Path | None,
    base: sources.Pretrained,
    encoder: Encoder,
    params: TrainParams,
    train: Dataset,
    validation: Dataset,
    curves: Path | None,
    parts: int,
) -> "LengthGroupedTrainer":
    """One attempt of `train_within_memory`, a function of its own so that a failed attempt frees its memory.

    `parts` divides the usual size of micro-batches.
    """
    clear_device_cache(garbage_collection=True)  # of the attempt before
    transformers.set_seed(params.seed)
    model = build_classifier(base, encoder, params.head, params.dropout)
    check_lengths(model, encoder, base.source, **lengths(params))
    trainer = build_trainer(folder, model, encoder, params, train, validation, parts)
    if checkpoint and trainer.is_world_process_zero():
        print(f"resuming from {checkpoint}")
    if curves:
        trainer.add_callback(history.CurveWriter(curves))
    with full_disk("models"), ExitStack() as ending:
        trainer.add_callback(history.Steps(ending))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


def build_trainer(
    folder: Path,
    model: PreTrainedModel,
    encoder: Encoder,
    params: TrainParams,
    train: Dataset,
    validation: Dataset,
    parts: int = 1,
) -> "LengthGroupedTrainer":
    """The Trainer that fine-tunes `model` as params.yaml says, with its checkpoints in `folder`.

    `parts` divides the usual size of micro-batches.
    """
    if scoring.uses_bf16(params.precision) and not torch.cuda.is_available():
        attention.use_float32_in_training()
    # Multiples of eight only where they make no batch longer than the model was found to read.
    multiple = None if lengths(params)["train_max_length"] % 8 else 8
    trainer = LengthGroupedTrainer(
        model=model,
        args=training_arguments(folder, params, parts),
        train_dataset=train,
        eval_dataset=validation,
        data_collator=transformers.DataCollatorWithPadding(encoder.tokenizer, pad_to_multiple_of=multiple),
        compute_loss_func=mean_loss,
        callbacks=[history.EpochLine(), checkpoints.SaveWithHashes()],
    )
    trainer.classifier = scoring.TransformerClassifier(model, encoder, params.precision, trained=True)
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def training_arguments(folder: Path, params: TrainParams, parts: int = 1) -> TrainingArguments:
    """The TrainingArguments that follow from params.yaml.

    `batch_size` is the optimizer's batch: processes share it, and gradients of micro-batches add up to it. On a CPU, a
    micro-batch has as many reviews of the maximum length as fit into the tokens of one scoring batch; `parts` divides it.

    Raises:
        InputError: the processes cannot share a batch evenly.
    """
    cuda = torch.cuda.is_available()
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=params.lr,
        num_train_epochs=params.epochs,
        warmup_steps=params.warmup_ratio,  # below 1, a share of all steps
        weight_decay=params.weight_decay,
        bf16=scoring.uses_bf16(params.precision),
        use_cpu=not cuda,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=3,  # if the last one is damaged, the one before it and the best remain
        load_best_model_at_end=True,
        metric_for_best_model="eval_accuracy",  # validation loss can rise while accuracy improves
        logging_steps=0.02,  # fifty points per curve
        disable_tqdm=True,  # Steps shows a bar, or lines where there is no terminal
        ddp_find_unused_parameters=False,
        report_to="none",  # CurveWriter writes curves, without durations
        seed=params.seed,
    )
    args._n_gpu = min(
        args.n_gpu, 1
    )  # torchrun starts a process per GPU; DataParallel would multiply the batch
    if params.batch_size % args.world_size:
        raise InputError(
            f"params.yaml: batch_size: {args.world_size} processes cannot share {params.batch_size} reviews evenly"
        )
    share = params.batch_size // args.world_size
    most = share
    if not cuda:
        tokens = scoring.TOKENS_A_BATCH["cpu"] * (2 if args.bf16 else 1)  # bf16 halves the bytes of each
        most = min(share, tokens // lengths(params)["train_max_length"])
    args.per_device_train_batch_size = micro_batch_size(share, most // parts)
    args.gradient_accumulation_steps = share // args.per_device_train_batch_size
    return args


def mean_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a micro-batch, divided by the number of reviews in the whole batch.

    Trainer leaves this to the model, and BERT's classifier would average over the micro-batch alone.

    Args:
        outputs: of the model, with `logits` of shape (reviews, 2).
        labels: indices into LABELS, or probabilities of POSITIVE, shape (reviews,).
        num_items_in_batch: reviews in the optimizer's batch.
    """
    if labels.is_floating_point():
        labels = torch.stack([1 - labels, labels], dim=1)
    return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch


class LengthGroupedTrainer(Trainer):
    """Trainer with batches of reviews of similar length, and validation by the scoring that evaluate uses.

    Attributes:
        classifier: the model in training, and its encoder.
        best_logits: of the validation reviews at the best epoch; None if that epoch preceded a resume.
    """

    classifier: scoring.TransformerClassifier
    best_logits: np.ndarray | None = None

    def evaluation_loop(self, dataloader: Any, *args: Any, **options: Any) -> EvalLoopOutput:
        """Validation loss and accuracy; processes share the reviews."""
        self.classifier.model.eval()
        rows = dataloader.dataset
        mine = np.arange(self.args.process_index, len(rows), self.args.world_size)
        with Progress("validation", len(mine)) as bar:
            scored = gather_object([(mine, self.classifier.logits(rows[mine]["input_ids"], bar.update))])
        logits = np.empty((len(rows), len(LABELS)))
        for positions, part in scored:
            logits[positions] = part
        labels = np.asarray(rows["labels"])
        loss = -log_softmax(logits, axis=1)[np.arange(len(rows)), labels].mean()
        accuracy = (logits.argmax(axis=1) == labels).mean()
        if self.state.best_metric is None or accuracy > self.state.best_metric:
            self.best_logits = logits
        metrics = {"eval_loss": float(loss), "eval_accuracy": float(accuracy)}
        return EvalLoopOutput(predictions=logits, label_ids=labels, metrics=metrics, num_samples=len(rows))

    def validation_probabilities(self) -> np.ndarray:
        """Probabilities of POSITIVE by the kept weights, shape (validation reviews,), in the order of their file.

        Every process has to call this. The reviews are scored again only if the best epoch preceded a resume.
        """
        rows = cast(Dataset, self.eval_dataset)
        logits = self.predict(rows).predictions if self.best_logits is None else self.best_logits
        probabilities = np.empty(len(rows))
        probabilities[rows["row"]] = positive_probability(
            np.asarray(logits), self.classifier.model.config.id2label or {}
        )
        return probabilities

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> torch.utils.data.Sampler[int]:
        accumulated = self.args.gradient_accumulation_steps * self.args.world_size
        lengths = self.train_dataset["length"]  # type: ignore[index]
        return LengthGrouped(lengths, self.args.train_batch_size * accumulated, self.args.seed)
