"""Formats of files of reviews: CSV, JSON, Parquet and .txt, each read row by row; a fault costs its row alone."""

import csv
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.data.files import Opened, ending
from sentiment.data.row import Row, check_unicode
from sentiment.data.text import nfc
from sentiment.errors import InputError, loading, one_line
from sentiment.schema import shortened

DELIMITERS = (",", ";", "\t", "|")  # of several that fit, the first
_LONGEST_FIELD = 2**24  # characters: a quote that is never closed makes one field of the rest of a CSV file
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_NO_NAME = re.compile(r"\s*[+-]?\d+(\.\d+)?\s*|.*[.!?]\s*|.{40,}", re.DOTALL)  # of a column: a review, or a label
Rows = Generator[Row, None, int]  # ends with the number of the last row


class Table(ABC):
    """One file and its rows.

    Attributes:
        where: its name, for errors.
        columns: the names that it gives its columns; None where each row has its own, in JSON.
        size: how much there is to read, in the unit of `position()`: bytes of the file, or rows.
        counts_bytes: whether these are bytes.
    """

    where: str
    columns: Sequence[str] | None = None
    size = 0
    counts_bytes = False
    _position = 0

    def position(self) -> int:
        """How much of `size` has been read."""
        return self._position

    @abstractmethod
    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1."""

    def class_names(self, column: str) -> list[str] | None:
        """The names that the file gives to the numbers 0, 1, … in a column; None if it names none."""
        return None

    def require(self, *names: str) -> None:
        """Check that each of these columns is there, once.

        Raises:
            InputError: one is not.
        """
        for name in names if self.columns is not None else ():
            if (self.columns or []).count(name) != 1:
                fault = f"no column {shortened(name)}"
                if name in (self.columns or []):
                    fault = f"column {shortened(name)} stands there twice"
                raise InputError(f"{self.where}: {fault}; it has: {one_line(', '.join(self.columns or [])) or 'none'}")


class _Text(Table):
    """A file that is read as text, whose position is that in its bytes."""

    counts_bytes = True

    def __init__(self, path: Path, where: str):
        self.where, self._file = where, Opened(path, where)
        self.size = self._file.size

    def position(self) -> int:
        """Bytes of the file that have been read."""
        return self._file.position()


class Csv(_Text):
    """A file of fields between delimiters.

    A line without anything but white space is no row where there are two columns or more. Columns without a name, and
    those that share one, are not in the values of a row.

    Args:
        path: the file.
        where: its name, for errors.
        delimiter: None: that of DELIMITERS which finds the most fields in the first line (in .tsv, a tab).
        columns: names of the columns, of a file without a header.

    Raises:
        InputError: the header is not CSV, or not UTF-8.
    """

    def __init__(self, path: Path, where: str, delimiter: str | None, columns: Sequence[str] | None):
        super().__init__(path, where)
        self._names = columns
        if delimiter is None and ending(path)[0] == ".tsv":
            delimiter = "\t"
        first, self._delimiter, fault = [""], "", None
        for candidate in [delimiter] if delimiter else DELIMITERS:
            try:
                with Opened(path, where).text(newline="") as text:
                    cells = _first(_fields(text, candidate))
            except csv.Error as error:  # quotes that end elsewhere than before this delimiter
                fault = fault or error
                continue
            fits, fitted = len(cells) == len(columns or ()), len(first) == len(columns or ())
            if not self._delimiter or (fits, len(cells)) > (fitted, len(first)):
                self._delimiter, first = candidate, cells
        if fault and len(first) < 2:
            raise InputError(f"{where}: the header: not CSV: {one_line(str(fault))}")
        if columns is None:
            try:
                check_unicode(",".join(first))
            except InputError as error:
                raise InputError(f"{where}: the header: {error}; only UTF-8 is read") from None
        self.columns = [nfc(name) for name in columns or first]

    def require(self, *names: str) -> None:
        """Check the columns as Table does; where their names look like a row, say that `columns` names them."""
        try:
            super().require(*names)
        except InputError as error:
            if not any(map(_NO_NAME.fullmatch, self.columns or [])):
                raise
            raise InputError(f"{error} (if that is a row and no header, `columns` names the columns)") from None

    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1."""
        header, where, number = list(self.columns or []), self.where, before
        named = [at for at, name in enumerate(header) if name and header.count(name) == 1]
        told = "the header" if self._names is None else "`columns`"
        with self._file.text(newline="") as text:
            rows = _fields(text, self._delimiter)
            if self._names is None:
                _first(rows)
            while True:
                line = rows.line_num
                try:
                    cells = next(rows)
                except StopIteration:
                    break
                except csv.Error as error:
                    number += 1
                    lines = f", in lines {line + 1} to {rows.line_num}" if rows.line_num > line + 1 else ""
                    yield Row(number, {}, f"not CSV: {one_line(str(error))}{lines}", where, before)
                    continue
                if not cells or (len(cells) == 1 < len(header) and not cells[0].strip()):
                    continue  # a line of white space is no row
                number += 1
                if len(cells) == len(header):
                    yield Row(number, {header[at]: cells[at] for at in named}, "", where, before)
                else:
                    yield Row(number, {}, f"has {len(cells)} fields, {told} {len(header)}", where, before)
        return number


