"""Text rules: how a review is normalised, and how long one may be that a web server takes."""

import functools
import html
import re
import unicodedata

MOST_CHARACTERS = 50_000  # three times the longest review of IMDb
_LINE_BREAK = re.compile(
    r"<br\s*(?:/\s*)?>", re.IGNORECASE
)  # a second \s* beside the first would be quadratic
_HUGE_ENTITY = re.compile(r"&#[0-9]{4000,};?")  # Python reads no number of more than 4300 digits

_KEPT_BYTE = re.compile("[\udc80-\udcff]")
_WIDTHLESS = str.maketrans("", "", "\u200b\u200c\u200d\u2060\ufeff")


def normalise(text: str) -> str:
    """One line of Unicode NFC: HTML entities decoded, `<br />` and runs of white space turned into one space."""
    text = _LINE_BREAK.sub(" ", html.unescape(_HUGE_ENTITY.sub("\ufffd", text)))
    return " ".join(nfc(text).split())


def nfc(text: str) -> str:
    """Text in Unicode NFC, in which an accented letter is one character."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@functools.lru_cache(4096)
def column_name(name: str) -> str:
    """A column's name as people see it: Unicode NFC, without characters of no width, white space as single spaces."""
    return " ".join(nfc(readable(name).translate(_WIDTHLESS)).split())


def readable(text: str) -> str:
    """A text with U+FFFD for each byte that could not be decoded and was kept by `surrogateescape`."""
    return _KEPT_BYTE.sub("\ufffd", text)
