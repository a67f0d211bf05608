"""Runs a stage of dvc.yaml; if it fails, restores its previous outputs from DVC's cache."""

import gc
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentiment import atomic, errors, startup

startup.configure()  # stages import this module before PyTorch

PARAMS = Path("params.yaml")


def run(main: Callable[[], object], name: str) -> None:
    """Run the main() of the stage `name` of dvc.yaml; `errors.run` reports its errors.

    DVC removes a stage's outputs before it runs the stage. If the stage fails, its previous outputs are
    restored from DVC's cache. So a run that was refused, or ended by Ctrl-C or `kill`, loses nothing.
    """
    started = time.time()
    # Keep imported objects out of garbage collection, which Trainer and accelerate request often: 0.3 s each
    # time.
    gc.freeze()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        errors.run(main)
    except BaseException:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun sends it when another process has failed
        if os.environ.get("RANK", "0") == "0":  # only the first of several processes
            _restore_outputs(name, started)
            # After `dvc exp run -S`, Git would otherwise consider the file unchanged if its size is the same.
            PARAMS.touch()
        raise


def _restore_outputs(name: str, started: float) -> None:
    """Restore the outputs that dvc.lock lists for a stage, as far as DVC's cache contains them.

    Only outputs are restored that are missing, or that changed since the stage started. Outputs with
    `persist` stay as they are, because DVC does not remove them, and a stage replaces each as a whole.
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
                    if not out.changed_cache():  # the cache contains it
                        out.checkout()
                elif out.hash_info:
                    _copy_from_cache(repo.cache.local, out.hash_info, Path(out.fs_path))
    except (DvcException, SCMError, OSError):
        return  # the stage's own error matters more; `dvc checkout` shows what is wrong with the cache


def _copy_from_cache(cache: Any, hash_info: Any, path: Path) -> None:
    """Copy a file or a folder that DVC does not check out itself, as far as DVC's run cache contains it."""
    from dvc_data.hashfile.tree import Tree

    files = {(): hash_info}
    if hash_info.isdir:
        if not Path(cache.get(hash_info.value).path).exists():
            return
        files = {key: hashed for key, (_, hashed) in Tree.load(cache, hash_info).iteritems()}
        path.mkdir(parents=True)
    for key, hashed in files.items():
        cached = Path(cache.get(hashed.value).path)
        target = path.joinpath(*key)
        if cached.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cached, target)


def _untouched(path: Path, since: float) -> bool:
    """Whether a file or folder exists and has not changed since a time."""
    files = [path] if path.is_symlink() else [path, *path.rglob("*")]
    return os.path.lexists(path) and all(file.lstat().st_mtime < since for file in files)
