"""Pushes all runs in DVC's cache to the remote, so that nobody repeats a training that has already run.

This covers two cases that `dvc push --run-cache` does not:

- It pushes the list of all runs, but only the outputs of the workspace's run, and never the metrics JSON
  files, which Git tracks. If any output of a run is missing, `dvc exp run --pull` trains again.
- If a push is interrupted, some servers (WebDAV may) keep half of a file, which DVC takes for the whole file.
"""

import hashlib
import logging
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.db import get_index
from dvc_data.hashfile.hash_info import HashInfo

from sentiment.errors import InputError, reason


def main() -> None:
    """Push all runs in DVC's cache to the remote.

    These are the workspace, the list of runs, and the outputs of each run whose outputs are all in the cache.
    """
    logging.disable(logging.ERROR)  # DVC logs a line for every file that is missing or fails
    try:
        with Repo() as repo:
            folders = Path(repo.cache.legacy.path).glob("runs/??/*/*")
            runs = [(folder.parent.name, folder.name) for folder in folders]
            complete = _complete_runs(repo, runs)
            objects = set().union(*complete)
            damaged = _remove_damaged(repo, objects)
            failed = repo.cloud.push(objects).failed
            if failed:
                raise InputError(f"{len(failed)} files were not pushed; `dvc push` shows why")
            logging.disable(logging.NOTSET)
            repo.push(run_cache=True)
    except DvcException as error:
        raise InputError(f"cannot push: {reason(error)}; `dvc push` shows more") from error
    print(f"{len(complete)} stage runs are shared")
    if damaged:
        print(f"{damaged} damaged files in the remote were replaced")
    if len(complete) < len(runs):
        print(f"{len(runs) - len(complete)} more were not shared: their outputs are no longer in the cache")


def _complete_runs(repo: Repo, runs: list[tuple[str, str]]) -> list[set[HashInfo]]:
    """The cache objects of each run whose outputs are all in the cache."""
    complete = []
    for run in runs:
        for objects in repo.stage_cache.get_used_objs([run]).values():
            if all(repo.cache.local.exists(each.value) for each in objects):
                complete.append(objects)
    return complete


def _remove_damaged(repo: Repo, objects: set[HashInfo]) -> int:
    """Remove damaged copies of these objects from the remote; return their number.

    A file is damaged if its size differs from the size in the cache. The list of files in a folder is
    damaged if its content does not match its hash, which `dvc pull` does not check.
    """
    remote, cache = repo.cloud.get_remote_odb(), repo.cache.local
    names = [str(each.value) for each in objects]
    paths = [remote.oid_to_path(name) for name in names]
    damaged = []
    for name, path, info in zip(names, paths, remote.fs.info(paths, return_exceptions=True), strict=True):
        if isinstance(info, Exception):  # not in the remote
            continue
        wrong_size = info["size"] != cache.fs.size(cache.oid_to_path(name))
        if wrong_size or (
            name.endswith(".dir") and _md5(remote.fs.cat_file(path)) != name.removesuffix(".dir")
        ):
            damaged.append(path)
    if damaged:
        remote.fs.remove(damaged)
        get_index(remote).clear()
    return len(damaged)


def _md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()
