"""The one reader of reviews: files of any format, shards, folders, and lines, row by row, for training and prediction."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from sentiment.data.files import ending, expand
from sentiment.data.formats import Csv, Json, Lines, Parquet, Table, Texts
from sentiment.data.row import Row
from sentiment.errors import InputError


class Reader:
    """The rows of a file, of all files of a folder or a pattern such as train-*.parquet, or of lines, each a review.

    See `files.expand` for the files, and the classes of `formats` for what a row is in each.

    Args:
        path: the file, folder or pattern; None: the lines.
        lines: UTF-8, such as standard input; they have the column `text`.
        only: columns to read of a Parquet file, those of them that it has; None: all.
        delimiter: of CSV; None: found by the first line.
        columns: names of the columns, of CSV without a header.
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
        delimiter: str | None = None,
        columns: Sequence[str] | None = None,
        name: Callable[[Path], str] = str,
        called: str = "standard input",
    ):
        self.paths = [] if path is None else expand(path)
        formats = {ending(file)[0] for file in self.paths}
        if (delimiter or columns) and not formats <= {".csv", ".tsv"}:
            raise InputError(f"{path and name(path)}: `delimiter` and `columns` are for CSV")
        self._tables: list[Table]
        if path is None:
            self._tables = [Lines(lines, called)]
        elif formats == {".txt"}:
            self._tables = [Texts(self.paths, name(path), path)]
        elif formats == {".parquet"}:
            self._tables = [Parquet(file, name(file), only) for file in self.paths]
        elif formats <= {".csv", ".tsv"}:
            self._tables = [Csv(file, name(file), delimiter, columns) for file in self.paths]
        else:
            self._tables = [Json(file, name(file)) for file in self.paths]
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
