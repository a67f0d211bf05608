"""The project's top folder. Commands work in any folder below it, as git and dvc do."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentiment.errors import InputError

MARKERS = ("dvc.yaml", "stages/check.py")  # files that identify the top folder

_started_in = ""  # the folder where the command was started, relative to the top folder


def change_to_top_folder() -> None:
    """Change to the project's top folder, if the working directory is inside a project."""
    global _started_in
    here = Path.cwd()
    for folder in (here, *here.parents):
        if is_top_folder(folder):
            _started_in = os.path.join("", *here.relative_to(folder).parts)  # noqa: PTH118
            os.chdir(folder)
            return


def from_top(path: str) -> str:
    """Make a path or pattern that a user typed relative to the top folder; URLs such as s3:// stay."""
    if not path or "://" in path:
        return path
    return os.path.join(_started_in, path)  # noqa: PTH118


def path_from_top(path: str | Path) -> Path:
    """The same as a Path. A Path is the default of an option, which is relative to the top folder already."""
    return path if isinstance(path, Path) else Path(from_top(path))


def require_project(main: Callable[..., None]) -> Callable[..., None]:
    """Wrap the main() of a command to raise an InputError outside a project."""

    @functools.wraps(main)
    def checked(*args: Any, **options: Any) -> None:
        if not is_top_folder():
            raise InputError(
                f"no {' and '.join(MARKERS)} here or in a folder above; run this in a folder of the project"
            )
        main(*args, **options)

    return checked


def is_top_folder(folder: Path = Path()) -> bool:
    """Whether a folder, by default the working directory, is the top folder of a project."""
    return all((folder / marker).is_file() for marker in MARKERS)
