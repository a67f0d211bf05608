"""Quotes in CSV: the three conventions for them, and the detection of the one that a file follows."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, NamedTuple, get_args

from sentiment.errors import InputError

# How a quote within a field is written: twice, after a backslash, or as an ordinary character that encloses
# nothing.
Quoting = Literal["double", "backslash", "none"]
QUOTINGS: tuple[Quoting, ...] = get_args(Quoting)
_LONGEST_FIELD = 2**24  # characters: a quote that is never closed turns the rest of the file into one field
_SAMPLE = 1000  # rows whose values are kept for comparison
_FEW = 20  # with fewer rows than this, a label may occur only once
_SUSPECTS = 1000  # records of several lines that are compared with the sample; more would need much memory
_SUSPECT_LINES = 20  # lines of each such record that are compared
_BACKSLASH = re.compile(r'\\(["\\])?')


# The type of csv.reader is not public.
def csv_reader(lines: Iterable[str], delimiter: str, quoting: Quoting) -> Any:
    """The standard library's CSV reader for lines that follow one convention for quotes."""
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
    """The result of reading a file with one convention for quotes, counted in records that contain a quote.

    Attributes:
        quoting: the convention.
        rows: records with the expected number of fields, and all that contain a quote.
        proofs: records that make sense with this convention, and not if quotes are ordinary characters.
        faults: records that are not CSV, or have another number of fields than the header.
        merged: records whose lines are rows of their own, since their values also occur in other rows.
        unclear: records of several lines, each with as many fields as the header.
        escapes: whether a backslash precedes a quote anywhere.
        lost: lines that cannot be read with this convention.
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
        """Whether there is no evidence against this convention."""
        return not (self.faults or self.merged or self.unclear)


class _Suspect(NamedTuple):
    """A record of several lines whose first and last line have as many fields as the header.

    Attributes:
        rows: its first lines with as many fields as the header, as rows of their own.
        all_even: whether all its lines have as many fields as the header.
        place: the numbers of its lines.
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
    """Detect the meaning of quotes in a file; reads it once, or twice if a backslash precedes a quote.

    Args:
        open_rows: opens the lines of the file after its header, and counts the lines before them.
        delimiter: the character between fields.
        fields: the number of fields in the header.
        where: the name of the file in errors.

    Raises:
        InputError: some lines may be one field in quotes or rows of their own, and the file does not show
            which.
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
                f"{where}: a quote after a backslash may end a field or be part of it; set `quoting` to "
                "double (it ends the field) or to backslash"
            )
    if not best.proofs and (best.merged or (best.faults and best.uneven < best.lost)):
        return "none"
    is_ambiguous = best.merged if best.proofs else best.unclear
    if is_ambiguous:
        raise InputError(
            f"{where}: {best.place}: quotes may enclose one field here, or be ordinary characters in rows of "
            f"their own; set `quoting` to {best.quoting} (one field) or to none (rows)"
        )
    return best.quoting


def _survey(lines: Iterator[str], delimiter: str, fields: int, quoting: Quoting, number: int) -> _Survey:
    """Read the rows of a file with one convention; `number` is that of the line before them."""
    survey = _Survey(quoting)
    sample: list[Counter[str]] = [Counter() for _ in range(fields)]
    suspects: list[_Suspect] = []
    sampled = wrapped = 0
    for line in lines:
        number += 1
        if '"' not in line:
            if line.count(delimiter) + 1 != fields:
                survey.uneven += not line.isspace()
                survey.lost += not line.isspace()
                continue
            survey.rows += 1
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
        survey.rows += 1
        survey.escapes = survey.escapes or any('\\"' in each for each in record)
        filled = [each for each in record if not each.isspace()]
        even = [each for each in filled if each.count(delimiter) + 1 == fields]
        survey.uneven += len(filled) - len(even)
        if len(filled) == 1:
            in_quotes = sum(map(_is_in_quotes, _split(line, delimiter)))
            wrapped += whole and in_quotes == 1
            # If quotes enclose nothing, one field of a row may begin and end with one by chance, but not two.
            survey.proofs += in_quotes > 1
        if not whole:
            survey.faults += 1
            survey.lost += len(filled)
        elif len(filled) > 1 and filled[0] in even and filled[-1] in even and len(suspects) < _SUSPECTS:
            some = [_split(each, delimiter) for each in even[:_SUSPECT_LINES]]
            suspects.append(_Suspect(some, len(even) == len(filled), place))
        elif len(even) < len(filled):
            survey.proofs += 1
        elif len(filled) > 1:
            survey.unclear += 1
        elif sampled < _SAMPLE:
            sampled += _add(sample, _split(line, delimiter))
    if 2 * wrapped >= survey.rows:
        survey.proofs += wrapped
    _judge(survey, suspects, sample)
    return survey


def _judge(survey: _Survey, suspects: list["_Suspect"], sample: list[Counter[str]]) -> None:
    """Count each suspect as merged, unclear or a proof.

    It is merged if in some column, such as the label, the values of all its lines also occur in other rows.
    In a small file, its lines are also compared with each other.
    """
    few_rows = sample[0].total() < _FEW
    for rows, all_even, place in suspects:
        merged = False
        for column, others in enumerate(sample):
            own = Counter(row[column] for row in rows)
            times = (others[value] + (count if few_rows and all_even else 0) for value, count in own.items())
            merged = merged or min(times) > 1
        if (merged and not survey.merged) or (all_even and not survey.place):
            survey.place = place
        survey.merged += merged
        survey.unclear += all_even and not merged
        survey.proofs += not all_even and not merged


def _recorded(lines: Iterable[str], record: list[str]) -> Iterator[str]:
    """Yield the lines, and append each to `record`."""
    for line in lines:
        record.append(line)
        yield line


def _split(line: str, delimiter: str) -> list[str]:
    """The fields of a line in which quotes are ordinary characters."""
    return [value.strip() for value in line.strip("\r\n").split(delimiter)]


def _is_in_quotes(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] == '"'


def _add(sample: list[Counter[str]], row: list[str]) -> int:
    """Count the values of a row by column; return 1, the number of rows added."""
    for counter, value in zip(sample, row, strict=True):
        counter[value] += 1
    return 1
