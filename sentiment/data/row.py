"""A row of a file of reviews: its values, its place in the file, and its fault."""

from typing import Any, NamedTuple

from sentiment.data.text import normalise, readable
from sentiment.errors import InputError, one_line
from sentiment.validation import shortened


class AbsentError(InputError):
    """A row has no value in a column, or no text."""


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        number: its number, counted from 1 over all files of a reader; in JSON Lines, lines are counted.
        values: its values by column.
        fault: why it cannot be read; empty if it can.
        where: the name of its file.
        before: the number of rows in the files before.
        encoding: the encoding of its file, if dataset.yaml or an option can set that.
    """

    number: int
    values: dict[str, Any]
    fault: str = ""
    where: str = ""
    before: int = 0
    encoding: str | None = None

    @property
    def place(self) -> str:
        """The file and the number of the row in it, for errors; for a file of one review, the file alone."""
        return f"{self.where}: row {self.number - self.before}" if self.number > self.before else self.where

    def text(self, *columns: str) -> str:
        """The normalised review in these columns, joined by a space.

        Raises:
            AbsentError: there is none. Messages do not include the place of the row.
            InputError: the row has a fault.
        """
        filled = [column for column in columns if not missing(self.values.get(column))]
        texts = []
        for column in filled or columns[:1]:
            part = self.value(column)
            if not isinstance(part, str):
                if missing(part):
                    raise AbsentError("the text is missing; every review needs some")
                raise InputError(f"{one_line(column, 80)} {shortened(part)} is not text")
            texts.append(part)
        text = normalise(" ".join(texts))
        if not text:
            raise AbsentError("the text is empty; every review needs some")
        return text

    def value(self, column: str) -> Any:
        """The value in this column; text is Unicode.

        Raises:
            AbsentError: there is none. Messages do not include the place of the row.
            InputError: the row has a fault.
        """
        if self.fault:
            raise InputError(self.fault)
        if column not in self.values:
            names = one_line(", ".join(self.values)) or "nothing"
            raise AbsentError(f"has no {one_line(column, 80)}; it has: {names}")
        value = self.values[column]
        if isinstance(value, str):
            check_unicode(value, self.encoding)
        return value

    def shown(self, column: str) -> str | None:
        """The value in this column as text to show; each byte that cannot be decoded becomes U+FFFD."""
        value = self.values[column]
        return None if value is None else readable(str(value))


def missing(value: object) -> bool:
    """Whether a value is null or NaN."""
    return value is None or (isinstance(value, float) and value != value)


def check_unicode(text: str, encoding: str | None = None) -> None:
    """Check that a text, decoded with `surrogateescape`, is valid Unicode.

    `encoding` is the encoding of its file, if the user can set it.

    Raises:
        InputError: it is not.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:  # a byte that `surrogateescape` kept
            advice = "; set `encoding` to that of the file, such as cp1252 or latin-1" if encoding else ""
            raise InputError(f"byte 0x{code - 0xDC00:02x} is not {encoding or 'UTF-8'}{advice}") from None
        raise InputError(f"{text[error.start]!a} is half a character") from None
