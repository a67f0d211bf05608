"""Checks that the remote has the outputs that dvc.lock names at a commit: python .ci/pushed.py BASE HEAD.

Where it has none of HEAD's and none of BASE's either, nobody pushes there, or it cannot be reached; then a line says so,
and that is no error.
"""

import sys

from dvc.repo import Repo


def stored(repo: Repo, commit: str) -> dict[str, bool]:
    """Whether the remote has each output of DVC's cache that dvc.lock names at this commit, by path."""
    remote = repo.cloud.get_remote_odb()
    with repo.switch(commit):
        hashes = {
            out.def_path: out.hash_info.value for out in repo.index.outs if out.use_cache and out.hash_info
        }
    return {path: remote.fs.exists(remote.oid_to_path(value)) for path, value in hashes.items()}


def main(base: str, head: str) -> None:
    """Exit with an error that names the outputs of `head` that are not there."""
    unused = "the remote has no output of either commit"
    try:
        with Repo() as repo:
            before, after = stored(repo, base), stored(repo, head)
    except Exception as error:  # each kind of remote has its own
        before = after = {}
        unused = f"the remote cannot be reached: {error}"
    if not any((*before.values(), *after.values())):
        print(f"{unused}; outputs are made here")
    elif missing := [path for path, there in after.items() if not there]:
        sys.exit(f"error: not in the remote: {', '.join(missing)}; `dvc push` them from where they were made")


if __name__ == "__main__":
    main(*sys.argv[1:])
