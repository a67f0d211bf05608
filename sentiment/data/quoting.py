"""Quotes in CSV: the three ways in which files use them, and which of these a file was written in."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple, get_args

from sentiment.errors import InputError

# How a quote within a field is written: twice, after a backslash, or as it is, because quotes enclose nothing.
Quoting = Literal["double", "backslash", "none"]
QUOTINGS: tuple[Quoting, ...] = get_args(Quoting)
_LONGEST_FIELD = 2**24  # characters: a quote that is never closed turns the rest of the file into one field
_SAMPLE = 1000  # rows whose values are kept for comparison
_FEW = 20  # rows that may not contain each label several times
_SUSPECTS = 1000  # records of several lines that are compared with them, so that memory is limited
_SUSPECT_LINES = 20  # lines of each that are compared
_BACKSLASH = re.compile(r'\\(["\\])?')


def csv_reader(
    lines: Iterable[str], delimiter: str, quoting: Quoting
) -> Any:  # csv.reader has no public type
    """The standard library's CSV reader of lines that are written in this way."""
    csv.field_size_limit(_LONGEST_FIELD)
    options: dict[str, Any] = {"delimiter": delimiter, "strict": True, "skipinitialspace": delimiter != " "}
    if quoting == "none":
        options["quoting"] = csv.QUOTE_NONE
    elif quoting == "backslash":
        options["escapechar"] = "\\"
        lines = map(_keep_other_backslashes, lines)
    return csv.reader(lines, **options)


def _keep_other_backslashes(line: str) -> str:
    """Double each backslash that escapes neither a quote nor a backslash: the csv module would drop it."""
    if "\\" not in line:
        return line
    return _BACKSLASH.sub(lambda match: match[0] if match[1] else "\\\\", line)


