"""Finds and opens files of reviews, with advice if they are missing or of an unsupported format."""

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob, has_magic
from pathlib import Path
from typing import Any, BinaryIO

from sentiment.errors import InputError, loading, one_line, reason

FORMATS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
SUPPORTED = f"{', '.join(FORMATS)}, all but Parquet also with .gz, .bz2 or .xz, or a folder"
_UNPACK: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_ADVICE = {
    ".zip": "unzip it",
    ".tar": "unpack it",
    ".tgz": "unpack it",
    ".7z": "unpack it",
    ".rar": "unpack it",
    ".xlsx": "save it as CSV UTF-8",
    ".xls": "save it as CSV UTF-8",
    ".ods": "save it as CSV UTF-8",
    ".pkl": "a pickle can run code: write it as Parquet",
    ".pickle": "a pickle can run code: write it as Parquet",
    ".arrow": "write it as Parquet",
    ".feather": "write it as Parquet",
    ".xml": "write it as CSV or JSON Lines",
    ".txt": "if it has columns, rename it to .csv or .tsv; if not, name its folder, such as pos or neg",
    ".pos": "rename it to .txt, in a folder named pos",
    ".neg": "rename it to .txt, in a folder named neg",
}
# Files that are not read as reviews in a folder or by a pattern: lists in aclImdb, texts about the data, and
# what `sentiment audit` writes beside it.
_NO_REVIEWS = {
    "imdber.txt",
    "urls_neg.txt",
    "urls_pos.txt",
    "urls_unsup.txt",
    "readme.txt",
    "license.txt",
    "corrections.csv",
    "suspects.csv",
}
# By a pattern of a file's first bytes: the format that the file has, whatever its name says, and what to do.
_SIGNATURES = {
    rb"version https://git-lfs\.github\.com/spec/": (
        "a Git LFS pointer and not the data; `git lfs pull` fetches the data"
    ),
    rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml)\b": (
        "a page of HTML or XML and not the data; download it again"
    ),
    rb"PK\x03\x04(?s:.*)(\[Content_Types\]\.xml|xl/|opendocument)": "a spreadsheet; save it as CSV UTF-8",
    rb"PK(\x03\x04|\x05\x06)": "a zip archive; unzip it",
    rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a spreadsheet; save it as CSV UTF-8",
    rb"\x1f\x8b\x08": "compressed by gzip; add .gz to its name",
    rb"BZh[1-9]1AY&SY": "compressed by bzip2; add .bz2 to its name",
    rb"\xfd7zXZ\x00": "compressed by xz; add .xz to its name",
    rb"\x28\xb5\x2f\xfd": "compressed by Zstandard; unpack it",
    rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|(?s:.{257})ustar": "an archive; unpack it",
    rb"PAR1": "Parquet; rename it to .parquet",
    rb"ARROW1\x00\x00": "Arrow; write it as Parquet",
    rb"\x80[\x02-\x05]": "a pickle, which can run code; write it as Parquet",
    rb"%PDF-": "a PDF; write it as CSV",
    rb"SQLite format 3\x00": "an SQLite database; write its table as CSV",
}
_PACKED = {".gz": rb"\x1f\x8b\x08", ".bz2": rb"BZh[1-9]1AY&SY", ".xz": rb"\xfd7zXZ\x00"}
_HEAD = 2048  # the number of first bytes that are compared with _SIGNATURES
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
QUEUED = ".dvc/tmp/exps/"  # the folder in which DVC runs queued and --temp experiments


# What the decompressors raise at the end of a truncated or damaged file.
DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError)


def ending(path: Path) -> tuple[str, str]:
    """The format and the compression of a file by its name, in lower case: .csv and .gz, or an empty text."""
    suffixes = ["", *(suffix.lower() for suffix in path.suffixes)]
    packed = suffixes.pop() if suffixes[-1] in _UNPACK else ""
    return suffixes[-1], packed


def expand(path: Path) -> list[Path]:
    """List the files that a path names: itself, the data or .txt files in a folder, or matches of a pattern.

    Raises:
        InputError: there are none, or they have several formats or one that is not supported.
    """
    if path.is_dir():
        files = sorted(_within(path))
        if not files:
            raise InputError(f"{path}: contains no files of reviews; allowed: {', '.join(FORMATS)}, .txt")
    elif has_magic(str(path)) and not path.exists():
        matches = sorted(Path(match) for match in glob(str(path), recursive=True))  # noqa: PTH207 - follows links
        files = [file for file in matches if file.is_file() and file.name.lower() not in _NO_REVIEWS]
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
            raise InputError(
                f"{file}: unknown format {format + packed!r}{_advice(format, packed)}; allowed: {SUPPORTED}"
            )
    formats = sorted({ending(file)[0] for file in files})
    if len(formats) > 1:
        some = path / f"*{formats[0]}" if path.is_dir() else f"*{formats[0]}"
        raise InputError(
            f"{path}: has files of several formats, {', '.join(formats)}; name those to read, such as {some}"
        )
    return files


