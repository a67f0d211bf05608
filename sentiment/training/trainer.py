"""Builds and runs the transformers Trainer that params.yaml describes."""

from contextlib import ExitStack
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
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import logging

from sentiment import progress
from sentiment.errors import InputError, full_disk, memory_ran_out
from sentiment.labels import LABELS
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.probability import positive_probability
from sentiment.params import TrainParams
from sentiment.pretrained.building import build_classifier, check_lengths
from sentiment.pretrained.sources import Pretrained
from sentiment.progress import Progress
from sentiment.training import attention, checkpoints, history
from sentiment.training.batches import LengthGrouped, micro_batch_size


def quiet_libraries() -> None:
    """Leave one progress bar and one line an epoch of all that the libraries print."""
    disable_progress_bars()
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def lengths(params: TrainParams) -> dict[str, int]:
    """The most tokens of a review, in use (`max_length`) and in training (`train_max_length`)."""
    return {"max_length": params.max_length, "train_max_length": params.train_max_length or params.max_length}


def as_dataset(ids: list[list[int]], labels: list[int] | list[float]) -> Dataset:
    """Encoded reviews for Trainer, the longest first: so validation is read, with little padding. `row` is where each was.

    Labels are indices into LABELS, or probabilities of POSITIVE.
    """
    rows = pd.DataFrame({"input_ids": ids, "labels": labels, "length": [len(review) for review in ids]})
    rows["row"] = range(len(rows))
    rows = rows.sort_values("length", ascending=False, kind="stable")
    return Dataset.from_pandas(rows, preserve_index=False)


def fine_tune(
    folder: Path, pretrained: Pretrained, encoder: Encoder, params: TrainParams, train: Dataset, validation: Dataset,
    curves: Path | None = None,
) -> "LengthGroupedTrainer":  # fmt: skip
    """Fine-tune as params.yaml says, going on from the last checkpoint in `folder` if there is one.

    Where memory runs out, micro-batches are halved; the optimizer's batch stays. The folder `curves` is written while
    it trains, if it is given; see CurveWriter.

    Raises:
        InputError: memory runs out with one review at a time, or with several processes; or the disk is full.
    """

    def fit(parts: int) -> LengthGroupedTrainer:
        clear_device_cache(garbage_collection=True)  # of a try that ran out of memory
        transformers.set_seed(params.seed)
        model = build_classifier(pretrained, encoder, params.head, params.dropout)
        check_lengths(model, encoder, pretrained.source, **lengths(params))
        trainer = build_trainer(folder, model, encoder, params, train, validation, parts)
        checkpoint = checkpoints.last_complete(folder)
        if checkpoint and trainer.is_world_process_zero():
            print(f"going on from {checkpoint}")
        if curves:
            trainer.add_callback(history.CurveWriter(curves))
        with full_disk("models"), ExitStack() as ending:
            trainer.add_callback(Steps(ending))
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        return trainer

    parts = 1
    while True:
        try:
            return fit(parts)
        except Exception as error:
            if not memory_ran_out(error):
                raise
        args = training_arguments(folder, params, parts)
        size, device = args.per_device_train_batch_size, args.device
        if size == 1 or args.world_size > 1:  # processes would have to agree
            raise InputError(
                f"memory ran out on {device} in training {size} reviews at a time; train_max_length in params.yaml, now "
                f"{lengths(params)['train_max_length']}, is what to lower, or more processes share the batch"
            )
        print(f"memory ran out on {device} with {size} reviews at a time; going on with fewer, batch_size stays")
        parts *= 2


