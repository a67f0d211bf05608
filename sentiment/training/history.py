"""The history of a training: its curves by step, and the figures of the checkpoint that was kept."""

from pathlib import Path
from typing import Any

import numpy as np
from dvclive import Live
from transformers import TrainerState


def summarise(state: TrainerState) -> dict[str, Any]:
    """Mean training loss, and the validation loss and accuracy after the best epoch."""
    logged = [entry for entry in state.log_history if "loss" in entry]
    steps = np.diff([0, *(entry["step"] for entry in logged)])
    epochs = [entry for entry in state.log_history if "eval_accuracy" in entry]
    best = max(epochs, key=lambda entry: entry["eval_accuracy"])  # the first of equals, as Trainer keeps it
    return {
        "train_loss": float(np.average([entry["loss"] for entry in logged], weights=steps)),
        "validation_loss": best["eval_loss"], "validation_accuracy": best["eval_accuracy"],
        "best_epoch": round(best["epoch"]), "steps": state.global_step,
    }  # fmt: skip


def write_curves(folder: Path, log_history: list[dict[str, float]]) -> None:
    """Write losses, validation accuracy and learning rate by step into a new folder, through DVCLive.

    transformers' own DVCLiveCallback also logs every training argument and the seconds taken, which differ from run
    to run of the same commit.
    """
    curves = {
        "loss": "train/loss", "learning_rate": "learning_rate", "eval_loss": "validation/loss",
        "eval_accuracy": "validation/accuracy",
    }  # fmt: skip
    with Live(str(folder), save_dvc_exp=False, dvcyaml=None) as live:
        for entry in log_history:
            live.step = int(entry["step"])
            for name, curve in curves.items():
                if name in entry:
                    live.log_metric(curve, entry[name])
