"""Formats of files of reviews: CSV, JSON, Parquet and .txt, each read row by row, with faults per row."""

import csv
import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.data.files import DAMAGE, Opened, ending, signature
from sentiment.data.layout import Layout
from sentiment.data.quoting import QUOTINGS, Quoting, csv_reader, detect_quoting
from sentiment.data.row import Row
from sentiment.data.text import column_name, readable
from sentiment.errors import InputError, loading, one_line
from sentiment.validation import listed, shortened

DELIMITERS = (",", ";", "\t", "|")  # if several fit, the first is used
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
# Text that is unlikely as the name of a column: a label, or a review.
_NO_NAME = re.compile(r"\s*[+-]?\d+(\.\d+)?\s*|.*[.!?]\s*|.{40,}", re.DOTALL)
_FIRST_LINE = 1000  # characters of the first line, from which JSON and lines such as sep=; are recognised
_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # the first line of a CSV file for Excel
Rows = Generator[Row, None, int]  # returns the number of the last row


class Table(ABC):
    """One file and its rows.

    Attributes:
        where: the name of the file in errors.
        columns: the names of its columns; None for JSON, where each row has its own.
        size: the amount to read, in the unit of `position()`: bytes of the file, or rows.
        counts_bytes: whether the unit is bytes.
        is_empty: whether the file has no content, which is allowed for one of several shards.
    """

    where: str
    columns: Sequence[str] | None = None
    size = 0
    counts_bytes = False
    is_empty = False
    _position = 0

    def position(self) -> int:
        """How much of `size` has been read."""
        return self._position

    @abstractmethod
    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1."""

    def class_names(self, column: str) -> list[str] | None:
        """The names that the file gives the numbers 0, 1, … in a column; None if it names none."""
        return None

    def require(self, *names: str) -> None:
        """Check that the file has each of these columns, once.

        Raises:
            InputError: it does not.
        """
        if self.columns is None:
            return
        for name in names:
            if self.columns.count(name) != 1:
                fault = f"no column {shortened(name)}"
                if name in self.columns:
                    fault = f"column {shortened(name)} occurs twice"
                raise InputError(f"{self.where}: {fault}; it has: {listed(self.columns) or 'none'}")


class _Text(Table):
    """A file that is read as text; its position is counted in bytes."""

    counts_bytes = True

    def __init__(self, path: Path, where: str, encoding: str | None):
        self.where, self._path, self._given_encoding = where, path, encoding
        self._encoding = encoding or "UTF-8"
        self._file = self._open()
        self.size = self._file.size

    def _open(self) -> Opened:
        return Opened(self._path, self.where, self._given_encoding)

    def position(self) -> int:
        """Bytes of the file that have been read."""
        return self._file.position()


class Csv(_Text):
    """A file of fields between delimiters.

    In a file of several columns, a line of white space is not a row. The values of a row leave out columns
    that have no name or share one.

    Raises:
        InputError: the file is not text, or its header is not CSV; while reading: the meaning of its quotes
            is unclear.
    """

    def __init__(self, path: Path, where: str, layout: Layout):
        super().__init__(path, where, layout.encoding)
        self._names, self._quoting = layout.columns, layout.quoting
        with self._open().text(newline="") as text:
            first_line = text.readline(_FIRST_LINE)
            if first_line.lstrip().startswith(('{"', "[{")):
                raise InputError(f"{where}: is JSON; rename it to .json or .jsonl")
            sep_line = _SEP_LINE.fullmatch(first_line)
            self._skipped = 1 if sep_line else 0  # lines before the header
            delimiter = layout.delimiter
            if not delimiter and sep_line:
                delimiter = sep_line[1]
            elif not delimiter and ending(path)[0] == ".tsv":
                delimiter = "\t"
            self._delimiter, self._header_quoting, first_row = self._find_delimiter(text, delimiter)
        names = self._names or [readable(name) for name in first_row]
        self.columns = [column_name(name) for name in names]
        self._header_is_text = self._names is not None or first_row == list(names)

    def _find_delimiter(self, text: io.TextIOBase, given: str | None) -> tuple[str, Quoting, list[str]]:
        """Find the delimiter with the most fields in the first row, the meaning of quotes, and the fields.

        If `columns` names the columns, a delimiter that finds one field for each name is preferred. Then the
        first row
        is not a header, and all meanings of quotes are tried: the meaning in this file is not known yet.
        """
        best, fault = None, None
        quotings: Sequence[Quoting] = QUOTINGS if self._names else QUOTINGS[:1]
        for delimiter in [given] if given else DELIMITERS:
            for quoting in [self._quoting] if self._quoting else quotings:
                try:
                    text.seek(0)
                    lines = islice(text, self._skipped, None)
                    cells = _first(csv_reader(lines, delimiter, quoting))
                except csv.Error as error:  # a quoted field does not end before this delimiter
                    fault = fault or error
                    continue
                usual = quoting == quotings[0]
                fits = len(cells) == len(self._names or ()) and (usual or len(cells) > 1)
                rank = (fits, usual, len(cells))
                if best is None or rank > best[0]:
                    best = rank, delimiter, quoting, cells
                break
        if best is None or (fault and len(best[3]) < 2):
            raise InputError(f"{self.where}: the header: not CSV: {one_line(str(fault))}")
        return best[1:]

    @contextmanager
    def _lines_of_rows(self, file: Opened | None = None) -> Iterator[tuple[Iterator[str], int]]:
        """The lines of the file after the header, and the number of lines before them."""
        with (file or self._open()).text(newline="") as text:
            lines = islice(text, self._skipped, None)
            header = csv_reader(lines, self._delimiter, self._header_quoting)
            if self._names is None:
                _first(header)
            yield lines, self._skipped + header.line_num

    @contextmanager
    def _lines_before_damage(self) -> Iterator[tuple[Iterator[str], int]]:
        """The same, without an error at a damaged end: the rows before it are read first."""
        with self._lines_of_rows() as (lines, skipped):
            yield _until_damage(lines), skipped

    def require(self, *names: str) -> None:
        """Check the columns as Table does; if one is missing, add a hint at the cause."""
        try:
            super().require(*names)
        except InputError as error:
            if not any(self.columns or []):
                raise InputError(f"{self.where}: is empty") from None
            hint = ""
            if not self._header_is_text:
                set_encoding = "set `encoding` to that of the file, such as cp1252"
                hint = f" (the header is not {self._encoding}; {set_encoding})"
            elif any(map(_NO_NAME.fullmatch, self.columns or [])):
                hint = " (if this is a row rather than a header, `columns` names the columns)"
            raise InputError(f"{error}{hint}") from None

    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1."""
        header, where, number = list(self.columns or []), self.where, before
        if not header:  # the file is empty
            return number
        unique = [at for at, name in enumerate(header) if name and header.count(name) == 1]
        names_from = "the header" if self._names is None else "`columns`"
        advice = "" if self._quoting else " (if quotes are ordinary characters, set `quoting` to none)"
        if self._quoting is None:
            self._quoting = detect_quoting(self._lines_before_damage, self._delimiter, len(header), where)
        with self._lines_of_rows(self._file) as (lines, skipped):
            rows = csv_reader(lines, self._delimiter, self._quoting)
            while True:
                line = skipped + rows.line_num
                try:
                    cells = next(rows)
                except StopIteration:
                    break
                except csv.Error as error:
                    number += 1
                    last = skipped + rows.line_num
                    place = f", in lines {line + 1} to {last}" if last > line + 1 else ""
                    yield Row(number, {}, f"not CSV: {one_line(str(error))}{place}{advice}", where, before)
                    continue
                if not cells or (len(cells) == 1 < len(header) and not cells[0].strip()):
                    continue  # a line of white space is not a row
                number += 1
                if len(cells) == len(header):
                    values = {header[at]: cells[at] for at in unique}
                    yield Row(number, values, "", where, before, self._encoding)
                else:
                    fault = f"has {len(cells)} fields, {names_from} {len(header)}"
                    yield Row(number, {}, fault, where, before)
        return number


