"""The project's top folder, which commands go to from any folder below it, as git and dvc do."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentiment.errors import InputError

MARKS = ("dvc.yaml", "stages/check.py")  # files of the top folder

_below = ""  # the folder in which the command was typed, seen from the top folder


def change_to_top_folder() -> None:
    """Go to the project's top folder, if the working directory is in one."""
    global _below
    here = Path.cwd()
    for folder in (here, *here.parents):
        if is_top_folder(folder):
            _below = os.path.join("", *here.relative_to(folder).parts)  # noqa: PTH118
            os.chdir(folder)
            return


def from_top(path: str) -> str:
    """A path or pattern that somebody typed, seen from the top folder; addresses such as s3:// stay."""
    return path if not path or "://" in path else os.path.join(_below, path)  # noqa: PTH118


def path_from_top(path: str | Path) -> Path:
    """The same as a Path; a Path already is the default of an option, which is of the top folder."""
    return path if isinstance(path, Path) else Path(from_top(path))


def require_project(main: Callable[..., None]) -> Callable[..., None]:
    """Let the main() of a command raise an InputError where there is no project."""

    @functools.wraps(main)
    def checked(*args: Any, **options: Any) -> None:
        if not is_top_folder():
            raise InputError(
                f"no {' and '.join(MARKS)} here or in a folder above; run this in a folder of the project"
            )
        main(*args, **options)

    return checked


def is_top_folder(folder: Path = Path()) -> bool:
    """Whether a folder, or the working directory, is the top folder of a project."""
    return all((folder / mark).is_file() for mark in MARKS)