def _within(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, followlinks=True):  # the data may be on another disk
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in names:
            if name.startswith(".") or name.lower() in _NO_REVIEWS:
                continue
            if ending(Path(name))[0] in (*FORMATS, ".txt"):
                yield Path(parent, name)


def _advice(format: str, packed: str) -> str:
    words = _ADVICE.get(format) or ("unpack it" if packed else "")
    return f" ({words})" if words else ""


def advice(path: Path) -> str:
    """Advice about a missing file or folder, to append to the error; empty if there is none."""
    for place in (path, *path.parents):
        if place.name and place.with_name(place.name + ".dvc").exists():
            return f"; DVC tracks it: `dvc pull {place}.dvc`"
    if QUEUED in f"{Path.cwd().as_posix()}/":
        to_do = f"`git add {path.parent}`, or `dvc add`"
        return f" in this queued or --temp run, which has only what Git tracks; {to_do}"
    return ""


def check_encoding(name: str) -> str:
    """Check the name of a text encoding, and return it.

    Raises:
        ValueError: Python has no such encoding, or it does not encode text.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), name)
    except LookupError:
        raise ValueError(f"unknown encoding {name!r}") from None
    return name


def signature(head: bytes, but: bytes | None = None) -> str:
    """The format of an unsupported file by its first bytes, and what to do; empty for other files.

    `but` is a pattern of _SIGNATURES to skip, because the file's name says that format.
    """
    for pattern, meaning in _SIGNATURES.items():
        if pattern != but and re.match(pattern, head, re.IGNORECASE if b"html" in pattern else 0):
            return meaning
    return ""


class Opened:
    """A file that is read as text and decompressed if necessary, and the position in it.

    `surrogateescape` keeps a byte that the encoding cannot decode, so that only its row has a fault.

    Args:
        path: the file.
        where: its name in errors.
        encoding: its encoding; None: UTF-8, or the one that the byte order mark names.

    Attributes:
        size: the size of the file on disk, in bytes.
    """

    def __init__(self, path: Path, where: str, encoding: str | None = None):
        self._path, self._where, self._encoding, self._packed = path, where, encoding, ending(path)[1]
        self._file: BinaryIO | None = None
        self.size = path.stat().st_size

    def position(self) -> int:
        """Bytes of the file that have been read."""
        if self._file is None:
            return 0
        return self.size if self._file.closed else self._file.tell()

    @contextmanager
    def text(self, newline: str) -> Iterator[io.TextIOWrapper]:
        """Open the text at its beginning.

        Raises:
            InputError: it cannot be opened or is not text; while reading: it cannot be decompressed or
                decoded.
        """
        with loading(self._where):
            self._file = file = self._path.open("rb")
        with file:
            if meaning := signature(_peek(file), _PACKED.get(self._packed)):
                raise InputError(f"{self._where}: is {meaning}")
            unpacked = _UNPACK[self._packed](file) if self._packed else file
            try:
                head = _peek(unpacked)
                if meaning := signature(head):
                    raise InputError(f"{self._where}: is {meaning}")
                with io.TextIOWrapper(unpacked, self._encoding_of(head), "surrogateescape", newline) as text:
                    yield text
            except UnicodeDecodeError as error:  # an encoding with several bytes per character
                raise InputError(f"{self._where}: is not {error.encoding}: {error.reason}") from None
            except DAMAGE as error:
                if not self._packed or getattr(error, "errno", None):
                    raise
                raise InputError(
                    f"{self._where}: damaged, cut off or no {self._packed} file: "
                    f"{one_line(reason(error), 120)}"
                ) from None

    def _encoding_of(self, head: bytes) -> str:
        """The encoding of a file that begins with these bytes."""
        if self._encoding:
            utf_8 = codecs.lookup(self._encoding).name == "utf-8"
            return "utf-8-sig" if utf_8 else self._encoding
        for mark, encoding in _MARKS.items():
            if head.startswith(mark):
                return encoding
        if 4 * head.count(0) > len(head):
            raise InputError(
                f"{self._where}: is not UTF-8, but perhaps UTF-16; set `encoding` to utf-16-le or utf-16-be"
            )
        return "utf-8-sig"


def _peek(file: Any) -> bytes:
    """The first bytes of a file, without consuming them."""
    return bytes(file.peek(_HEAD)[:_HEAD])
