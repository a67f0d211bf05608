"""The one reader of review files: CSV, JSON Lines, Parquet, folders of .txt files, and lines, row by row."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.data.text import normalise
from sentiment.errors import InputError, loading, one_line
from sentiment.schema import shortened

FORMATS = (".csv", ".jsonl", ".parquet")
_LONGEST_FIELD = 2**24  # characters: a quote that is never closed makes one field of the rest of a CSV file
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


class Row(NamedTuple):
    """A row of a file: its number, counted from 1 (in JSON Lines that of its line), its values, and what is wrong with it."""

    number: int
    values: dict[str, Any]
    fault: str = ""

    def text(self, column: str) -> str:
        """The normalised review in this column.

        Raises:
            InputError: there is none, or the row has a fault; the message is what follows the number of the row.
        """
        text = self.value(column)
        if not isinstance(text, str):
            raise InputError(f"{one_line(column, 80)} {shortened(text)} is not text")
        text = normalise(text)
        if not text:
            raise InputError("the text is empty; every review needs some")
        return text

    def value(self, column: str) -> Any:
        """The value in this column; text is Unicode.

        Raises:
            InputError: there is none, or the row has a fault; the message is what follows the number of the row.
        """
        if self.fault:
            raise InputError(self.fault)
        if column not in self.values:
            names = one_line(", ".join(self.values)) or "nothing"
            raise InputError(f"has no {one_line(column, 80)}; it has: {names}")
        value = self.values[column]
        if isinstance(value, str):
            _check_unicode(value)
        return value


class Reader:
    """The rows of a CSV, JSON Lines or Parquet file, of a folder of .txt files, or of lines, each a review.

    A line without anything but white space is no row of JSON Lines, nor of CSV with two columns or more. Columns without
    a name, and those that share one, are not in the values of a row.

    Args:
        path: the file or folder; None: the lines.
        lines: UTF-8, such as standard input; they have the column `text`.
        only: columns to read of a Parquet file, those of them that it has; None: all.

    Attributes:
        columns: the names that the file gives its columns; None where each row has its own, in JSON Lines.
        total: how much there is to read, in the unit of `position()`: bytes, or rows; None is unknown.

    Raises:
        InputError: there is no such file, or the format is unknown; while it is read: the file is damaged beyond a row.
    """

    def __init__(self, path: Path | None, lines: Iterable[bytes] = (), only: Iterable[str] | None = None):
        self.path, self.where = path, str(path or "standard input")
        self.columns: list[str] | None = ["id", "text"]
        self.total: int | None = None
        self._given, self._only = lines, only
        self._position = 0
        self._file: BinaryIO | None = None
        if path is None:
            self.columns, self._rows = ["text"], self._lines
        elif path.is_dir():
            self._files = sorted(path.rglob("*.txt"))
            if not self._files:
                raise InputError(f"{path}: there are no .txt files in it")
            self._rows, self.total = self._folder, len(self._files)
        elif not path.exists():
            raise InputError(f"{path}: no such file")
        elif path.suffix == ".parquet":
            with loading(str(path)), pq.ParquetFile(path) as file:
                self._rows, self.total = self._parquet, file.metadata.num_rows
                self.columns = file.schema_arrow.names
        elif path.suffix == ".csv":
            self._rows, self.total = self._csv, path.stat().st_size
            with self._open(newline="") as text:
                self.columns = self._header(self._cells(text))
        elif path.suffix == ".jsonl":
            self._rows, self.total = self._json_lines, path.stat().st_size
            self.columns = None
        else:
            raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: {', '.join(FORMATS)}, or a folder")

    def __iter__(self) -> Iterator[Row]:
        """The rows, in their order."""
        return self._rows()

    @property
    def counts_bytes(self) -> bool:
        """Whether `total` and `position()` are in bytes."""
        return self.path is not None and self.path.suffix in (".csv", ".jsonl")

    def position(self) -> int:
        """How much of `total` has been read."""
        if self._file is None or self._file.closed:
            return self._position
        return self._file.tell()

    def require(self, *names: str) -> None:
        """Check that each of these columns is there, once.

        Raises:
            InputError: one is not.
        """
        require(self.where, self.columns, *names)

    def _lines(self) -> Iterator[Row]:
        for line in self._given:
            self._position += 1
            yield Row(self._position, {"text": _decoded(line.rstrip(b"\r\n"))})

    def _folder(self) -> Iterator[Row]:
        assert self.path
        for file in self._files:
            self._position += 1
            yield Row(self._position, {"id": str(file.relative_to(self.path)), "text": _decoded(file.read_bytes())})

    def _open(self, newline: str) -> io.TextIOWrapper:
        assert self.path
        with loading(self.where):
            self._file = self.path.open("rb")
        # A byte that is not UTF-8 is the fault of its row alone.
        return io.TextIOWrapper(self._file, encoding="utf-8-sig", errors="surrogateescape", newline=newline)

    def _cells(self, file: io.TextIOWrapper) -> Iterator[list[str]]:
        csv.field_size_limit(_LONGEST_FIELD)
        return csv.reader(file, strict=True)

    def _header(self, rows: Iterator[list[str]]) -> list[str]:
        try:
            names = next((cells for cells in rows if any(map(str.strip, cells))), [])
            _check_unicode(",".join(names))
        except csv.Error as error:
            raise InputError(f"{self.where}: the header: not CSV: {one_line(str(error))}") from None
        except InputError as error:
            raise InputError(f"{self.where}: the header: {error}; only UTF-8 is read") from None
        return names

    def _csv(self) -> Iterator[Row]:
        with self._open(newline="") as file:
            rows = self._cells(file)
            header = self._header(rows)
            named = [at for at, name in enumerate(header) if name and header.count(name) == 1]
            number = 0
            while True:
                try:
                    cells = next(rows)
                except StopIteration:
                    break
                except csv.Error as error:
                    number += 1
                    yield Row(number, {}, f"not CSV: {one_line(str(error))}")
                    continue
                if not cells or (len(cells) == 1 < len(header) and not cells[0].strip()):
                    continue  # a line of white space is no row
                number += 1
                if len(cells) == len(header):
                    yield Row(number, {header[at]: cells[at] for at in named})
                else:
                    yield Row(number, {}, f"has {len(cells)} fields, the header {len(header)}")
        self._position = self.total or 0

    def _json_lines(self) -> Iterator[Row]:
        with self._open(newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield Row(number, json_object(line))
                except InputError as error:
                    yield Row(number, {}, str(error))
        self._position = self.total or 0

    def _parquet(self) -> Iterator[Row]:
        with loading(self.where), pq.ParquetFile(self.path, page_checksum_verification=True) as file:
            wanted = None if self._only is None else [name for name in self._only if name in (self.columns or [])]
            for batch in file.iter_batches(1024, columns=wanted):
                for row in rows_of(batch, self._position + 1):
                    self._position += 1
                    yield row


def require(where: str, columns: list[str] | None, *names: str) -> None:
    """Raise InputError, which names `where`, unless each name is that of one column; None: each row has its own."""
    if columns is None:
        return
    for name in names:
        if columns.count(name) != 1:
            fault = (
                f"column {shortened(name)} stands there twice" if name in columns else f"no column {shortened(name)}"
            )
            raise InputError(f"{where}: {fault}; it has: {one_line(', '.join(columns)) or 'none'}")


def rows_of(batch: pa.RecordBatch, start: int = 1) -> Iterator[Row]:
    """The rows of an Arrow batch, numbered from `start`."""
    names = batch.schema.names
    columns = {
        name: _values(column)
        for name, column in zip(names, batch.columns, strict=True)
        if name and names.count(name) == 1 and not _PANDAS_INDEX.fullmatch(name)
    }
    for number in range(batch.num_rows):
        yield Row(start + number, {name: values[number] for name, values in columns.items()})


def _values(column: pa.Array) -> list[Any]:
    """A column's values; text by our own decoding, so that one row which is not UTF-8 costs no other."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    return [None if value is None else _decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:  # how _decoded keeps a byte
            raise InputError(f"byte 0x{code - 0xDC00:02x} is not UTF-8") from None
        raise InputError(f"{text[error.start]!a} is half a character") from None


def json_object(line: str) -> dict[str, Any]:
    """The JSON object on a line.

    Raises:
        InputError: there is none, it has a key twice, or half a character.
    """
    try:
        values = json.loads(line, object_pairs_hook=_with_unique_keys)
        if "\\ud" in line.casefold():
            json.dumps(values, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg}") from None
    except RecursionError:
        raise InputError("nested too deeply") from None
    except UnicodeEncodeError as error:
        raise InputError(f"{error.object[error.start]!a} is half a character") from None
    except ValueError as error:  # a key twice, or a number of more than 4300 digits
        raise InputError(one_line(str(error))) from None
    if not isinstance(values, dict):
        raise InputError(f"{type(values).__name__}; allowed: one JSON object a line")
    return values


def _with_unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {shortened(max(names, key=names.count))} stands there twice")
    return values
