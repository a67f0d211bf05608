"""Runs a stage of dvc.yaml; if it fails, restores its previous outputs from DVC's cache."""

import gc
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from sentiment import atomic, errors, startup

startup.configure()  # stages import this module before PyTorch

PARAMS = Path("params.yaml")


def run(main: Callable[[], object], name: str) -> None:
    """Run the main() of the stage `name` of dvc.yaml; errors end it as `errors.run` says.

    DVC removes a stage's outputs before it runs it. Where the stage then fails, those of the last run are put back from
    DVC's cache, so that a run that was refused, or ended by Ctrl-C or `kill`, costs nothing.
    """
    started = time.time()
    gc.freeze()  # what imports made stays: searching it for garbage, as Trainer and accelerate ask, takes 0.3 s a time
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        errors.run(main)
    except BaseException:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it when another process has failed
        if os.environ.get("RANK", "0") == "0":  # the first of several processes
            _restore_outputs(name, started)
            PARAMS.touch()  # after `dvc exp run -S`, Git else takes it for unchanged if it is no longer than before
        raise


def _restore_outputs(name: str, started: float) -> None:
    """Put back the outputs that dvc.lock has of a stage, as far as DVC's cache holds them.

    Those are meant that are not there, or that the stage has written to since it was started. Outputs with `persist`
    are left alone: DVC does not remove them, and a stage replaces each as a whole.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo() as repo:
            outs = [out for stage in repo.stage.collect(name) for out in stage.outs]
            for out in outs:
                if out.persist or _untouched(Path(out.fs_path), started):
                    continue
                atomic.remove(out.fs_path)
                if out.use_cache:
                    if not out.changed_cache():  # else it is nowhere to be had
                        out.checkout()
                elif (
                    out.hash_info
                    and (cached := Path(repo.cache.local.get(out.hash_info.value).path)).exists()
                ):
                    shutil.copyfile(cached, out.fs_path)
    except (DvcException, SCMError, OSError):
        return  # the error of the stage itself is what matters; `dvc checkout` says what is wrong with the cache


def _untouched(path: Path, since: float) -> bool:
    """Whether a file or folder is there, and nothing of it is newer."""
    files = [path] if path.is_symlink() else [path, *path.rglob("*")]
    return os.path.lexists(path) and all(file.lstat().st_mtime < since for file in files)
