"""How a stage of dvc.yaml ends: in its outputs, or in one line with the outputs of the last run back in their place."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from sentiment import errors

PARAMS = Path("params.yaml")


def run(main: Callable[[], object], name: str) -> None:
    """Run the main() of the stage `name` of dvc.yaml; errors end it as `errors.run` says.

    DVC removes a stage's outputs before it runs it. Where the stage then fails, those of the last run are put back from
    DVC's cache, so that a run that was refused costs nothing.
    """
    try:
        errors.run(main)
    except BaseException:
        if os.environ.get("RANK", "0") == "0":  # the first of several processes
            _restore_outputs(name)
            PARAMS.touch()  # after `dvc exp run -S`, Git else takes it for unchanged if it is no longer than before
        raise


def _restore_outputs(name: str) -> None:
    """Put back the outputs that dvc.lock has of a stage and that are not there, as far as DVC's cache holds them."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo() as repo:
            missing = [out for stage in repo.stage.collect(name) for out in stage.outs if not out.exists]
            for out in missing:
                if out.use_cache:
                    if not out.changed_cache():  # else it is nowhere to be had
                        out.checkout()
                elif out.hash_info and (cached := Path(repo.cache.local.get(out.hash_info.value).path)).exists():
                    shutil.copyfile(cached, out.fs_path)
    except (DvcException, SCMError, OSError):
        return  # the error of the stage itself is what matters; `dvc checkout` says what is wrong with the cache