def _first(rows: Iterator[list[str]]) -> list[str]:
    return next((cells for cells in rows if any(map(str.strip, cells))), [])


def _until_damage(lines: Iterator[str]) -> Iterator[str]:
    """The lines up to where a compressed file is damaged."""
    try:
        yield from lines
    except (*DAMAGE, UnicodeDecodeError):
        return


class Json(_Text):
    """A file of JSON Lines.

    A file named .json may also contain an array of objects, alone or in an object such as {"data": [...]}, or
    objects that span several lines. These are all in memory at once.
    """

    def __init__(self, path: Path, where: str, encoding: str | None):
        super().__init__(path, where, encoding)
        self._named_json = ending(path)[0] == ".json"
        with self._open().text(newline="\n") as text:
            self.is_empty = not text.read(1)

    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1; in JSON Lines, lines are counted."""
        number = before
        with self._file.text(newline="\n") as text:
            lines: Iterable[str] = text
            if self._named_json:
                first = _through_next(text)
                if _continues(first):
                    return (yield from self._values(first + text.read(), before))
                second = _through_next(text)
                if not second.strip():
                    return (yield from self._values(first, before))
                lines = chain(first.splitlines(), second.splitlines(), text)
            for line in lines:
                number += 1
                if not line.strip():
                    continue
                try:
                    yield self._row(number, json_object(line), before)
                except InputError as error:
                    advice = ""
                    if line.strip() == "{":
                        advice = "; write one object per line; in a file named .json, objects may span lines"
                    yield Row(number, {}, f"{error}{advice}", self.where, before)
        return number

    def _row(self, number: int, values: dict[str, Any], before: int) -> Row:
        return Row(number, values, "", self.where, before, self._encoding)

    def _values(self, text: str, before: int) -> Rows:
        """Yield the objects of an array, or objects one after another.

        Raises:
            InputError: a value is not JSON, so that the end of its row is unknown.
        """
        number, at, only = 0, _after(text, 0), False
        in_array = text.startswith("[", at)
        at, end = (_after(text, at + 1), "]") if in_array else (at, "")
        try:
            while text[at : at + 1] != end:
                number += 1
                start = at
                values, at = _decode(text, start)
                written, at = text[start:at], _after(text, at)
                only = number == 1 and at == len(text) and not in_array
                if only:
                    break
                try:
                    yield self._row(before + number, _checked(values, written), before)
                except InputError as error:
                    yield Row(before + number, {}, str(error), self.where, before)
                if in_array and text[at : at + 1] == ",":
                    at = _after(text, at + 1)
                elif in_array and text[at : at + 1] != "]":
                    raise InputError("not JSON: Expecting ',' or ']' after it")
            if in_array and _after(text, at + 1) < len(text):
                raise InputError("not JSON: the file continues after the end of the array")
        except InputError as error:
            raise InputError(f"{self.where}: row {number}: {error}") from None
        return (yield from self._only(values, written, before)) if only else before + number

    def _only(self, values: object, written: str, before: int) -> Rows:
        """Yield the rows of a file with one value: the objects in its only list of objects, or the value."""
        rows = [values]
        if isinstance(values, dict):
            lists = [key for key, value in values.items() if _is_list_of_objects(value)]
            if len(lists) == 1:
                rows = values[lists[0]]
            elif values and all(isinstance(value, dict | list) for value in values.values()):
                raise InputError(
                    f"{self.where}: has the columns or lists {one_line(', '.join(values), 80)}, and not one "
                    "object per review; write it as JSON Lines (in pandas: to_json(path, orient='records', "
                    "lines=True))"
                )
        number, escapes = before, "\\ud" if "\\ud" in written.casefold() else ""
        for row in rows:
            number += 1
            try:
                yield self._row(number, _checked(row, escapes), before)
            except InputError as error:
                yield Row(number, {}, str(error), self.where, before)
        return number


def _through_next(text: Iterable[str]) -> str:
    """The lines of a text up to and including the next one that is not blank."""
    lines = []
    for line in text:
        lines.append(line)
        if line.strip():
            break
    return "".join(lines)


def _continues(line: str) -> bool:
    """Whether the JSON on this line is an array, or continues on the next line."""
    if line.lstrip().startswith("["):
        return True
    try:
        _DECODER.raw_decode(line, _after(line, 0))
    except json.JSONDecodeError as error:
        return not line[error.pos :].strip()
    except (RecursionError, ValueError):
        return False
    return False


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


_WHITE = re.compile(r"[ \t\n\r]*")


def _after(text: str, at: int) -> int:
    """The position after white space."""
    match = _WHITE.match(text, at)
    return match.end() if match else at


def json_object(line: str) -> dict[str, Any]:
    """Parse the JSON object on a line.

    Raises:
        InputError: there is none, a key occurs twice, or a character is half of a surrogate pair.
    """
    start = _after(line, 0)
    values, end = _decode(line, start)
    if _after(line, end) < len(line):
        raise InputError("not JSON: Extra data")
    return _checked(values, line)


def _decode(text: str, at: int) -> tuple[Any, int]:
    """The JSON value that begins at a position, and the position of its end."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg}") from None
    except RecursionError:
        raise InputError("nested too deeply") from None
    except ValueError as error:  # a key that occurs twice, or a number of more than 4300 digits
        raise InputError(one_line(str(error))) from None


