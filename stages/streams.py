"""Reviews out of files of any size, and scores into files, a window of rows at a time."""

import csv
import io
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages import outputs, reviews
from stages.errors import InputError, loading, one_line

SCHEMA = pa.schema([("id", pa.string()), ("label", pa.string()), ("probability", pa.float64())])
_LONGEST = 2**24  # characters of a CSV field: a quote that is never closed makes one of the rest of the file


class Row(NamedTuple):
    """A row of an input: its number, counted from 1, its id, its text, and what is wrong with it, if anything is."""

    number: int
    id: str
    text: str
    fault: str = ""


class Reader:
    """Rows of a CSV, JSON Lines or Parquet file, of a folder of .txt files, or of lines, a review each.

    Args:
        path: the file or folder; None: the lines.
        lines: UTF-8, such as standard input.
        text: name of the column with the review.
        id: name of the column with its id; None is `id`, or the row's number where there is no such column.

    Attributes:
        total: how much there is to read, in the unit of `position()`: bytes, or rows; None is unknown.

    Raises:
        InputError: there is no such file or column, or the format is unknown; while it is read: the file is damaged
            beyond a row.
    """

    def __init__(self, path: Path | None, lines: Iterable[bytes] = (), text: str = "text", id: str | None = None):
        self.path, self.where = path, str(path or "standard input")
        self._given = lines
        self._text, self._id = text, id
        self._position = 0
        self._source: BinaryIO | None = None
        self.total: int | None = None
        if path is None:
            self._rows = self._lines
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
                self._check(file.schema_arrow.names)
        elif path.suffix in (".csv", ".jsonl"):
            self._rows = self._csv if path.suffix == ".csv" else self._json_lines
            self.total = self._size = path.stat().st_size
        else:
            raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: .csv, .jsonl, .parquet, or a folder")

    def __iter__(self) -> Iterator[Row]:
        """The rows, in their order."""
        return self._rows()

    def position(self) -> int:
        """How much of `total` has been read."""
        if self._source is None:
            return self._position
        return self._size if self._source.closed else self._source.tell()

    def _row(self, number: int, values: dict[str, Any]) -> Row:
        return _row(number, values, self._text, self._id)

    def _check(self, columns: list[str]) -> None:
        for column in filter(None, (self._text, self._id)):
            if columns.count(column) != 1:
                fault = "stands there twice" if column in columns else "is not there"
                names = one_line(", ".join(columns)) or "none"
                raise InputError(f"{self.where}: column {column!r} {fault}; it has: {names}")

    def _lines(self) -> Iterator[Row]:
        for line in self._given:
            self._position += 1
            yield self._row(self._position, {self._text: _decoded(line.rstrip(b"\r\n"))})

    def _folder(self) -> Iterator[Row]:
        assert self.path
        for file in self._files:
            self._position += 1
            values = {self._id or "id": str(file.relative_to(self.path)), self._text: _decoded(file.read_bytes())}
            yield self._row(self._position, values)

    def _open(self, newline: str) -> io.TextIOWrapper:
        assert self.path
        self._source = self.path.open("rb")
        # A byte that is not UTF-8 is the fault of its row alone.
        return io.TextIOWrapper(self._source, encoding="utf-8-sig", errors="surrogateescape", newline=newline)

    def _csv(self) -> Iterator[Row]:
        csv.field_size_limit(_LONGEST)
        with self._open(newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            self._check(header)
            number = 0
            while True:
                try:
                    values = next(rows)
                except StopIteration:
                    return
                except csv.Error as error:
                    number += 1
                    yield Row(number, str(number), "", one_line(str(error)))
                    continue
                if not values:
                    continue  # an empty line is no row
                number += 1
                if len(values) == len(header):
                    yield self._row(number, dict(zip(header, values, strict=True)))
                else:
                    yield Row(number, str(number), "", f"has {len(values)} fields, the header {len(header)}")

    def _json_lines(self) -> Iterator[Row]:
        with self._open(newline="\n") as file:
            for number, line in enumerate(file, start=1):
                try:
                    values = reviews.json_object(line)
                except InputError as error:
                    yield Row(number, str(number), "", str(error))
                else:
                    yield self._row(number, values)

    def _parquet(self) -> Iterator[Row]:
        with loading(self.where), pq.ParquetFile(self.path, page_checksum_verification=True) as file:
            columns = [name for name in (self._text, self._id or "id") if name in file.schema_arrow.names]
            for batch in file.iter_batches(1024, columns=columns):
                for row in rows_of(batch, self._text, self._id, self._position + 1):
                    self._position += 1
                    yield row


def rows_of(batch: pa.RecordBatch, text: str = "text", id: str | None = None, start: int = 1) -> Iterator[Row]:
    """The rows of an Arrow batch with these columns, numbered from `start`; `id` as for a Reader."""
    columns = {name: _values(batch.column(name)) for name in (text, id or "id") if name in batch.schema.names}
    for number, values in enumerate(zip(*columns.values(), strict=True), start):
        yield _row(number, dict(zip(columns, values, strict=True)), text, id)


def _row(number: int, values: dict[str, Any], text: str, id: str | None) -> Row:
    """A row with its text as it is, or with a fault."""
    found = values.get(id or "id")
    if id and found is None:
        return Row(number, str(number), "", f"has no {id}")
    row = Row(number, str(number if found is None else found), values.get(text, ""))
    if text not in values:
        return row._replace(fault=f"has no {text}")
    if not isinstance(row.text, str):
        return row._replace(fault=f"{text} {one_line(repr(row.text), 80)} is not text")
    if not (_is_unicode(row.text) and _is_unicode(row.id)):
        return row._replace(fault="is not UTF-8")
    return row


def _values(column: pa.Array) -> list[Any]:
    """A column's values; text by our own decoding, so that one row which is not UTF-8 costs no other."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_pylist()
    return [None if value is None else _decoded(value) for value in column.cast(pa.large_binary()).to_pylist()]


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, or a byte that was not UTF-8
        return False
    return True


class Writer:
    """A file of scores that appears whole: until then its windows wait in PATH.parts/, for a later run to go on.

    Args:
        path: .csv, .jsonl or .parquet.
        run: all that decides the scores; another run's windows are refused. None: it cannot be gone on with, as where
            standard input is read, and windows are removed.
        resume: go on with the windows that are there.

    Attributes:
        done: rows of the input whose windows are there.

    Raises:
        InputError: the format is unknown, there are windows and `resume` is not asked for, or they are another run's.
    """

    def __init__(self, path: Path, run: dict[str, Any] | None, resume: bool = False):
        if path.suffix not in (".csv", ".jsonl", ".parquet"):
            raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: .csv, .jsonl, .parquet")
        self.path, self.parts = path, path.with_name(path.name + ".parts")
        self.done = 0
        state = self.parts / "run.json"
        if run is None:
            shutil.rmtree(self.parts, ignore_errors=True)
            return
        if state.exists():
            if not resume:
                raise InputError(f"{self.parts}: holds an unfinished run: --resume goes on, or remove it")
            found = json.loads(state.read_text(encoding="utf-8"))
            other = sorted(key for key in {*found, *run} if found.get(key) != run.get(key))
            if other:
                raise InputError(f"{self.parts}: is of a run with another {', '.join(other)}; remove it to begin anew")
            self.done = max([int(part.stem) for part in self._found()], default=0)
        outputs.write_json(state, run)

    def _found(self) -> list[Path]:
        return sorted(self.parts.glob(f"*[0-9]{self.path.suffix}"))

    def add(self, done: int, scores: pd.DataFrame) -> None:
        """Keep a window: its `id`, `label` and `probability`; `done` is the number of its last row."""
        with outputs.whole(self.parts / f"{done:015}{self.path.suffix}") as partial:
            if self.path.suffix == ".parquet":
                pq.write_table(pa.Table.from_pandas(scores, SCHEMA, preserve_index=False), partial)
            else:
                with partial.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(lines(scores, self.path.suffix))
        self.done = done

    def finish(self) -> None:
        """Put the windows together as the file."""
        with outputs.whole(self.path) as partial:
            if self.path.suffix == ".parquet":
                with pq.ParquetWriter(partial, SCHEMA) as file:
                    for part in self._found():
                        file.write_table(pq.read_table(part))
            else:
                with partial.open("wb") as whole:
                    whole.write(header(self.path.suffix).encode())
                    for part in self._found():
                        with part.open("rb") as rows:
                            shutil.copyfileobj(rows, whole)
        shutil.rmtree(self.parts, ignore_errors=True)  # there is none of an empty input


def header(suffix: str) -> str:
    """What stands above the scores in this format."""
    return ",".join(SCHEMA.names) + "\n" if suffix == ".csv" else ""


def lines(scores: pd.DataFrame, suffix: str) -> Iterable[str]:
    """Scores as lines of .csv or .jsonl, every digit of the probabilities kept."""
    if suffix == ".csv":
        return [scores.to_csv(index=False, header=False, lineterminator="\n")]
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in scores.to_dict("records"))