def build_trainer(
    folder: Path, model: PreTrainedModel, encoder: Encoder, params: TrainParams, train: Dataset, validation: Dataset,
    parts: int = 1,
) -> "LengthGroupedTrainer":  # fmt: skip
    """The Trainer that fine-tunes `model` as params.yaml says, with its checkpoints in `folder`.

    `parts` is by how much to divide the micro-batches that are usual.
    """
    if scoring.uses_bf16(params.precision) and not torch.cuda.is_available():
        attention.use_float32_in_training()
    trainer = LengthGroupedTrainer(
        model=model, args=training_arguments(folder, params, parts), train_dataset=train, eval_dataset=validation,
        # By eights only where that makes no batch longer than the model was found to read.
        data_collator=transformers.DataCollatorWithPadding(
            encoder.tokenizer, pad_to_multiple_of=None if lengths(params)["train_max_length"] % 8 else 8
        ),
        compute_loss_func=mean_loss, callbacks=[EpochLine(), checkpoints.SaveWithHashes()],
    )  # fmt: skip
    trainer.classifier = scoring.TransformerClassifier(model, encoder, params.precision, trained=True)
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def training_arguments(folder: Path, params: TrainParams, parts: int = 1) -> TrainingArguments:
    """The TrainingArguments that follow from params.yaml.

    `batch_size` is what the optimizer sees, shared among processes and gathered from micro-batches.

    Raises:
        InputError: the processes cannot share a batch evenly.
    """
    cuda = torch.cuda.is_available()
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=params.lr,
        num_train_epochs=params.epochs,
        warmup_steps=params.warmup_ratio,  # below 1, it is a share of all steps
        weight_decay=params.weight_decay,
        bf16=scoring.uses_bf16(params.precision),
        use_cpu=not cuda,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=3,  # should the last be damaged, there is the one before it, and the best
        load_best_model_at_end=True,
        metric_for_best_model="eval_accuracy",  # the loss can rise while more reviews come right
        logging_steps=0.02,  # fifty points a curve
        disable_tqdm=True,  # Steps shows a bar, and lines where there is no terminal
        ddp_find_unused_parameters=False,
        report_to="none",  # CurveWriter writes curves, without seconds
        seed=params.seed,
    )
    args._n_gpu = min(args.n_gpu, 1)  # one process a GPU, by torchrun; DataParallel would multiply the batch
    if params.batch_size % args.world_size:
        raise InputError(
            f"params.yaml: batch_size: {args.world_size} processes cannot share {params.batch_size} reviews evenly"
        )
    share = params.batch_size // args.world_size
    tokens = scoring.TOKENS_A_BATCH["cpu"] * (2 if args.bf16 else 1)  # half the bytes each
    most = share if cuda else min(share, tokens // lengths(params)["train_max_length"])
    args.per_device_train_batch_size = micro_batch_size(share, most // parts)
    args.gradient_accumulation_steps = share // args.per_device_train_batch_size
    return args


def mean_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of a micro-batch, with labels or with probabilities of POSITIVE, over the size of the whole batch.

    Trainer leaves this to the model, and BERT's classifier would average over the micro-batch alone.
    """
    if labels.is_floating_point():
        labels = torch.stack([1 - labels, labels], dim=1)
    return torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum") / num_items_in_batch


class LengthGroupedTrainer(Trainer):
    """Trainer whose batches hold reviews of like length, and whose validation scores reviews as evaluate does.

    Attributes:
        classifier: the model that is trained, and its encoder.
        best_logits: of the validation reviews, by the best epoch, unless that was before a resuming.
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
        for places, part in scored:
            logits[places] = part
        labels = np.asarray(rows["labels"])
        loss = -log_softmax(logits, axis=1)[np.arange(len(rows)), labels].mean()
        accuracy = (logits.argmax(axis=1) == labels).mean()
        if self.state.best_metric is None or accuracy > self.state.best_metric:
            self.best_logits = logits
        metrics = {"eval_loss": float(loss), "eval_accuracy": float(accuracy)}
        return EvalLoopOutput(predictions=logits, label_ids=labels, metrics=metrics, num_samples=len(rows))

    def validation_probabilities(self) -> np.ndarray:
        """Probabilities of POSITIVE by the weights that were kept, shape (validation reviews,), in the order of their file.

        Every process has to call this. The reviews are scored again only if the best epoch was before a resuming.
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


class EpochLine(TrainerCallback):
    """Prints a line of validation metrics after each epoch."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Print the line, once."""
        metrics = kwargs["metrics"]
        if state.is_world_process_zero:
            progress.say(
                f"epoch {state.epoch:.0f}/{state.num_train_epochs}: validation loss {metrics['eval_loss']:.4f}, "
                f"accuracy {metrics['eval_accuracy']:.4f}"
            )


class Steps(TrainerCallback):
    """Shows the steps of the training as progress, until `ending` ends, well or in an error."""

    def __init__(self, ending: ExitStack):
        self.ending = ending

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin with those that the checkpoint has."""
        bar = Progress("training", state.max_steps, " steps", done=state.global_step)
        self.bar = self.ending.enter_context(bar)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show the step."""
        self.bar.to(state.global_step)