def _checked(values: object, text: str) -> dict[str, Any]:
    """Check that a JSON value is an object without unpaired surrogates; `text` is its source."""
    if not isinstance(values, dict):
        raise InputError(
            f"{type(values).__name__}; allowed: one JSON object per line, or in .json an array of them"
        )
    if "\\ud" in text.casefold():
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{error.object[error.start]!a} is half a character") from None
    return values


def _with_unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = {column_name(name): value for name, value in pairs}
    if len(values) < len(pairs):
        names = [column_name(name) for name, _ in pairs]
        raise ValueError(f"key {shortened(max(names, key=names.count))} occurs twice")
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=_with_unique_keys)


class Parquet(Table):
    """A Parquet file.

    Args:
        path: the file.
        where: its name in errors.
        only: the columns to read, if it has them; None: all.

    Raises:
        InputError: it is not Parquet.
    """

    def __init__(self, path: Path, where: str, only: Collection[str] | None):
        self.where, self._path = where, path
        with loading(where):
            with path.open("rb") as start:
                head = start.read(2048)
            if not head.startswith(b"PAR1"):
                raise InputError(f"{where}: is {signature(head) or ('not Parquet' if head else 'empty')}")
            with pq.ParquetFile(path) as file:
                self.size, names = file.metadata.num_rows, file.schema_arrow.names
                self._metadata = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        self.columns = [column_name(name) for name in names]
        self._wanted = None if only is None else [name for name in names if column_name(name) in only]

    def class_names(self, column: str) -> list[str] | None:
        """The names of the classes that the library `datasets` wrote to the metadata of the file."""
        with loading(f"{self.where}: its metadata `huggingface`"):
            features = json.loads(self._metadata).get("info", {}).get("features", {})
            feature: Any = next((each for name, each in features.items() if column_name(name) == column), {})
            while isinstance(feature, list) or "feature" in feature:  # the type of a list of classes
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
    names = [column_name(name) for name in batch.schema.names]
    columns = {
        name: _values(column)
        for name, column in zip(names, batch.columns, strict=True)
        if name and names.count(name) == 1 and not _PANDAS_INDEX.fullmatch(name)
    }
    for number in range(batch.num_rows):
        values = {name: values[number] for name, values in columns.items()}
        yield Row(start + number, values, "", where, before)


