"""The one reader of reviews: files of any format, shards, folders, and lines, row by row, for training and prediction."""

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
    """The rows of a file, of all files of a folder or a pattern such as train-*.parquet, or of lines, each a review.

    See `files.expand` for the files, and the classes of `formats` for what a row is in each.

    Args:
        path: the file, folder or pattern; None: the lines.
        lines: UTF-8, such as standard input; they have the column `text`.
        only: columns to read of a Parquet file, those of them that it has; None: all.
        layout: how the files are written, where they do not show it themselves.
        name: how errors show a path.
        called: how errors call the lines.

    Attributes:
        paths: the files; none where lines are read.
        total: how much there is to read, in the unit of `position()`: bytes, or rows; None is unknown.
        size: bytes of the files as they lie there, compressed or not.
        counts_bytes: whether `total` is in bytes: `size`.

    Raises:
        InputError: there is no such file, or the format is unknown; while it is read: a file is damaged beyond a row.
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
                raise InputError(f"{name(path)}: `{key}` is for {', '.join(sorted(_FORMATS_OF[key]))} files")
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
        """The rows, in their order, numbered from 1 over all files."""
        number = 0
        for table in self._tables:
            number = yield from table.rows(number)

    def position(self) -> int:
        """How much of `total` has been read."""
        return sum(table.position() for table in self._tables)

    def require(self, *names: str) -> None:
        """Check that each of these columns is there, once, in every file.

        Raises:
            InputError: one is not.
        """
        for table in self._tables:
            table.require(*names)

    def class_names(self, column: str) -> dict[str, list[str] | None]:
        """By the name of each file: the names that it gives to the numbers 0, 1, … in a column; None if it gives none."""
        return {table.where: table.class_names(column) for table in self._tables}