def _fields(text: TextIO, delimiter: str) -> Any:  # what csv calls a reader has no type
    csv.field_size_limit(_LONGEST_FIELD)
    return csv.reader(text, delimiter=delimiter, strict=True)


def _first(rows: Iterator[list[str]]) -> list[str]:
    return next((cells for cells in rows if any(map(str.strip, cells))), [])


class Json(_Text):
    """A file of JSON Lines, or, where it is named .json, one array of objects, of which all is in memory at once."""

    def __init__(self, path: Path, where: str):
        super().__init__(path, where)
        self._named_json = ending(path)[0] == ".json"

    def rows(self, before: int) -> Rows:
        """Yield the rows; in JSON Lines, the number of a row is `before` and that of its line, counted from 1."""
        number, may_be_array = before, self._named_json
        with self._file.text(newline="\n") as text:
            for line in text:
                number += 1
                if not line.strip():
                    continue
                if may_be_array and line.lstrip().startswith("["):
                    return (yield from self._array(line + text.read(), before))
                may_be_array = False
                try:
                    yield Row(number, json_object(line), "", self.where, before)
                except InputError as error:
                    yield Row(number, {}, str(error), self.where, before)
        return number

    def _array(self, text: str, before: int) -> Rows:
        """The objects of an array; after a fault in its JSON, what follows cannot be told apart, and it ends."""
        number, at = 0, _after(text, text.index("[") + 1)
        try:
            while text[at : at + 1] != "]":
                number += 1
                values, end = _decode(text, at)
                try:
                    yield Row(before + number, _checked(values, text[at:end]), "", self.where, before)
                except InputError as error:
                    yield Row(before + number, {}, str(error), self.where, before)
                at = _after(text, end)
                if text[at : at + 1] == ",":
                    at = _after(text, at + 1)
                elif text[at : at + 1] != "]":
                    raise InputError("not JSON: Expecting ',' or ']' after it")
            if _after(text, at + 1) < len(text):
                raise InputError("not JSON: the array ends after it, and the file does not")
        except InputError as error:
            raise InputError(f"{self.where}: row {number}: {error}") from None
        return before + number


_WHITE = re.compile(r"[ \t\n\r]*")


def _after(text: str, at: int) -> int:
    """The place of what follows white space."""
    match = _WHITE.match(text, at)
    return match.end() if match else at


def json_object(line: str) -> dict[str, Any]:
    """The JSON object on a line.

    Raises:
        InputError: there is none, it has a key twice, or half a character.
    """
    start = _after(line, 0)
    values, end = _decode(line, start)
    if _after(line, end) < len(line):
        raise InputError("not JSON: Extra data")
    return _checked(values, line)


def _decode(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a place, and where it ends."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg}") from None
    except RecursionError:
        raise InputError("nested too deeply") from None
    except ValueError as error:  # a key twice, or a number of more than 4300 digits
        raise InputError(one_line(str(error))) from None


