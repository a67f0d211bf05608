"""Checks that the remote has the outputs in dvc.lock of a commit: python .ci/pushed.py BASE HEAD.

If the remote has no output of either commit, or cannot be reached, the team does not push there. This is
reported, but is no error.
"""

import sys

from dvc.repo import Repo


def stored(repo: Repo, commit: str) -> dict[str, bool]:
    """Whether the remote has each cached output of a commit, by path."""
    remote = repo.cloud.get_remote_odb()
    with repo.switch(commit):
        hashes = {
            out.def_path: out.hash_info.value for out in repo.index.outs if out.use_cache and out.hash_info
        }
    return {path: remote.fs.exists(remote.oid_to_path(value)) for path, value in hashes.items()}


def main(base: str, head: str) -> None:
    """Exit with an error that names the outputs of `head` that are missing."""
    unused = "the remote has no output of either commit"
    try:
        with Repo() as repo:
            before, after = stored(repo, base), stored(repo, head)
    except Exception as error:  # each kind of remote raises its own
        before = after = {}
        unused = f"the remote cannot be reached: {error}"
    if not any((*before.values(), *after.values())):
        print(f"{unused}; this job runs the stages itself")
    elif missing := [path for path, is_stored in after.items() if not is_stored]:
        sys.exit(f"error: not in the remote: {', '.join(missing)}; `dvc push` them where they were produced")


if __name__ == "__main__":
    main(*sys.argv[1:])
