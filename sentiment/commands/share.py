"""Pushes every run that is in DVC's cache, so that nobody trains again what was trained here.

`dvc push --run-cache` pushes the list of all runs, but of outputs only the workspace's, and never the metrics JSON, which
Git tracks; where one is missing, `dvc exp run --pull` trains again. And where a server keeps half of a file (WebDAV may)
when a push is cut off, DVC takes it for all of it.
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
    """Push every run that is in DVC's cache: the workspace, the list of runs, and the outputs of those that are complete."""
    logging.disable(logging.ERROR)  # DVC has a line for every file that is missing, or fails
    try:
        with Repo() as repo:
            runs = [
                (path.parent.name, path.name) for path in Path(repo.cache.legacy.path).glob("runs/??/*/*")
            ]
            used = [objects for run in runs for objects in repo.stage_cache.get_used_objs([run]).values()]
            complete = [
                objects for objects in used if all(repo.cache.local.exists(each.value) for each in objects)
            ]
            objects = set().union(*complete)
            damaged = _remove_damaged(repo, objects)
            failed = repo.cloud.push(objects).failed
            if failed:
                raise InputError(f"{len(failed)} files were not pushed; `dvc push` says why")
            logging.disable(logging.NOTSET)
            repo.push(run_cache=True)
    except DvcException as error:
        raise InputError(f"cannot push: {reason(error)}; `dvc push` says more") from error
    print(f"{len(complete)} stage runs are shared")
    if damaged:
        print(f"{damaged} damaged files in the remote were replaced")
    if len(complete) < len(runs):
        print(f"the outputs of {len(runs) - len(complete)} more are no longer in the cache")


def _remove_damaged(repo: Repo, objects: set[HashInfo]) -> int:
    """Remove damaged copies of these objects from the remote; return how many.

    Those are files that are not as long as in the cache, and lists of a folder's files whose content is not what their
    name says: `dvc pull` follows them without a check.
    """
    remote, cache = repo.cloud.get_remote_odb(), repo.cache.local
    names = [str(each.value) for each in objects]
    paths = [remote.oid_to_path(name) for name in names]
    damaged = []
    for name, path, info in zip(names, paths, remote.fs.info(paths, return_exceptions=True), strict=True):
        if isinstance(info, Exception):  # it is not there
            continue
        cut_off = info["size"] != cache.fs.size(cache.oid_to_path(name))
        if cut_off or (name.endswith(".dir") and _md5(remote.fs.cat_file(path)) != name.removesuffix(".dir")):
            damaged.append(path)
    if damaged:
        remote.fs.remove(damaged)
        get_index(remote).clear()
    return len(damaged)


def _md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()
