"""Checks every file in DVC's cache against the MD5 that it is named after, and removes those that are damaged.

DVC checks what it fetches from a remote, and takes what is in its cache as it is.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dvc.repo import Repo

from sentiment.errors import InputError


def main() -> None:
    """Check every file in DVC's cache against its hash; damaged ones are removed, for `dvc pull` or `dvc repro` to bring back."""
    with Repo() as repo:
        folder = Path(repo.cache.local.path)
        owners = dict(_owners(repo, folder))
    damaged = []
    objects = sorted(path for path in folder.glob("??/*") if path.is_file())
    for path in objects:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != (path.parent.name + path.stem):
                damaged.append(path.parent.name + path.name)
                path.unlink()
    if damaged:
        files = "1 damaged file" if len(damaged) == 1 else f"{len(damaged)} damaged files"
        of = ", ".join(sorted({owners.get(name, "an earlier commit") for name in damaged}))
        raise InputError(f".dvc/cache: removed {files}, of {of}; `dvc pull` or `dvc repro` brings it back")
    print(f"all {len(objects)} files in DVC's cache are whole")


def _owners(repo: Repo, folder: Path) -> Iterator[tuple[str, str]]:
    """Names of objects in the cache, each with the output of the pipeline that it belongs to."""
    for out in repo.index.outs:
        if not out.hash_info:
            continue
        name = out.hash_info.value
        yield name, str(out)
        listing = folder / name[:2] / name[2:]
        if out.hash_info.isdir and listing.exists():
            with suppress(ValueError):  # damaged itself
                for entry in json.loads(listing.read_text(encoding="utf-8")):
                    yield entry["md5"], str(out)