def _checked(values: object, text: str) -> dict[str, Any]:
    """A JSON value that is an object of whole characters; `text` is how it was written."""
    if not isinstance(values, dict):
        raise InputError(f"{type(values).__name__}; allowed: one JSON object a line, or in .json an array of them")
    if "\\ud" in text.casefold():
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{error.object[error.start]!a} is half a character") from None
    return values


def _with_unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    pairs = [(nfc(name), value) for name, value in pairs]
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {shortened(max(names, key=names.count))} stands there twice")
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=_with_unique_keys)


class Parquet(Table):
    """A Parquet file.

    Args:
        path: the file.
        where: its name, for errors.
        only: columns to read, those of them that it has; None: all.

    Raises:
        InputError: it is not Parquet.
    """

    def __init__(self, path: Path, where: str, only: Collection[str] | None):
        self.where, self._path = where, path
        with loading(where), pq.ParquetFile(path) as file:
            self.size, names = file.metadata.num_rows, file.schema_arrow.names
            self._metadata = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        self.columns = [nfc(name) for name in names]
        self._wanted = None if only is None else [name for name in names if nfc(name) in only]

    def class_names(self, column: str) -> list[str] | None:
        """The names of the classes, as the library `datasets` writes them to the metadata of a Parquet file."""
        with loading(f"{self.where}: its metadata `huggingface`"):
            features = json.loads(self._metadata).get("info", {}).get("features", {})
            feature: Any = next((each for name, each in features.items() if nfc(name) == column), {})
            while isinstance(feature, list) or "feature" in feature:  # of lists of classes
                feature = feature[0] if isinstance(feature, list) else feature["feature"]
            return feature["names"] if feature.get("_type") == "ClassLabel" else None

    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1."""
        with loading(self.where), pq.ParquetFile(self._path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(1024, columns=self._wanted):
                for row in rows_of(batch, before + self._position + 1, self.where, before):
                    self._position += 1
                    yield row
        return before + self._position


def rows_of(batch: pa.RecordBatch, start: int = 1, where: str = "", before: int = 0) -> Iterator[Row]:
    """The rows of an Arrow batch, numbered from `start`."""
    names = [nfc(name) for name in batch.schema.names]
    columns = {
        name: _values(column)
        for name, column in zip(names, batch.columns, strict=True)
        if name and names.count(name) == 1 and not _PANDAS_INDEX.fullmatch(name)
    }
    for number in range(batch.num_rows):
        values = {name: values[number] for name, values in columns.items()}
        yield Row(start + number, values, "", where, before)


def _values(column: pa.Array) -> list[Any]:
    """A column's values; text by our own decoding, so that one row which is not UTF-8 costs no other."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    return [None if value is None else _decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


class Texts(Table):
    """Files of one review each: its folder's name is the label, and the name of the folder above the split.

    So it is in aclImdb/train/pos/0_9.txt. `id` is its path from `top`.
    """

    def __init__(self, paths: Sequence[Path], where: str, top: Path):
        self.where, self._paths, self._top = where, paths, top
        self.size, self.columns = len(paths), ["id", "text", "label", "split"]

    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1."""
        for path in self._paths:
            self._position += 1
            names = path.absolute().parts
            with loading(str(path)):
                text = _decoded(path.read_bytes())
            id = str(path.relative_to(self._top)) if path.is_relative_to(self._top) else str(path)
            values = {"id": id, "text": text, "label": names[-2], "split": names[-3] if len(names) > 3 else ""}
            number = before + self._position
            yield Row(number, values, "", str(path), number)
        return before + self._position


class Lines(Table):
    """Lines of UTF-8, each a review, such as standard input."""

    def __init__(self, lines: Iterable[bytes], where: str):
        self.where, self._lines, self.columns = where, lines, ["text"]

    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1."""
        for line in self._lines:
            self._position += 1
            yield Row(before + self._position, {"text": _decoded(line.rstrip(b"\r\n"))}, "", self.where, before)
        return before + self._position


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
