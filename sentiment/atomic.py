"""Atomic writes: a file or folder appears complete, or not at all."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sentiment.errors import full_disk


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path for a new file or folder, which replaces `path` if the block succeeds.

    Raises:
        InputError: the disk is full.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(partial)
    try:
        with full_disk(path.parent):
            yield partial
        if path.is_dir() and not path.is_symlink():  # a rename cannot replace a folder that contains files
            remove(path)
        partial.replace(path)
    finally:
        remove(partial)


def remove(path: str | Path) -> None:
    """Remove a file, a folder with its content, or a link, if it exists."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON, with floats rounded to 6 decimals and keys in the given order."""

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rounded(item) for key, item in value.items()}
        if isinstance(value, list):
            return [rounded(item) for item in value]
        return round(value, 6) if isinstance(value, float) else value

    with replacing(path) as partial:
        partial.write_text(json.dumps(rounded(content), indent=2) + "\n", encoding="utf-8")
