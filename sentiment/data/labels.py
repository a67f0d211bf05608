"""Label values: how they are compared, their meaning in each file, and advice about values without one."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from typing import Literal

from sentiment.data.row import AbsentError, Row, missing
from sentiment.data.text import nfc
from sentiment.errors import InputError, one_line
from sentiment.labels import SPELLINGS
from sentiment.validation import shortened

Meaning = Literal["negative", "positive", "unlabelled", "ignore"]
CLASSES: tuple[Meaning, Meaning] = ("negative", "positive")  # in the order of LABELS
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
_PLAIN = re.compile(
    r"(?!(null|true|false)$)[^\W\d][\w ]*|-?[0-9.]+", re.IGNORECASE
)  # what YAML needs no quotes for
# Names of a third class, and words for no label. Other words may be another name of a class, as "bad" is.
_NEITHER = {
    "neutral",
    "neu",
    "mixed",
    "neither",
    "none",
    "null",
    "nan",
    "na",
    "n/a",
    "unknown",
    "unclear",
    "undefined",
    "unlabelled",
    "unlabeled",
    "irrelevant",
    "objective",
    "not sure",
    "no opinion",
}
_PAIRS = (
    {-1, 1},
    {1, 2},
    {0, 2},
    {0, 4},
    {1, 3},
    {1, 5},
    {1, 10},
)  # two numbers that are usually the classes
_WRAPPERS = ("choices", "value", "label")  # keys that annotation tools put around a label
_LONGEST_SCALE = 21  # values: 0 to 10 in halves


def spelling(value: object) -> str:
    """A label or the name of a split, so that equal meanings are equal: lower case, Unicode NFC, and 2.0 as 2."""
    if missing(value):
        return ""
    text = nfc(str(value).strip().casefold())
    return f"{(Decimal(text) + 0).normalize():f}" if _NUMBER.fullmatch(text) else text


def unwrapped(value: object) -> object:
    """The value in a list of one, or in {"choices": …}, as annotation tools write labels; None for an empty list."""
    while True:
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _WRAPPERS:
            (value,) = value.values()
        elif isinstance(value, list) and len(value) < 2:
            value = value[0] if value else None
        else:
            return value


class Vocabulary:
    """The meaning of the label values in one file.

    Args:
        spellings: the values in effect for each meaning, as `spelling` writes them.
        given: those of them that dataset.yaml lists under `labels`.
        names: the names that the data gives to the numbers 0, 1, … in the label column; None if it names none.
        where: the file, for errors.

    Attributes:
        names: as above; None if they say no more than the numbers, such as LABEL_0.
        allowed: the values that are negative or positive.

    Raises:
        InputError: the names contradict what dataset.yaml says about the numbers.
    """

    def __init__(
        self,
        spellings: Mapping[Meaning, Set[str]],
        given: Mapping[Meaning, Set[str]],
        names: Sequence[str] | None = None,
        where: str = "",
    ):
        self._meanings = _by_value(spellings)
        self._given = _by_value(given)
        self.allowed = [value for kind in CLASSES for value in sorted(spellings.get(kind, set()))]
        self.names = None if names is None or _say_nothing(names) else [spelling(name) for name in names]
        self._of_number: dict[str, Meaning | None] = dict(self._meanings)
        if self.names is not None:
            self._of_number = {value: kind for value, kind in self._given.items() if value not in self.names}
            self._of_number |= self._of_numbers(self.names, where)

    def meaning(self, value: object) -> Meaning | None:
        """The meaning of a value; None if it has none."""
        text = spelling(value)
        if (
            self.names is None
            or (isinstance(value, str) and text in self.names)
            or not _NUMBER.fullmatch(text)
        ):
            return self._meanings.get(text)
        return self._of_number.get(text)

    def name(self, value: object) -> str:
        """A value as dataset.yaml would list it: its name, if the data names its number."""
        text = spelling(value)
        if self.names is None or not text.isdecimal() or (isinstance(value, str) and text in self.names):
            return text
        return self.names[int(text)] if int(text) < len(self.names) else text

    def contradicts(self, value: object, named: "Vocabulary") -> bool:
        """Whether a number, which this file does not name, means something else in a file that names it."""
        text = spelling(value)
        if self.names is not None or named.names is None or not _NUMBER.fullmatch(text):
            return False
        return self.meaning(value) != named._of_number.get(text)

    def agrees(self, other: "Vocabulary") -> bool:
        """Whether the numbers that both name mean the same to both."""
        both = zip(self.names or (), other.names or (), strict=False)
        return all(self._of_number[str(at)] == other._of_number[str(at)] for at, _ in enumerate(both))

    def advice(self, value: str, found: Set[str]) -> str:
        """Advice on how dataset.yaml can list a value that has no meaning yet.

        Args:
            value: the value, by its name.
            found: the values that the file has, by their names.
        """
        kept = "".join(f"{kind}: […], " for kind in CLASSES if kind in self._given.values())
        others = "…, " if "ignore" in self._given.values() else ""
        leaves_out = (
            f"`labels: {{{kept}ignore: [{others}{_yaml(value)}]}}` in dataset.yaml leaves such rows out"
        )
        here = one_line(", ".join(sorted(found - {""})), 100)
        lists = f"{here}: `labels: {{negative: […], positive: […], ignore: […]}}` in dataset.yaml says what each means"
        if not value:
            return leaves_out
        if not _NUMBER.fullmatch(value):
            return leaves_out if value in _NEITHER else lists
        listed = {
            each: kind for each, kind in self._given.items() if _NUMBER.fullmatch(each) and kind in CLASSES
        }
        if not set(listed) <= {"0", "1"}:  # which would say little about a third number
            negative, positive = (
                [Decimal(each) for each in listed if listed[each] == kind] for kind in CLASSES
            )
            between = negative and positive and max(negative) < Decimal(value) < min(positive)
            return leaves_out if between else lists
        numbers = {Decimal(each) for each in found if _NUMBER.fullmatch(each)}
        words = {self._meanings.get(each) for each in found - {""} if not _NUMBER.fullmatch(each)}
        if numbers.isdisjoint({0, 1}) and words >= set(CLASSES):
            return leaves_out
        certain = len(numbers) > 2 or numbers in (*_PAIRS, {-1, 0}) or not _in_halves(numbers)
        return _scale(numbers) if words <= {None} and certain else lists

    def _of_numbers(self, names: Sequence[str], where: str) -> dict[str, Meaning | None]:
        """The meaning of each number that has a name."""
        by_name = {str(number): self._meanings.get(name) for number, name in enumerate(names)}
        by_number = {number: self._given.get(number) for number in by_name}
        if all(
            map(_NUMBER.fullmatch, names)
        ):  # then a number in dataset.yaml may be a name or what stands in the file
            if None in by_number.values() or by_name == by_number:
                return by_name
            if None in by_name.values():
                return by_number
        usual = _by_value(dict(zip(CLASSES, SPELLINGS, strict=True)))
        for number, name in enumerate(names):
            explicit, named = by_number[str(number)], self._given.get(name) or usual.get(name)
            if explicit and named and explicit != named:
                raise InputError(
                    f"{where}: the data's own names say that label {number} is {shortened(name)}, and `labels` in "
                    f"dataset.yaml lists {number} under {explicit}; remove it there: the names decide, and `labels` may "
                    "list names"
                )
        return {number: by_number[number] or meaning for number, meaning in by_name.items()}


class LabelColumn:
    """The label column of a dataset: its values, and their meaning in each file.

    Args:
        column: its name.
        spellings, given: as for Vocabulary.
    """

    def __init__(self, column: str, spellings: Mapping[Meaning, Set[str]], given: Mapping[Meaning, Set[str]]):
        self.column, self._spellings, self._given = column, spellings, given
        self._plain = Vocabulary(spellings, given)
        self._of_file: dict[str, Vocabulary] = {}
        self._named: dict[str, Vocabulary] = {}
        self._ignores_numbers = not set(CLASSES) & set(given) and any(
            map(_NUMBER.fullmatch, given.get("ignore", ()))
        )
        self._numbers: dict[str, Meaning] = {}  # numbers found, where some are ignored

    def add(
        self, where: str, own: Sequence[str] | None, of_card: Sequence[str] | None = None, card: str = ""
    ) -> None:
        """Add a file whose classes are named by its own metadata, or by the card of its dataset.

        Raises:
            InputError: the two contradict each other, or dataset.yaml.
        """
        if own is None and of_card is None:
            return
        vocabulary = Vocabulary(self._spellings, self._given, own, where)
        described = Vocabulary(self._spellings, self._given, of_card, card)
        if vocabulary.names is None:
            vocabulary = described
        elif described.names is not None and not vocabulary.agrees(described):
            raise InputError(
                f"{where}: names its labels {_listed(vocabulary.names)}, and {card} names them {_listed(described.names)}; "
                "one of the two is wrong"
            )
        self._of_file[where] = vocabulary
        if vocabulary.names is not None and not any(map(vocabulary.agrees, self._named.values())):
            self._named[where] = vocabulary

    def vocabulary(self, row: Row) -> Vocabulary:
        """The meaning of values in the file of this row."""
        return self._of_file.get(row.where, self._plain)

    def value(self, row: Row) -> object:
        """The label of a row as the file has it, without a list around it; None if there is none.

        Raises:
            InputError: there are several, or the row has a fault.
        """
        try:
            value = unwrapped(row.value(self.column))
        except AbsentError:
            return None
        if isinstance(value, list):
            fault = f"{shortened(value)} is a list of {len(value)} labels; every review needs one"
            raise InputError(f"{one_line(self.column, 80)} {fault}")
        return value

    def meaning(self, row: Row) -> Meaning | None:
        """The meaning of the label of a row; None if it has none.

        Raises:
            InputError: there are several labels, the row has a fault, or another file names this number otherwise.
        """
        value, vocabulary = self.value(row), self.vocabulary(row)
        for where, named in self._named.items():
            if vocabulary.contradicts(value, named):
                raise InputError(
                    f"{one_line(self.column, 80)} {shortened(value)} has no name in this file, and {where} names its "
                    f"labels {_listed(named.names or [])}; name them in all files, or in none"
                )
        meaning = vocabulary.meaning(value)
        if self._ignores_numbers:
            self._check_ignored_number(spelling(value), meaning, vocabulary)
        return meaning

    def _check_ignored_number(self, text: str, meaning: Meaning | None, vocabulary: Vocabulary) -> None:
        """Refuse to ignore a number beside 0 and 1 about which dataset.yaml says nothing: it may be a class."""
        if vocabulary.names is None and meaning and _NUMBER.fullmatch(text):
            self._numbers[text] = meaning
        if "ignore" in self._numbers.values() and not set(CLASSES).isdisjoint(self._numbers.values()):
            ignored = next(number for number, kind in self._numbers.items() if kind == "ignore")
            raise InputError(
                f"{one_line(self.column, 80)} {ignored} is ignored beside 0 and 1, which `labels` does not list; "
                f"{_scale({Decimal(0), Decimal(1), Decimal(ignored)})}; else list negative and positive beside ignore"
            )

    def fault(self, row: Row, found: Set[str], advice: str = "") -> str:
        """Why a label that means nothing is refused, and what to do.

        Args:
            row: the row with this label.
            found: the labels of such rows, by their names.
            advice: what to do; empty: what to write in dataset.yaml.
        """
        value, vocabulary = self.value(row), self.vocabulary(row)
        name, column = vocabulary.name(value), one_line(self.column, 80)
        if isinstance(value, dict | bytes):
            return f"{column} {shortened(value)} is not allowed; a label is text, a number, or a list of one"
        advice = advice or vocabulary.advice(name, found)
        if not name and self.column in row.values:
            return f"{column} is missing; every review needs one; {advice}"
        if not name:
            fault = f"has no {column}; it has: {_listed(row.values) or 'nothing'}"
            return f"{fault}; {advice}" if found - {""} else fault
        named = f" ({shortened(name)} by the data's own names)" if name != spelling(value) else ""
        allowed = vocabulary.allowed
        if named and not _NUMBER.fullmatch(name):
            allowed = [each for each in allowed if not _NUMBER.fullmatch(each)] or allowed
        values = one_line(", ".join(allowed), 100)
        return f"{column} {shortened(value)}{named} is not allowed; allowed: {values}; there are two classes; {advice}"


def _listed(values: Iterable[object]) -> str:
    return one_line(", ".join(map(str, values)))


def _by_value(values: Mapping[Meaning, Iterable[str]]) -> dict[str, Meaning]:
    return {value: kind for kind, some in values.items() for value in some}


def _say_nothing(names: Sequence[str]) -> bool:
    """Whether names are no more than their numbers: 0 and 1, LABEL_0 and LABEL_1, class 0 and class 1."""
    return all(
        re.fullmatch(rf"(label|class)?[ _-]?{number}", spelling(name)) for number, name in enumerate(names)
    )


def _in_halves(numbers: Iterable[Decimal]) -> bool:
    return all(number * 2 % 1 == 0 for number in numbers)


def _scale(numbers: set[Decimal]) -> str:
    """How numbers from worst to best are usually divided, and how to write that."""
    if numbers == {-1, 0}:  # a file sorted by label, of which the beginning was read
        numbers |= {Decimal(1)}
    lowest, highest = min(numbers), max(numbers)
    if not _in_halves(numbers) or len(numbers) > _LONGEST_SCALE:
        return (
            f"the labels here are scores from {lowest:f} to {highest:f}, and there are two classes: add a column that says "
            "negative or positive, such as by a threshold"
        )
    whole = all(number % 1 == 0 for number in numbers)
    if whole and len(numbers) > 2 and highest - lowest < _LONGEST_SCALE:
        numbers = {Decimal(number) for number in range(int(lowest), int(highest) + 1)}
    middle = (lowest + highest) / 2
    width = Decimal(0 if len(numbers) == 2 else 1 if whole else 0.5)
    parts = {
        "negative": [number for number in sorted(numbers) if middle - number >= width],
        "ignore": [number for number in sorted(numbers) if abs(number - middle) < width],
        "positive": [number for number in sorted(numbers) if number - middle >= width],
    }
    lists = [
        f"{part}: [{', '.join(f'{number:f}' for number in some)}]" for part, some in parts.items() if some
    ]
    if len(numbers) == 2:
        usual = f"{lowest:f} and {highest:f} are usually negative and positive"
    elif len(numbers) == 3 and middle in numbers:
        usual = f"{lowest:f}, {middle:f} and {highest:f} are usually negative, neutral and positive"
    else:
        usual = f"numbers from {lowest:f} to {highest:f} are usually a scale from negative to positive"
    return f"{usual}; if so here, write `labels: {{{', '.join(lists)}}}` in dataset.yaml"


def _yaml(value: str) -> str:
    """A value as YAML has it in a list."""
    if not value:
        return "null"
    return one_line(value if _PLAIN.fullmatch(value) else f'"{value}"', 40)
