"""The reader of reviews for training and prediction: files of any format, shards, folders and lines."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from sentiment.data.files import ending, expand
from sentiment.data.formats import Csv, Json, Lines, Parquet, Table, Texts
from sentiment.data.layout import Layout
from sentiment.data.row import Row
from sentiment.errors import InputError

_CSV = {".csv", ".tsv"}
_JSON = {".json", ".jsonl", ".ndjson"}
_FORMATS_OF = {
    "delimiter": _CSV,
    "columns": _CSV,
    "quoting": _CSV,
    "encoding": _CSV | _JSON | {".txt"},
    "lines": {".txt"},
}
_NO_LAYOUT = Layout()


class Reader:
    """Reads reviews row by row: from a file, a folder, a pattern such as train-*.parquet, or lines.

    `files.expand` finds the files. The classes in `formats` say what a row is in each format.

    Args:
        path: the file, folder or pattern; None: read `lines`.
        lines: lines of UTF-8, such as standard input, each a review in the column `text`.
        only: the columns to read from a Parquet file, if it has them; None: all.
        layout: how text files are written, as far as they do not show it themselves.
        name: turns a path into its name in errors.
        called: the name of `lines` in errors.

    Attributes:
        paths: the files; none if lines are read.
        total: the amount to read, in the unit of `position()`: bytes or rows; None: unknown.
        size: the size of the files on disk, in bytes.
        counts_bytes: whether the unit of `position()` is bytes; then `total` is `size`.

    Raises:
        InputError: a file is missing or its format is unknown; while reading: a file is damaged, and not a
            row alone.
    """

    def __init__(
        self,
        path: Path | None,
        lines: Iterable[bytes] = (),
        only: Collection[str] | None = None,
        layout: Layout = _NO_LAYOUT,
        name: Callable[[Path], str] = str,
        called: str = "standard input",
    ):
        self.paths = [] if path is None else expand(path)
        formats = {ending(file)[0] for file in self.paths}
        for key, value in layout._asdict().items():
            if value is not None and path and not formats <= _FORMATS_OF[key]:
                allowed = ", ".join(sorted(_FORMATS_OF[key]))
                raise InputError(f"{name(path)}: `{key}` is for {allowed} files")
        self._tables: list[Table]
        if path is None:
            self._tables = [Lines(lines, called)]
        elif formats == {".txt"}:
            self._tables = [Texts(self.paths, name(path), path, layout)]
        elif formats == {".parquet"}:
            self._tables = [Parquet(file, name(file), only) for file in self.paths]
        elif formats <= _CSV:
            self._tables = [Csv(file, name(file), layout) for file in self.paths]
        else:
            self._tables = [Json(file, name(file), layout.encoding) for file in self.paths]
        if path and all(table.is_empty for table in self._tables):
            raise InputError(f"{name(path)}: is empty")
        self.total = None if path is None else sum(table.size for table in self._tables)
        self.size = sum(file.stat().st_size for file in self.paths)
        self.counts_bytes = self._tables[0].counts_bytes

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows in order, numbered from 1 over all files."""
        number = 0
        for table in self._tables:
            number = yield from table.rows(number)

    def position(self) -> int:
        """How much of `total` has been read."""
        return sum(table.position() for table in self._tables)

    def require(self, *names: str) -> None:
        """Check that every file has each of these columns, once.

        Raises:
            InputError: a file does not.
        """
        for table in self._tables:
            table.require(*names)

    def class_names(self, column: str) -> dict[str, list[str] | None]:
        """By file: the names that it gives the numbers 0, 1, … in a column; None if it names none."""
        return {table.where: table.class_names(column) for table in self._tables}
