"""Training history: progress bar, a line per epoch, curves, and the metrics of the best epoch."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from dvclive import Live
from transformers import TrainerCallback, TrainerState

from sentiment import progress
from sentiment.errors import full_disk
from sentiment.progress import Progress

CURVES = {
    "loss": "train/loss",
    "learning_rate": "learning_rate",
    "eval_loss": "validation/loss",
    "eval_accuracy": "validation/accuracy",
}


def summarise(state: TrainerState) -> dict[str, Any]:
    """Mean training loss, and the validation loss and accuracy after the best epoch."""
    epochs: list[dict[str, float]] = []
    losses: list[float] = []
    last_steps: list[float] = [0]
    for entry in state.log_history:
        if "loss" in entry:
            losses.append(entry["loss"])
            last_steps.append(entry["step"])
        if "eval_accuracy" in entry:
            epochs.append(entry)
    best = max(epochs, key=lambda entry: entry["eval_accuracy"])  # on a tie the first, as in Trainer
    return {
        "train_loss": float(np.average(losses, weights=np.diff(last_steps))),
        "validation_loss": best["eval_loss"],
        "validation_accuracy": best["eval_accuracy"],
        "best_epoch": round(best["epoch"]),
        "steps": state.global_step,
    }


class StepProgress(TrainerCallback):
    """Shows a progress bar of the training steps until `stack` closes, also after an error."""

    def __init__(self, stack: ExitStack):
        self.stack = stack

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the bar, at the checkpoint's step if training resumes."""
        bar = Progress("training", state.max_steps, " steps", done=state.global_step)
        self.bar = self.stack.enter_context(bar)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show the step."""
        self.bar.advance_to(state.global_step)


class EpochLine(TrainerCallback):
    """Prints the validation metrics after each epoch."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Print the line, in the first process only."""
        metrics = kwargs["metrics"]
        if state.is_world_process_zero:
            progress.say(
                f"epoch {state.epoch:.0f}/{state.num_train_epochs}: "
                f"validation loss {metrics['eval_loss']:.4f}, accuracy {metrics['eval_accuracy']:.4f}"
            )


class CurveWriter(TrainerCallback):
    """Writes curves of loss, validation accuracy and learning rate into a folder, through DVCLive.

    It empties the folder first. If training resumes from a checkpoint, it rewrites the curves up to that
    step. transformers' own DVCLiveCallback also logs all training arguments and durations, which differ
    between runs of the same commit.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start new curves."""
        if state.is_world_process_zero:
            self.live, self.written = Live(str(self.folder), save_dvc_exp=False, dvcyaml=None), 0
            self.on_log(args, state, control)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Append the values logged since the last call."""
        if not state.is_world_process_zero:
            return
        with full_disk(self.folder):
            for entry in state.log_history[self.written :]:
                self.live.step = int(entry["step"])
                for name, curve in CURVES.items():
                    if name in entry:
                        self.live.log_metric(curve, entry[name])
        self.written = len(state.log_history)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the summary file with the last values."""
        if state.is_world_process_zero:
            with full_disk(self.folder):
                self.live.end()
