"""Checkpoints: a training that was cut off goes on from its last complete one.

A checkpoint counts only with a list of the SHA-256 of its files, written last; so one that was cut off or damaged is
seen, and the one before it is used. The folder is named after all that the result depends on.
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
from sentiment.model.scoring import uses_bf16
from sentiment.params import TrainParams

FOLDER = Path("models/checkpoints")
LIST = "sha256.json"
SECONDS = 120.0  # between checkpoints within an epoch; every epoch ends with one


def checkpoint_folder(params: TrainParams, files: Iterable[Path]) -> Path:
    """The folder of one training's checkpoints, named after everything that its result depends on.

    Args:
        params: the parameters of the training.
        files: the files that it reads, and the stage itself; the imported modules of sentiment/ are added.
    """
    facts = {
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
    read = {str(path): _sha256(path) for path in sorted({*files, *modules})}
    # Of the launcher, the number of processes counts, which is among the facts.
    described = [params.model_dump(exclude={"launch"}), facts, read]
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
    return FOLDER / key


def remove_others(folder: Path) -> None:
    """Remove the checkpoints of every other training, left by an interruption."""
    for other in FOLDER.glob("*"):
        if other.name != folder.name:
            shutil.rmtree(other, ignore_errors=True)


def last_complete(folder: Path) -> Path | None:
    """The newest complete checkpoint in the folder whose best checkpoint so far is complete too."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        if _is_complete(checkpoint):
            state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
            best = state["best_model_checkpoint"]
            if best is None or _is_complete(Path(best)):
                return checkpoint
    return None


class SaveWithHashes(TrainerCallback):
    """Saves within long epochs too, always right after a logged step, where Trainer holds no sum half made."""

    def __init__(self) -> None:
        self.saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save if the last checkpoint is some time ago; the end of an epoch sees to itself."""
        steps = state.max_steps // state.num_train_epochs
        if control.should_log and state.global_step % steps and time.monotonic() - self.saved > SECONDS:
            control.should_save = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log what has not been logged yet."""
        control.should_log = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the list that makes the checkpoint count."""
        self.saved = time.monotonic()
        if args.world_size > 1:
            torch.distributed.barrier()  # each process has written the state of its random numbers
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            files = {path.name: _sha256(path) for path in sorted(checkpoint.iterdir()) if path.name != LIST}
            atomic.write_json(checkpoint / LIST, files)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _is_complete(checkpoint: Path) -> bool:
    try:
        files = json.loads((checkpoint / LIST).read_text(encoding="utf-8"))
        return all(_sha256(checkpoint / name) == expected for name, expected in files.items())
    except (OSError, ValueError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
