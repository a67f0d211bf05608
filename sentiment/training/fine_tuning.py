"""Fine-tuning: from prepared reviews to a trained model. `fine_tune` calls the functions below it."""

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
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import logging

from sentiment.classifier import unknown_tokens_warning
from sentiment.errors import InputError, full_disk, memory_ran_out
from sentiment.labels import LABELS
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.precision import uses_bf16
from sentiment.model.probability import positive_probability
from sentiment.params import TrainParams
from sentiment.pretrained import sources
from sentiment.pretrained.building import build_classifier, check_lengths
from sentiment.progress import Progress
from sentiment.training import attention, calibration, checkpoints, head, history
from sentiment.training.batches import LengthGroupedSampler, micro_batch_size


@dataclass(frozen=True)
class FineTuned:
    """The result of a training.

    Attributes:
        trainer: Trainer with the weights of the best epoch.
        encoder: encodes reviews for inference.
        source: the pretrained model, with its revision.
        validation: probabilities of POSITIVE, shape (validation reviews,), in the order of the reviews.
        calibration: the temperature of the weights; None if they are not calibrated.
        seconds: duration of training.
        reviews_per_second: None if training resumed from a checkpoint.
        tokens: tokens per review in training, the share of truncated reviews, and the share of unknown
            tokens.
    """

    trainer: "LengthGroupedTrainer"
    encoder: Encoder
    source: str
    validation: np.ndarray
    calibration: calibration.Calibration | None
    seconds: float
    reviews_per_second: float | None
    tokens: dict[str, float]

    @property
    def is_main(self) -> bool:
        """Whether this process writes the outputs: the only one, or the first of several."""
        return self.trainer.is_world_process_zero()

    def end(self) -> None:
        """Remove the checkpoints. Call this after all outputs are written."""
        if self.is_main:
            shutil.rmtree(checkpoints.FOLDER)
        self.trainer.accelerator.end_training()


def fine_tune(
    params: TrainParams,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    files: Iterable[Path],
    curves: Path | None = None,
    calibrate: bool = True,
) -> FineTuned:
    """Fine-tune the pretrained model, and keep the weights of the epoch with the highest validation accuracy.

    If an earlier call was interrupted, training resumes from the last complete checkpoint.

    Args:
        params: the parameters of the training.
        train: training reviews: `text`, and `label`, an index into LABELS or a probability of POSITIVE.
        validation: validation reviews: `text` and `label`, an index into LABELS.
        files: the files with the reviews, and the stage itself. Training resumes only if none of them has
            changed.
        curves: folder for the curves of loss, accuracy and learning rate, which grow during training.
        calibrate: whether to calibrate these weights on the validation reviews.

    Raises:
        InputError: the model does not support the parameters, or memory or disk space runs out.
    """
    quiet_libraries()
    scoring.make_deterministic()
    base = sources.fetch(params.model)

    # Training may truncate reviews to fewer tokens than inference; validation does not.
    encoder = Encoder(base.folder, params.max_length, params.truncation)
    training_encoder = Encoder(base.folder, lengths(params)["train_max_length"], params.truncation)
    encoded = training_encoder(train["text"].tolist())
    to_train = as_dataset(encoded.ids, train["label"].tolist())
    to_validate = as_dataset(encoder(validation["text"].tolist()).ids, validation["label"].tolist())
    if warning := unknown_tokens_warning(encoded.tokens, encoded.unknown):
        print(warning)

    folder = checkpoints.checkpoint_folder(params, [*files, *base.folder.glob("*.safetensors")])
    checkpoints.remove_others(folder)
    checkpoint = checkpoints.last_complete(folder)
    job = TrainingJob(folder, base, encoder, params, to_train, to_validate, curves)
    started = time.perf_counter()
    trainer = train_within_memory(job, checkpoint)
    seconds = time.perf_counter() - started

    calibrated = trainer.calibrate() if calibrate else None
    probability = trainer.validation_probabilities()
    trainer.accelerator.wait_for_everyone()  # from here on, no process reads checkpoints
    return FineTuned(
        trainer=trainer,
        encoder=encoder,
        source=base.source,
        validation=probability,
        calibration=calibrated,
        seconds=seconds,
        reviews_per_second=None if checkpoint else len(train) * params.epochs / seconds,
        tokens={
            "tokens_per_review": sum(to_train["length"]) / len(train),
            "reviews_cut": encoded.truncated / len(train),
            "tokens_unknown": encoded.unknown / max(encoded.tokens, 1),
        },
    )


def quiet_libraries() -> None:
    """Silence the progress bars and messages of datasets and transformers."""
    disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def lengths(params: TrainParams) -> dict[str, int]:
    """Maximum tokens per review in inference (`max_length`) and in training (at most as many)."""
    in_training = min(params.train_max_length or params.max_length, params.max_length)
    return {"max_length": params.max_length, "train_max_length": in_training}


