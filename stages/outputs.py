"""Outputs that appear whole or not at all."""

import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.errors import InputError


@contextmanager
def room(folder: str | Path) -> Iterator[None]:
    """Turn whatever is raised in this block while the folder's disk is full into an InputError that says so.

    Each library has an error of its own for it, and some make room again before they raise it.
    """
    try:
        yield
    except Exception as error:
        if "No space left on device" in str(error) or shutil.disk_usage(folder).free < 2**20:
            raise InputError(f"{folder}: no space left on its disk") from error
        raise


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or a folder to; it takes the place of `path` only on success."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(partial)
    try:
        with room(path.parent):
            yield partial
        if path.is_dir():  # a folder cannot be renamed onto another that has files in it
            _remove(path)
        partial.replace(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_skops(model: Any, path: Path) -> None:
    """Write a scikit-learn model in skops' format, the same bytes for the same model.

    skops names its parts by their addresses in memory and stamps them with the time; here they are numbered and
    unstamped instead.
    """
    import skops.io

    numbers: dict[str, str] = {}
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as parts, zipfile.ZipFile(path, "w") as numbered:
        schema = re.sub(
            r'(?<="__id__": )\d+|\b\d+(?=\.npy")',
            lambda found: numbers.setdefault(found[0], str(len(numbers))),
            parts.read("schema.json").decode(),
        )
        contents = {
            f"{numbers[name.removesuffix('.npy')]}.npy": name for name in parts.namelist() if name.endswith(".npy")
        }
        for name in sorted(contents):
            numbered.writestr(zipfile.ZipInfo(name), parts.read(contents[name]), zipfile.ZIP_DEFLATED)
        numbered.writestr(zipfile.ZipInfo("schema.json"), schema, zipfile.ZIP_DEFLATED)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON, floats rounded to 6 decimals, keys in the order given."""

    def rounded(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rounded(item) for key, item in value.items()}
        return round(value, 6) if isinstance(value, float) else value

    with whole(path) as partial:
        partial.write_text(json.dumps(rounded(content), indent=2) + "\n", encoding="utf-8")
