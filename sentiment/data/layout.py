"""How text files of reviews are written: delimiter, quotes, encoding, and what a line is."""

from collections.abc import Sequence
from typing import NamedTuple

from sentiment.data.quoting import Quoting


class Layout(NamedTuple):
    """How text files are written, as far as they do not show it themselves.

    Attributes:
        delimiter: the character between the fields of CSV; None: detected from the first line, a tab in .tsv.
        columns: names of the columns, for CSV without a header.
        quoting: the meaning of quotes in CSV; None: detected from the file.
        encoding: the encoding of text; None: UTF-8, or the one that the byte order mark names.
        lines: whether each line of a .txt file is a review, or each file; None: only files of one line are
            allowed.
    """

    delimiter: str | None = None
    columns: Sequence[str] | None = None
    quoting: Quoting | None = None
    encoding: str | None = None
    lines: bool | None = None