def as_dataset(ids: list[list[int]], labels: list[int] | list[float]) -> Dataset:
    """Encoded reviews as a dataset for Trainer, the longest first.

    Sorted by length, validation batches need little padding. The column `row` is a review's position in
    `ids`.

    Args:
        ids: token ids of each review.
        labels: indices into LABELS, or probabilities of POSITIVE.
    """
    rows = pd.DataFrame({"input_ids": ids, "labels": labels, "length": [len(review) for review in ids]})
    rows["row"] = range(len(rows))
    rows = rows.sort_values("length", ascending=False, kind="stable")
    return Dataset.from_pandas(rows, preserve_index=False)


@dataclass(frozen=True)
class TrainingJob:
    """The inputs of a training, whatever the size of its micro-batches.

    Attributes:
        folder: for the checkpoints.
        base: the pretrained model.
        encoder: encodes reviews for inference.
        params: the parameters of the training.
        train: encoded training reviews.
        validation: encoded validation reviews.
        curves: folder for the curves; None: no curves.
    """

    folder: Path
    base: sources.Pretrained
    encoder: Encoder
    params: TrainParams
    train: Dataset
    validation: Dataset
    curves: Path | None = None


def train_within_memory(job: TrainingJob, checkpoint: Path | None = None) -> "LengthGroupedTrainer":
    """Train, and halve the micro-batches each time memory runs out. The optimizer's batch stays the same.

    Args:
        job: the inputs of the training.
        checkpoint: the checkpoint to resume from, if any.

    Raises:
        InputError: memory runs out with one review at a time or with several processes, or the disk is full.
    """
    divisor = 1
    while True:
        try:
            return train_once(job, checkpoint, divisor)
        except Exception as error:
            if not memory_ran_out(error):
                raise
        args = training_arguments(job.folder, job.params, divisor)
        size, device = args.per_device_train_batch_size, args.device
        if size == 1 or args.world_size > 1:  # several processes would have to agree on a size
            max_length = lengths(job.params)["train_max_length"]
            raise InputError(
                f"memory ran out on {device} while training on {size} reviews at a time; "
                f"lower train_max_length in params.yaml, now {max_length}, "
                "or share the batch among more processes"
            )
        print(
            f"memory ran out on {device} with {size} reviews at a time; "
            "continuing with fewer, same batch_size"
        )
        divisor *= 2
        checkpoint = checkpoints.last_complete(job.folder)


def train_once(job: TrainingJob, checkpoint: Path | None, divisor: int) -> "LengthGroupedTrainer":
    """Train with one size of micro-batches: the usual size divided by `divisor`.

    This is a function of its own so that an attempt that fails frees its memory.
    """
    clear_device_cache(garbage_collection=True)  # of the previous attempt
    params = job.params
    transformers.set_seed(params.seed)
    model = build_classifier(job.base, job.encoder, params.head, params.dropout)
    check_lengths(model, job.encoder, job.base.source, **lengths(params))
    start = head.kind(job.base, model, params)
    if start == "probe" and not checkpoint:
        head.start_as_probe(model, job.encoder, job.train, params.precision)
    trainer = build_trainer(job.folder, model, job.encoder, params, job.train, job.validation, divisor)
    trainer.head = start
    if checkpoint and trainer.is_world_process_zero():
        print(f"resuming from {checkpoint}")
    if job.curves:
        trainer.add_callback(history.CurveWriter(job.curves))
    with full_disk("models"), ExitStack() as stack:
        trainer.add_callback(history.StepProgress(stack))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer


def build_trainer(
    folder: Path,
    model: PreTrainedModel,
    encoder: Encoder,
    params: TrainParams,
    train: Dataset,
    validation: Dataset,
    divisor: int = 1,
) -> "LengthGroupedTrainer":
    """A Trainer that fine-tunes `model` with the given parameters and saves checkpoints in `folder`.

    `divisor` reduces the size of micro-batches.
    """
    if uses_bf16(params.precision) and not torch.cuda.is_available():
        attention.use_float32_in_training()
    # Padding to multiples of eight must not exceed the length that `check_lengths` has tried.
    multiple = None if lengths(params)["train_max_length"] % 8 else 8
    trainer = LengthGroupedTrainer(
        model=model,
        args=training_arguments(folder, params, divisor),
        train_dataset=train,
        eval_dataset=validation,
        data_collator=transformers.DataCollatorWithPadding(encoder.tokenizer, pad_to_multiple_of=multiple),
        compute_loss_func=mean_loss,
        callbacks=[history.EpochLine(), checkpoints.SaveWithHashes()],
    )
    trainer.classifier = scoring.TransformerClassifier(model, encoder, params.precision, trained=True)
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def training_arguments(folder: Path, params: TrainParams, divisor: int = 1) -> TrainingArguments:
    """TrainingArguments for the given parameters.

    `batch_size` is the number of reviews per optimizer step. Processes share it, and each splits its share
    into micro-batches (`micro_batch_size`), whose size `divisor` reduces.

    Raises:
        InputError: the processes cannot share a batch evenly.
    """
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=params.lr,
        num_train_epochs=params.epochs,
        warmup_steps=params.warmup_ratio,  # a value below 1 is a share of all steps
        weight_decay=params.weight_decay,
        bf16=uses_bf16(params.precision),
        use_cpu=not torch.cuda.is_available(),
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=3,  # the last two and the best: the last one may be damaged
        load_best_model_at_end=True,
        metric_for_best_model="eval_accuracy",  # validation loss can rise while accuracy improves
        logging_steps=0.02,  # a share of all steps: 50 points per curve
        disable_tqdm=True,  # StepProgress shows the progress instead
        ddp_find_unused_parameters=False,
        report_to="none",  # CurveWriter writes the curves
        seed=params.seed,
    )
    # torchrun starts one process per GPU. With several GPUs in one process, DataParallel would multiply the
    # batch.
    args._n_gpu = min(args.n_gpu, 1)
    if params.batch_size % args.world_size:
        raise InputError(
            f"params.yaml: batch_size: {args.world_size} processes cannot share "
            f"{params.batch_size} reviews evenly"
        )
    share = params.batch_size // args.world_size
    size = micro_batch_size(share, lengths(params)["train_max_length"], args.bf16, divisor)
    args.per_device_train_batch_size = size
    args.gradient_accumulation_steps = share // size
    return args


