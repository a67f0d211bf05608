"""A row of a file of reviews: its values, its place, and what is wrong with it."""

from typing import Any, NamedTuple

from sentiment.data.text import normalise, readable
from sentiment.errors import InputError, one_line
from sentiment.validation import shortened


class AbsentError(InputError):
    """A row has no value in a column, or no text."""


class Row(NamedTuple):
    """A row: its number, counted from 1 over all files of a reader (in JSON Lines, lines are), and its values.

    `fault` is what is wrong with it; `where` names its file, before which there are `before` rows. `encoding` is that of
    the file, if dataset.yaml or an option can set it.
    """

    number: int
    values: dict[str, Any]
    fault: str = ""
    where: str = ""
    before: int = 0
    encoding: str | None = None

    @property
    def place(self) -> str:
        """The file and the number of the row in it, for errors; a file of one review has no number."""
        return f"{self.where}: row {self.number - self.before}" if self.number > self.before else self.where

    def text(self, *columns: str) -> str:
        """The normalised review in these columns, joined by a space.

        Raises:
            AbsentError: there is none; the message is what follows the place of the row.
            InputError: the row has a fault.
        """
        if len(columns) > 1:  # of which one may have no text
            columns = (
                tuple(column for column in columns if not missing(self.values.get(column))) or columns[:1]
            )
        texts = []
        for column in columns:
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
            AbsentError: there is none; the message is what follows the place of the row.
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
        """The value in this column as text, for people: what cannot be decoded becomes U+FFFD."""
        value = self.values[column]
        return None if value is None else readable(str(value))


def missing(value: object) -> bool:
    """Whether a value is none: null, or a float that is not a number."""
    return value is None or (isinstance(value, float) and value != value)


def check_unicode(text: str, encoding: str | None = None) -> None:
    """Check that a text, decoded with `surrogateescape`, is Unicode.

    `encoding` is that of its file, if it can be set.

    Raises:
        InputError: it is not.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:  # how `surrogateescape` keeps a byte
            advice = "; set `encoding` to that of the file, such as cp1252 or latin-1" if encoding else ""
            raise InputError(f"byte 0x{code - 0xDC00:02x} is not {encoding or 'UTF-8'}{advice}") from None
        raise InputError(f"{text[error.start]!a} is half a character") from None