@dataclass
class _Survey:
    """The result of reading a file in one way, counted in records that contain a quote.

    Attributes:
        quoting: the way.
        rows: records of the expected number of fields, and those that contain a quote.
        proofs: records that make sense in this way, and not if quotes are ordinary characters.
        faults: records that are not CSV, or have another number of fields than the header.
        merged: records whose lines are rows of their own: they also have values that other rows have.
        unclear: records of several lines of which each has as many fields as the header.
        escapes: whether there is a quote after a backslash.
        lost: lines that cannot be read in this way.
        uneven: lines that cannot be read if quotes are ordinary characters.
        place: the lines of the first record that is merged or unclear.
    """

    quoting: Quoting
    rows: int = 0
    proofs: int = 0
    faults: int = 0
    merged: int = 0
    unclear: int = 0
    escapes: bool = False
    lost: int = 0
    uneven: int = 0
    place: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether nothing speaks against this way."""
        return not (self.faults or self.merged or self.unclear)


class _Suspect(NamedTuple):
    """A record of several lines, of which the first and the last have as many fields as the header.

    Attributes:
        rows: the first of those lines that do, as rows of their own.
        all_even: whether all lines do.
        place: its lines.
    """

    rows: list[list[str]]
    all_even: bool
    place: str


def detect_quoting(
    open_rows: Callable[[], AbstractContextManager[tuple[Iterator[str], int]]],
    delimiter: str,
    fields: int,
    where: str,
) -> Quoting:
    """Find out what the quotes in a file mean. This reads the file once, or twice where backslashes precede quotes.

    Args:
        open_rows: opens the lines of the file that follow its header, and tells how many precede them.
        delimiter: the character between fields.
        fields: the number of fields in the header.
        where: the name of the file, for errors.

    Raises:
        InputError: several lines may be one field in quotes or rows of their own, and the file does not tell which.
    """
    with open_rows() as (lines, before):
        best = _survey(lines, delimiter, fields, "double", before)
    if best.escapes and delimiter != "\\":
        with open_rows() as (lines, before):
            other = _survey(lines, delimiter, fields, "backslash", before)
        if other.faults + other.merged < best.faults + best.merged:
            best = other
        elif best.is_clean and other.is_clean and best.rows != other.rows:
            raise InputError(
                f"{where}: a quote after a backslash may end a field or be part of it; set `quoting` to double (it ends "
                "the field) or to backslash"
            )
    if not best.proofs and (best.merged or (best.faults and best.uneven < best.lost)):
        return "none"
    if best.merged if best.proofs else best.unclear:
        raise InputError(
            f"{where}: {best.place}: quotes may enclose one field here, or be ordinary characters in rows of their own; "
            f"set `quoting` to {best.quoting} (one field) or to none (rows)"
        )
    return best.quoting


def _survey(lines: Iterator[str], delimiter: str, fields: int, quoting: Quoting, number: int) -> _Survey:
    """Read the rows of a file in one way; `number` is that of the line before them."""
    found = _Survey(quoting)
    sample: list[Counter[str]] = [Counter() for _ in range(fields)]
    suspects: list[_Suspect] = []
    sampled = wrapped = 0
    for line in lines:
        number += 1
        if '"' not in line:
            if line.count(delimiter) + 1 != fields:
                found.uneven += not line.isspace()
                found.lost += not line.isspace()
                continue
            found.rows += 1
            if sampled < _SAMPLE:
                sampled += _add(sample, _split(line, delimiter))
            continue
        record: list[str] = []
        try:
            cells = next(csv_reader(_recorded(chain((line,), lines), record), delimiter, quoting))
            whole = len(cells) == fields
        except csv.Error:
            whole = False
        place = f"lines {number} to {number + len(record) - 1}"
        number += len(record) - 1
        found.rows += 1
        found.escapes = found.escapes or any('\\"' in each for each in record)
        alone = [each for each in record if not each.isspace()]
        even = [each for each in alone if each.count(delimiter) + 1 == fields]
        found.uneven += len(alone) - len(even)
        if len(alone) == 1:
            in_quotes = sum(
                len(value) > 1 and value[0] == value[-1] == '"' for value in _split(line, delimiter)
            )
            wrapped += whole and in_quotes == 1
            found.proofs += (
                in_quotes > 1
            )  # if quotes enclose nothing, one field of a row may look like this by chance
        if not whole:
            found.faults += 1
            found.lost += len(alone)
        elif len(alone) > 1 and alone[0] in even and alone[-1] in even and len(suspects) < _SUSPECTS:
            some = [_split(each, delimiter) for each in even[:_SUSPECT_LINES]]
            suspects.append(_Suspect(some, len(even) == len(alone), place))
        elif len(even) < len(alone):
            found.proofs += 1
        elif len(alone) > 1:
            found.unclear += 1
        elif sampled < _SAMPLE:
            sampled += _add(sample, _split(line, delimiter))
    if 2 * wrapped >= found.rows:
        found.proofs += wrapped
    _judge(found, suspects, sample)
    return found


def _judge(found: _Survey, suspects: list["_Suspect"], sample: list[Counter[str]]) -> None:
    """Count suspects: as merged if all their lines have a value, such as a label, that other rows have in its column.

    In a small file, which has few other rows, the lines of a record are also compared with each other.
    """
    few_rows = sample[0].total() < _FEW
    for rows, all_even, place in suspects:
        merged = False
        for column, others in enumerate(sample):
            own = Counter(row[column] for row in rows)
            times = (others[value] + (count if few_rows and all_even else 0) for value, count in own.items())
            merged = merged or min(times) > 1
        if (merged and not found.merged) or (all_even and not found.place):
            found.place = place
        found.merged += merged
        found.unclear += all_even and not merged
        found.proofs += not all_even and not merged


def _recorded(lines: Iterable[str], record: list[str]) -> Iterator[str]:
    """The lines, each of which is put into `record` when it is taken."""
    for line in lines:
        record.append(line)
        yield line


def _split(line: str, delimiter: str) -> list[str]:
    """The fields of a line in which quotes are ordinary characters."""
    return [value.strip() for value in line.strip("\r\n").split(delimiter)]


def _add(sample: list[Counter[str]], row: list[str]) -> int:
    for counter, value in zip(sample, row, strict=True):
        counter[value] += 1
    return 1
