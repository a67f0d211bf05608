"""Checkpoints, from which an interrupted training resumes.

A checkpoint is complete if the SHA-256 of its files match its list, which is written last. An incomplete or
damaged checkpoint is skipped, and the one before it is used. The folder's name is a hash of everything that
the result depends on, so no training resumes from the checkpoint of another one.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import TrainerCallback

from sentiment import atomic
from sentiment.model.precision import uses_bf16
from sentiment.params import EvaluateParams

FOLDER = Path("models/checkpoints")
HASHES = "sha256.json"
SECONDS_BETWEEN = 120.0  # within an epoch; every epoch ends with a checkpoint


def checkpoint_folder(params: EvaluateParams, files: Iterable[Path]) -> Path:
    """The folder for one training's checkpoints, named by a hash of everything that its result depends on.

    Args:
        params: the parameters of the training, with `precision`.
        files: the files that it reads, and the stage itself. The imported modules of sentiment/ are added.
    """
    environment = {
        "bf16": uses_bf16(params.precision),
        "processes": os.environ.get("WORLD_SIZE", "1"),
        "threads": torch.get_num_threads(),
        "versions": [torch.__version__, transformers.__version__],
    }
    modules = {
        Path(module.__file__)
        for name, module in sys.modules.items()
        if name.startswith("sentiment.") and module.__file__
    }
    hashes = {str(path): _sha256(path) for path in sorted({*files, *modules})}
    # The result depends on the number of processes, but not on the rest of the launch command.
    inputs = [params.model_dump(exclude={"launch"}), environment, hashes]
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    return FOLDER / key


def remove_others(folder: Path) -> None:
    """Remove the checkpoints that other interrupted trainings left behind."""
    for other in FOLDER.glob("*"):
        if other.name != folder.name:
            shutil.rmtree(other, ignore_errors=True)


def last_complete(folder: Path) -> Path | None:
    """The newest complete checkpoint whose best checkpoint so far is complete too; None if there is none."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        if _is_complete(checkpoint):
            state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
            best = state["best_model_checkpoint"]
            if best is None or _is_complete(Path(best)):
                return checkpoint
    return None


class SaveWithHashes(TrainerCallback):
    """Saves checkpoints with hashes of their files, in long epochs also between validations.

    It saves only after a logged step, when Trainer holds no partial sum of losses.
    """

    def __init__(self) -> None:
        self.last_save = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save if the last checkpoint is old enough, except at the end of an epoch, which saves anyway."""
        steps_per_epoch = state.max_steps // state.num_train_epochs
        within_epoch = state.global_step % steps_per_epoch > 0
        if control.should_log and within_epoch and time.monotonic() - self.last_save > SECONDS_BETWEEN:
            control.should_save = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log the steps since the last log."""
        control.should_log = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the hashes of the checkpoint's files, which mark it as complete."""
        self.last_save = time.monotonic()
        if args.world_size > 1:
            torch.distributed.barrier()  # until each process has written the state of its random numbers
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            files = [path for path in sorted(checkpoint.iterdir()) if path.name != HASHES]
            atomic.write_json(checkpoint / HASHES, {path.name: _sha256(path) for path in files})


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _is_complete(checkpoint: Path) -> bool:
    try:
        files = json.loads((checkpoint / HASHES).read_text(encoding="utf-8"))
        return all(_sha256(checkpoint / name) == expected for name, expected in files.items())
    except (OSError, ValueError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