def mean_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a micro-batch, divided by the number of reviews in the whole batch.

    Without it, BERT's classifier would compute the loss, and average over the micro-batch alone.

    Args:
        outputs: the model's output, with `logits` of shape (reviews, 2).
        labels: indices into LABELS, or probabilities of POSITIVE, shape (reviews,).
        num_items_in_batch: number of reviews in the optimizer's batch.
    """
    if labels.is_floating_point():
        labels = torch.stack([1 - labels, labels], dim=1)
    return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch


class LengthGroupedTrainer(Trainer):
    """Trainer with batches of reviews of similar length, which validates with the scoring code of evaluate.

    Attributes:
        classifier: the model in training, with its encoder.
        head: where the head's first weights came from: `own`, `probe` or `random`.
        best_logits: logits of the validation reviews with the weights of the best epoch; None if that epoch
            preceded a resume, or if the weights have changed since.
    """

    classifier: scoring.TransformerClassifier
    head: str
    best_logits: np.ndarray | None = None

    def evaluation_loop(self, dataloader: Any, *args: Any, **options: Any) -> EvalLoopOutput:
        """Compute validation loss and accuracy; processes share the reviews."""
        self.classifier.model.eval()
        rows = dataloader.dataset
        own_rows = np.arange(self.args.process_index, len(rows), self.args.world_size)
        with Progress("validation", len(own_rows)) as bar:
            own_logits = self.classifier.logits(rows[own_rows]["input_ids"], bar.update)
        logits = np.empty((len(rows), len(LABELS)))
        for positions, part in gather_object([(own_rows, own_logits)]):
            logits[positions] = part
        labels = np.asarray(rows["labels"])
        loss = calibration.loss(logits, labels)
        accuracy = (logits.argmax(axis=1) == labels).mean()
        if self.state.best_metric is None or accuracy > self.state.best_metric:
            self.best_logits = logits
        metrics = {"eval_loss": loss, "eval_accuracy": float(accuracy)}
        return EvalLoopOutput(predictions=logits, label_ids=labels, metrics=metrics, num_samples=len(rows))

    def validation_probabilities(self) -> np.ndarray:
        """Probabilities of POSITIVE with the kept weights, shape (reviews,), in the order of the reviews.

        Every process must call this. It scores the reviews again unless `best_logits` are known.
        """
        rows = cast(Dataset, self.eval_dataset)
        probabilities = np.empty(len(rows))
        probabilities[rows["row"]] = positive_probability(
            self._kept_logits(), self.classifier.model.config.id2label or {}
        )
        return probabilities

    def calibrate(self) -> calibration.Calibration | None:
        """Calibrate the kept weights on the validation reviews; see `calibration.calibrate`.

        Every process must call this.
        """
        rows = cast(Dataset, self.eval_dataset)
        logits, labels = self._kept_logits(), np.asarray(rows["labels"])
        calibrated = calibration.calibrate(self.classifier.model, logits, labels)
        if calibrated:
            self.best_logits = None
        return calibrated

    def _kept_logits(self) -> np.ndarray:
        """Logits of the validation reviews with the kept weights."""
        if self.best_logits is not None:
            return self.best_logits
        return np.asarray(self.predict(cast(Dataset, self.eval_dataset)).predictions)

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> torch.utils.data.Sampler[int]:
        micro_batches = self.args.gradient_accumulation_steps * self.args.world_size
        lengths = self.train_dataset["length"]  # type: ignore[index]
        return LengthGroupedSampler(lengths, self.args.train_batch_size * micro_batches, self.args.seed)
