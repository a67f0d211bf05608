"""The history of a training: a bar, a line per epoch and curves while it runs, and the figures of the kept checkpoint."""

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


class StepProgress(TrainerCallback):
    """Shows the steps of a training as progress, until `ending` closes, also after an error."""

    def __init__(self, ending: ExitStack):
        self.ending = ending

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start from the steps that the checkpoint contains."""
        bar = Progress("training", state.max_steps, " steps", done=state.global_step)
        self.bar = self.ending.enter_context(bar)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Show the step."""
        self.bar.advance_to(state.global_step)


class EpochLine(TrainerCallback):
    """Prints a line of validation metrics after each epoch."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Print the line, in the first process only."""
        metrics = kwargs["metrics"]
        if state.is_world_process_zero:
            progress.say(
                f"epoch {state.epoch:.0f}/{state.num_train_epochs}: "
                f"validation loss {metrics['eval_loss']:.4f}, accuracy {metrics['eval_accuracy']:.4f}"
            )


class CurveWriter(TrainerCallback):
    """Writes losses, validation accuracy and learning rate by step, at each log, into a folder, through DVCLive.

    What the folder had is removed; a training that goes on from a checkpoint writes first what was logged until then.
    transformers' own DVCLiveCallback also logs every training argument and the seconds taken, which differ from run
    to run of the same commit.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin new curves."""
        if state.is_world_process_zero:
            self.live, self.written = Live(str(self.folder), save_dvc_exp=False, dvcyaml=None), 0
            self.on_log(args, state, control)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Add what was logged since the last call."""
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
        """Add the last values as a file of their own."""
        if state.is_world_process_zero:
            with full_disk(self.folder):
                self.live.end()
