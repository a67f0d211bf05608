"""Files of reviews: those that a path, a folder or a pattern stands for, and what to do where there are none."""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob, has_magic
from pathlib import Path
from typing import Any, BinaryIO

from sentiment.errors import InputError, loading, one_line, reason

FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
READ = f"{', '.join(FORMATS)}, all but Parquet also with .gz, .bz2 or .xz, or a folder"
_UNPACK: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_ADVICE = {
    ".zip": "unzip it", ".tar": "unpack it", ".tgz": "unpack it", ".7z": "unpack it", ".rar": "unpack it",
    ".xlsx": "save it as CSV UTF-8", ".xls": "save it as CSV UTF-8", ".ods": "save it as CSV UTF-8",
    ".pkl": "a pickle can run code: write it as Parquet", ".pickle": "a pickle can run code: write it as Parquet",
    ".arrow": "write it as Parquet", ".feather": "write it as Parquet", ".xml": "write it as CSV or JSON Lines",
    ".txt": "name its folder, in which each .txt file is a review, or write it as CSV",
}  # fmt: skip
_LISTS = {"urls_neg.txt", "urls_pos.txt", "urls_unsup.txt"}  # of aclImdb: no reviews
QUEUED = ".dvc/tmp/exps/"  # where DVC runs queued experiments and those of --temp


def ending(path: Path) -> tuple[str, str]:
    """The format of a file by its name, such as .csv, and its compression, such as .gz, both in small letters."""
    suffixes = ["", *(suffix.lower() for suffix in path.suffixes)]
    packed = suffixes.pop() if suffixes[-1] in _UNPACK else ""
    return suffixes[-1], packed


def expand(path: Path) -> list[Path]:
    """The files that a path stands for: a file itself, the data or .txt files of a folder, those that match a pattern.

    Raises:
        InputError: there are none, of a format that is not read, or of several formats.
    """
    if path.is_dir():
        files = sorted(_within(path))
        if not files:
            raise InputError(f"{path}: there are no files of reviews in it; allowed: {', '.join(FORMATS)}, .txt")
    elif has_magic(str(path)) and not path.exists():
        matches = sorted(Path(match) for match in glob(str(path), recursive=True))  # noqa: PTH207 - follows links
        files = [file for file in matches if file.is_file() and file.name not in _LISTS]
        if not files:
            raise InputError(f"{path}: no file matches it{advice(path.parent)}")
    elif not path.exists():
        raise InputError(f"{path}: no such file{advice(path)}")
    else:
        files = [path]
    for file in files:
        format, packed = ending(file)
        if not (format in FORMATS or (format == ".txt" and file != path)) or (
            packed and format in (".parquet", ".txt")
        ):
            raise InputError(f"{file}: unknown format {format + packed!r}{_advice(format, packed)}; allowed: {READ}")
    formats = sorted({ending(file)[0] for file in files})
    if len(formats) > 1:
        some = path / f"*{formats[0]}" if path.is_dir() else f"*{formats[0]}"
        raise InputError(
            f"{path}: has files of several formats, {', '.join(formats)}; name those to read, such as {some}"
        )
    return files


def _within(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, followlinks=True):  # the data may lie on another disk
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in names:
            if not name.startswith(".") and name not in _LISTS and ending(Path(name))[0] in (*FORMATS, ".txt"):
                yield Path(parent, name)


def _advice(format: str, packed: str) -> str:
    words = _ADVICE.get(format) or ("unpack it" if packed else "")
    return f" ({words})" if words else ""


def advice(path: Path) -> str:
    """Advice on a file or folder that is not there, to follow the line that says so; empty if nothing is known."""
    for place in (path, *path.parents):
        if place.name and place.with_name(place.name + ".dvc").exists():
            return f"; DVC has it: `dvc pull {place}.dvc`"
    if QUEUED in f"{Path.cwd().as_posix()}/":
        return f" in this queued or --temp run, which has only what Git tracks; `git add {path.parent}`, or `dvc add`"
    return ""


class Opened:
    """A file that is read as text, unpacked if it is compressed; knows how far it has been read.

    A byte that is not UTF-8 is kept by `surrogateescape`: it is the fault of its row alone.

    Attributes:
        size: of the file as it lies there, in bytes.
    """

    def __init__(self, path: Path, where: str):
        self._path, self._where, self._packed = path, where, ending(path)[1]
        self._file: BinaryIO | None = None
        self.size = path.stat().st_size

    def position(self) -> int:
        """Bytes of the file that have been read."""
        return 0 if self._file is None else self.size if self._file.closed else self._file.tell()

    @contextmanager
    def text(self, newline: str) -> Iterator[io.TextIOWrapper]:
        """The text from its beginning.

        Raises:
            InputError: it cannot be opened, or, while it is read, unpacked.
        """
        with loading(self._where):
            self._file = self._path.open("rb")
        with self._file:
            unpacked = _UNPACK[self._packed](self._file) if self._packed else self._file
            try:
                with io.TextIOWrapper(unpacked, "utf-8-sig", "surrogateescape", newline) as text:
                    yield text
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                if not self._packed or getattr(error, "errno", None):
                    raise
                raise InputError(
                    f"{self._where}: damaged, cut off or no {self._packed} file: {one_line(reason(error), 120)}"
                ) from None
