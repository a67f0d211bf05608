"""Text rules: normalisation of reviews and column names, and the longest review that a web server accepts."""

import functools
import html
import re
import unicodedata

MOST_CHARACTERS = 50_000  # three times the longest review of IMDb
# Two adjacent \s* would take quadratic time.
_LINE_BREAK = re.compile(r"<br\s*(?:/\s*)?>", re.IGNORECASE)
_HUGE_ENTITY = re.compile(r"&#[0-9]{4000,};?")  # Python refuses to parse integers of more than 4300 digits

_KEPT_BYTE = re.compile("[\udc80-\udcff]")
_WIDTHLESS = str.maketrans("", "", "\u200b\u200c\u200d\u2060\ufeff")


def normalise(text: str) -> str:
    """Normalise a review: HTML entities decoded, `<br />` and white space as single spaces, Unicode NFC."""
    text = _LINE_BREAK.sub(" ", html.unescape(_HUGE_ENTITY.sub("\ufffd", text)))
    return " ".join(nfc(text).split())


def nfc(text: str) -> str:
    """Text in Unicode NFC, where an accented letter is one character."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@functools.lru_cache(4096)
def column_name(name: str) -> str:
    """Normalise the name of a column: Unicode NFC, no zero-width characters, single spaces."""
    return " ".join(nfc(readable(name).translate(_WIDTHLESS)).split())


def readable(text: str) -> str:
    """A text with U+FFFD for each byte that `surrogateescape` kept because it could not be decoded."""
    return _KEPT_BYTE.sub("\ufffd", text)