def _values(column: pa.Array) -> list[Any]:
    """The values of a column; text is decoded here, so that bad UTF-8 is a fault of its row alone."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    return [
        None if value is None else _decoded(value) for value in column.cast(pa.large_binary()).to_pylist()
    ]


class Texts(Table):
    """Text files of one review each, or of one review per line.

    The name of a file's folder is the label, and that of the folder above is the split, as in
    aclImdb/train/pos/0_9.txt. `id` is the path relative to `top`, followed by the number of the line if each
    line is a review.
    """

    def __init__(self, paths: Sequence[Path], where: str, top: Path, layout: Layout):
        self.where, self._paths, self._top, self._lines = where, paths, top, layout.lines
        self._encoding = layout.encoding or "UTF-8"
        self.size, self.columns = len(paths), ["id", "text", "label", "split"]

    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1; if lines are reviews, lines are counted.

        Raises:
            InputError: a file has several lines, and `lines` does not say whether each is a review.
        """
        number = before
        for path in self._paths:
            self._position += 1
            names = path.absolute().parts
            id = str(path.relative_to(self._top)) if path.is_relative_to(self._top) else str(path)
            values = {"label": names[-2], "split": names[-3] if len(names) > 3 else ""}
            text = self._text(path)
            if not self._lines:
                number += 1
                values |= {"id": id, "text": text}
                yield Row(number, values, "", str(path), number, self._encoding)
                continue
            start = number
            for line in io.StringIO(text):
                number += 1
                if line.strip():
                    row = values | {"id": f"{id}:{number - start}", "text": line}
                    yield Row(number, row, "", str(path), start, self._encoding)
        return number

    def _text(self, path: Path) -> str:
        """The text of a file."""
        with loading(str(path)):
            content = path.read_bytes()
            if (meaning := signature(content)) and "pointer" in meaning:
                raise InputError(f"{path}: is {meaning}")
            text = content.decode(self._encoding, "surrogateescape").removeprefix("\ufeff")
        line_count = sum(not line.isspace() for line in io.StringIO(text))
        if line_count > 1 and self._lines is None:
            raise InputError(
                f"{path}: has {line_count} lines; set `lines` to true if each line is a review, or to false "
                "if each file is one"
            )
        return text


class Lines(Table):
    """Lines of UTF-8, each of them a review, such as standard input."""

    def __init__(self, lines: Iterable[bytes], where: str):
        self.where, self._lines, self.columns = where, lines, ["text"]

    def rows(self, before: int) -> Rows:
        """Yield the rows, numbered from `before` + 1."""
        for line in self._lines:
            self._position += 1
            values = {"text": _decoded(line.rstrip(b"\r\n"))}
            yield Row(before + self._position, values, "", self.where, before)
        return before + self._position


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
