"""Checks the files in DVC's cache, and the outputs in the workspace, against their MD5 hashes.

DVC hashes the files that it fetches from a remote, but trusts its cache. It also remembers the hash of each
file in the workspace until the inode, size or modification time changes. So it overlooks damage that it
copied from the cache, and decay on the disk. This command removes damaged files from the cache and corrects
the hashes that DVC remembers. DVC's own commands then see the damage and can repair it.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.repo import Repo
from dvc_data.hashfile.hash import hash_file

from sentiment.errors import InputError


def main() -> None:
    """Check the files in DVC's cache and in the workspace against their hashes."""
    with Repo() as repo:
        cache = Path(repo.cache.local.path)
        intact, removed = _remove_damaged(cache)
        owners = dict(_owners(repo, cache))
        lost = {owners.get(name, "an earlier commit") for name in removed}
        outs = [out for out in repo.index.outs if out.hash_info and out.is_in_repo]
        present = [out for out in outs if _correct_hashes(repo, out)]
        changed = {str(out) for out in present if out.changed_checksum()}
        for out in present:
            if str(out) in lost - changed:
                out.commit(relink=False)
                lost.remove(str(out))
                print(f"{out}: damaged files in DVC's cache were replaced by those in the workspace")
        remedies = _remedies(repo, [out for out in outs if str(out) in lost | changed])
    problems = []
    if lost:
        files = "1 damaged file" if len(removed) == 1 else f"{len(removed)} damaged files"
        problems.append(f".dvc/cache: removed {files} of {', '.join(sorted(lost))}")
    if changed:
        problems.append(f"wrong hashes in the workspace: {', '.join(sorted(changed))}")
    if problems:
        raise InputError("; ".join([*problems, *remedies]))
    print(
        f"all {intact} files in DVC's cache are intact, "
        f"and the {len(present)} outputs in the workspace match their hashes"
    )
    if absent := len(outs) - len(present):
        print(f"outputs that are not in the workspace: {absent}; `dvc checkout` or `dvc pull` restores them")


def _owners(repo: Repo, cache: Path) -> Iterator[tuple[str, str]]:
    """The names of objects in the cache, each with the output of the pipeline to which it belongs."""
    for out in repo.index.outs:
        if not out.hash_info:
            continue
        name = out.hash_info.value
        yield name, str(out)
        listing = cache / name[:2] / name[2:]
        if out.hash_info.isdir and listing.exists():
            for entry in json.loads(listing.read_text(encoding="utf-8")):
                yield entry["md5"], str(out)


def _remove_damaged(cache: Path) -> tuple[int, list[str]]:
    """Remove objects whose content does not match their name, which is its hash.

    Returns:
        The number of intact objects, and the names of the removed ones.
    """
    removed = []
    objects = sorted(path for path in cache.glob("??/*") if path.is_file())
    for path in objects:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "md5").hexdigest() != (path.parent.name + path.stem):
                removed.append(path.parent.name + path.name)
                path.unlink()
    return len(objects) - len(removed), removed


def _correct_hashes(repo: Repo, out: Output) -> bool:
    """Update the hashes that DVC remembers of an output; return whether the output is in the workspace."""
    cache = repo.cache.local.path
    files = [Path(out.fs_path)]
    if files[0].is_dir():
        files = [Path(path) for path in out.fs.find(out.fs_path)]
    for file in files:
        if file.is_symlink() and not file.exists() and str(file.readlink()).startswith(cache):
            file.unlink()  # DVC's commands fail on a link to an object that is no longer in the cache
        elif file.exists():
            _, digest = hash_file(str(file), out.fs, "md5")
            repo.state.save(str(file), out.fs, digest)
    return bool(out.exists)


def _remedies(repo: Repo, outs: list[Output]) -> list[str]:
    """Advice on how to restore these outputs; each command in it works as printed."""
    in_cache = [out for out in outs if out.use_cache and not out.changed_cache()]
    in_remote, damaged_in_remote, regenerated = [], [], []
    for out in outs:
        if out in in_cache:
            continue
        if not out.stage.is_data_source:
            regenerated.append(out)
        if out.use_cache and out.hash_info.isdir and _listing_is_damaged(repo, out.hash_info.value):
            damaged_in_remote.append(out)
        elif out.use_cache:
            in_remote.append(out)
    remedies = []
    if in_cache:
        remedies.append(f"`dvc checkout --force {_names(in_cache)}` restores them from DVC's cache")
    if in_remote:
        remedies.append(f"`dvc pull --force {_names(in_remote)}` restores what was pushed")
    if damaged_in_remote:
        remedies.append(f"the remote's list of the files in {_names(damaged_in_remote)} is damaged")
    if regenerated:
        remedies.append("`dvc repro` regenerates the rest")
    if damaged_in_remote:
        remedies.append("then `sentiment share` repairs the remote")
    return remedies


def _listing_is_damaged(repo: Repo, name: str) -> bool:
    """Whether the remote's list of the files in a folder is damaged; `dvc pull` would not notice."""
    try:
        remote = repo.cloud.get_remote_odb()
        content = remote.fs.cat_file(remote.oid_to_path(name))
    except (DvcException, OSError):  # there is no remote, it is out of reach, or it has no such list
        return False
    return hashlib.md5(content).hexdigest() != name.removesuffix(".dir")


def _names(outs: list[Output]) -> str:
    return " ".join(map(str, outs))
