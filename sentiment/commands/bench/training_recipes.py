"""Training recipes of the benchmark: most notebooks, the guide of transformers, and the stage train."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from sentiment.commands.bench import inputs
from sentiment.commands.bench.inputs import BATCH_SIZE, new_model
from sentiment.commands.bench.measurement import TRAINING, Measured, Recipe, Round, matmul_peak, measured, now
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.params import TrainParams
from sentiment.training.fine_tuning import as_dataset, build_trainer


class Clock(TrainerCallback):
    """Measures the time of optimizer steps after the first, and stops the training after a time limit."""

    def __init__(self, seconds: float):
        self.limit, self.started, self.seconds, self.steps = seconds, 0.0, 0.0, 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the step; the first one only starts the clock."""
        if state.global_step == 1:
            self.started = now()
            return
        self.steps, self.seconds = state.global_step - 1, now() - self.started
        control.should_training_stop = self.seconds > self.limit


def train(build: Callable[[str, Round], Trainer], this_round: Round) -> Measured:
    """Train until the time limit.

    Args:
        build: builds the Trainer of a recipe, with the given output folder.
        this_round: the reviews and the time limit.
    """
    peak, clock, lengths = matmul_peak(), Clock(this_round.seconds), []
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(folder, this_round)
        model: Any = trainer.model
        trainer.add_callback(clock)
        trainer.remove_callback(transformers.PrinterCallback)
        collate = trainer.data_collator

        def collate_and_count(rows: Any) -> Any:
            batch = collate(rows)
            lengths.append(batch["attention_mask"].sum(1))
            return batch

        trainer.data_collator = collate_and_count
        trainer.train()
    batches = trainer.args.gradient_accumulation_steps
    timed = torch.cat(lengths[batches : (1 + clock.steps) * batches])  # later batches were only prefetched
    return measured(model, timed.tolist(), TRAINING, clock.seconds, peak)


def build_copied(folder: str, this_round: Round) -> Trainer:
    """The recipe of most notebooks: every review padded to max_length, and Trainer's defaults."""
    model, encoder = new_model()
    dataset = tokenized(encoder, this_round, padding="max_length")
    return Trainer(
        model,
        default_arguments(folder),
        train_dataset=dataset,
        data_collator=transformers.default_data_collator,
    )


def build_guide(folder: str, this_round: Round) -> Trainer:
    """The text classification guide of transformers: each batch padded to its longest review."""
    model, encoder = new_model()
    return Trainer(
        model,
        default_arguments(folder),
        train_dataset=tokenized(encoder, this_round),
        data_collator=transformers.DataCollatorWithPadding(encoder.tokenizer),
    )


def build_ours(folder: str, this_round: Round) -> Trainer:
    """The train stage with the parameters of params.yaml, except for the length and size of a batch."""
    changes = {
        "max_length": inputs.MAX_LENGTH,
        "batch_size": BATCH_SIZE,
        "epochs": 1,
        "seed": this_round.seed,
    }
    params = TrainParams.load().model_copy(update=changes)
    scoring.make_deterministic()
    model, encoder = new_model(params.dropout)
    dataset = as_dataset(encoder(this_round.texts)[0], this_round.labels)
    trainer = build_trainer(Path(folder), model, encoder, params, dataset, dataset.select(range(2)))
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    return trainer


def default_arguments(folder: str) -> TrainingArguments:
    """The training arguments of the reference model's card, and Trainer's defaults for all others."""
    return TrainingArguments(
        folder,
        learning_rate=2e-5,
        per_device_train_batch_size=BATCH_SIZE,
        num_train_epochs=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def tokenized(encoder: Encoder, this_round: Round, **options: Any) -> Dataset:
    """Reviews encoded by the tokenizer as in most examples."""
    columns = encoder.tokenizer(this_round.texts, truncation=True, max_length=inputs.MAX_LENGTH, **options)
    return Dataset.from_dict({**columns, "labels": this_round.labels})


RECIPES: dict[str, Recipe] = {
    "the copied recipe": partial(train, build_copied),
    "the guide's": partial(train, build_guide),
    "this train stage": partial(train, build_ours),
}
