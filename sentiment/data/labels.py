"""Label values: their comparison, their meaning in each file, and advice about values without a meaning."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from typing import Literal

from sentiment.data.row import AbsentError, Row, missing
from sentiment.data.text import nfc
from sentiment.errors import InputError, one_line
from sentiment.labels import SPELLINGS
from sentiment.validation import listed, shortened

Meaning = Literal["negative", "positive", "unlabelled", "ignore"]
CLASSES: tuple[Meaning, Meaning] = ("negative", "positive")  # in the order of LABELS
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
# Values that YAML reads as themselves without quotes.
_UNQUOTED_YAML = re.compile(r"(?!(null|true|false)$)[^\W\d][\w ]*|-?[0-9.]+", re.IGNORECASE)
# Names of a third class, and words for a missing label. Other words, such as "bad", may name one of the two
# classes.
_NEITHER_CLASS = {
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
_USUAL_PAIRS = ({-1, 1}, {1, 2}, {0, 2}, {0, 4}, {1, 3}, {1, 5}, {1, 10})  # of numbers for the two classes
_WRAPPERS = ("choices", "value", "label")  # keys that annotation tools put around a label
_LONGEST_SCALE = 21  # the number of values from 0 to 10 in halves


def spelling(value: object) -> str:
    """Normalise a label or the name of a split for comparison: lower case, Unicode NFC, and 2 for 2.0."""
    if missing(value):
        return ""
    text = nfc(str(value).strip().casefold())
    return f"{(Decimal(text) + 0).normalize():f}" if _NUMBER.fullmatch(text) else text


def unwrapped(value: object) -> object:
    """The label in a list of one or {"choices": …}, as annotation tools write it; None for an empty list."""
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
        values: the label values for each meaning, normalised by `spelling`.
        listed: those that dataset.yaml lists under `labels`.
        names: the names that the data gives the numbers 0, 1, … in the label column; None if it names none.
        where: the name of the file in errors.

    Attributes:
        names: the same names, normalised; None if they only repeat the numbers, such as LABEL_0.
        allowed: the values that are negative or positive.

    Raises:
        InputError: the names contradict dataset.yaml about a number.
    """

    def __init__(
        self,
        values: Mapping[Meaning, Set[str]],
        listed: Mapping[Meaning, Set[str]],
        names: Sequence[str] | None = None,
        where: str = "",
    ):
        self._meanings = _by_value(values)
        self._listed = _by_value(listed)
        self.allowed = [*sorted(values.get("negative", ())), *sorted(values.get("positive", ()))]
        self.names: list[str] | None = None
        self._meaning_of_number: dict[str, Meaning | None] = dict(self._meanings)
        if names is not None and not _repeat_numbers(names):
            self.names = [spelling(name) for name in names]
            self._meaning_of_number = dict(self._listed)
            for name in self.names:
                self._meaning_of_number.pop(name, None)
            self._meaning_of_number |= self._meanings_of_named_numbers(self.names, where)

    def meaning(self, value: object) -> Meaning | None:
        """The meaning of a value; None if it has none."""
        text = spelling(value)
        if self.names is None or self._is_name(value) or not _NUMBER.fullmatch(text):
            return self._meanings.get(text)
        return self._meaning_of_number.get(text)

    def name(self, value: object) -> str:
        """The value as dataset.yaml would list it: its name if the data names this number, else itself."""
        text = spelling(value)
        if self.names is None or self._is_name(value) or not text.isdecimal() or int(text) >= len(self.names):
            return text
        return self.names[int(text)]

    def _is_name(self, value: object) -> bool:
        return isinstance(value, str) and self.names is not None and spelling(value) in self.names

    def contradicts(self, value: object, named: "Vocabulary") -> bool:
        """Whether a number that this file does not name has another meaning in a file that names it."""
        text = spelling(value)
        if self.names is not None or named.names is None or not _NUMBER.fullmatch(text):
            return False
        return self.meaning(value) != named._meaning_of_number.get(text)

    def agrees(self, other: "Vocabulary") -> bool:
        """Whether the numbers that both vocabularies name have the same meanings in both."""
        shared = min(len(self.names or ()), len(other.names or ()))
        for number in map(str, range(shared)):
            if self._meaning_of_number[number] != other._meaning_of_number[number]:
                return False
        return True

    def advice(self, value: str, values: Set[str]) -> str:
        """Advice on how dataset.yaml can list a value that has no meaning yet.

        Args:
            value: the value, by its name.
            values: all values in the file, by their names.
        """
        classes = "".join(f"{kind}: […], " for kind in CLASSES if kind in self._listed.values())
        others = "…, " if "ignore" in self._listed.values() else ""
        to_ignore = (
            f"`labels: {{{classes}ignore: [{others}{_yaml(value)}]}}` in dataset.yaml leaves such rows out"
        )
        to_list = (
            f"{one_line(', '.join(sorted(values - {''})), 100)}: `labels: "
            f"{{negative: […], positive: […], ignore: […]}}` in dataset.yaml says what each means"
        )
        if not value:
            return to_ignore
        if not _NUMBER.fullmatch(value):
            return to_ignore if value in _NEITHER_CLASS else to_list
        if not self._listed_numbers(*CLASSES) <= {0, 1}:  # 0 and 1 say little about a third number
            negative, positive = self._listed_numbers("negative"), self._listed_numbers("positive")
            is_between = negative and positive and max(negative) < Decimal(value) < min(positive)
            return to_ignore if is_between else to_list
        numbers, meanings_of_words = set(), set()
        for each in values - {""}:
            if _NUMBER.fullmatch(each):
                numbers.add(Decimal(each))
            else:
                meanings_of_words.add(self._meanings.get(each))
        if numbers.isdisjoint({0, 1}) and meanings_of_words >= set(CLASSES):
            return to_ignore
        is_scale = len(numbers) > 2 or numbers in (*_USUAL_PAIRS, {-1, 0}) or not _in_halves(numbers)
        return _scale(numbers) if is_scale and meanings_of_words <= {None} else to_list

    def _listed_numbers(self, *meanings: Meaning) -> set[Decimal]:
        """The numbers that dataset.yaml lists for these meanings."""
        return {
            Decimal(value)
            for value, meaning in self._listed.items()
            if meaning in meanings and _NUMBER.fullmatch(value)
        }

    def _meanings_of_named_numbers(self, names: Sequence[str], where: str) -> dict[str, Meaning | None]:
        """The meaning of each number that has a name."""
        by_name = {str(number): self._meanings.get(name) for number, name in enumerate(names)}
        by_number = {number: self._listed.get(number) for number in by_name}
        if all(map(_NUMBER.fullmatch, names)):
            # All names are numbers too: dataset.yaml lists either names or the numbers in the file.
            if None in by_number.values() or by_name == by_number:
                return by_name
            if None in by_name.values():
                return by_number
        usual = _by_value(dict(zip(CLASSES, SPELLINGS, strict=True)))
        for number, name in enumerate(names):
            explicit, named = by_number[str(number)], self._listed.get(name) or usual.get(name)
            if explicit and named and explicit != named:
                raise InputError(
                    f"{where}: the data's own names say that label {number} is {shortened(name)}, and "
                    f"`labels` in dataset.yaml lists {number} under {explicit}; remove it there: the names "
                    "decide, and `labels` may list names"
                )
        return {number: by_number[number] or meaning for number, meaning in by_name.items()}


class LabelColumn:
    """The label column of a dataset: its values, and their meaning in each file.

    Args:
        column: its name.
        values, listed: see Vocabulary.
    """

    def __init__(self, column: str, values: Mapping[Meaning, Set[str]], listed: Mapping[Meaning, Set[str]]):
        self.column, self._values, self._listed = column, values, listed
        self._without_names = Vocabulary(values, listed)
        self._of_file: dict[str, Vocabulary] = {}
        # A vocabulary with names for each of their meanings that differs, by the file in which it came first.
        self._with_names: dict[str, Vocabulary] = {}
        ignored_numbers = list(filter(_NUMBER.fullmatch, listed.get("ignore", ())))
        self._ignores_numbers = bool(ignored_numbers) and listed.keys().isdisjoint(CLASSES)
        self._meaning_of_seen: dict[str, Meaning] = {}  # of the numbers read so far, if some are ignored

    def add(
        self, where: str, own: Sequence[str] | None, of_card: Sequence[str] | None = None, card: str = ""
    ) -> None:
        """Add a file whose metadata names the classes, or whose dataset has a card that names them.

        Raises:
            InputError: the two contradict each other, or dataset.yaml.
        """
        if own is None and of_card is None:
            return
        vocabulary = Vocabulary(self._values, self._listed, own, where)
        vocabulary_of_card = Vocabulary(self._values, self._listed, of_card, card)
        if vocabulary.names is None:
            vocabulary = vocabulary_of_card
        elif vocabulary_of_card.names is not None and not vocabulary.agrees(vocabulary_of_card):
            raise InputError(
                f"{where}: names its labels {listed(vocabulary.names)}, and {card} names them "
                f"{listed(vocabulary_of_card.names)}; one of the two is wrong"
            )
        self._of_file[where] = vocabulary
        if vocabulary.names is not None and not any(map(vocabulary.agrees, self._with_names.values())):
            self._with_names[where] = vocabulary

    def vocabulary(self, row: Row) -> Vocabulary:
        """The meaning of values in the file of this row."""
        return self._of_file.get(row.where, self._without_names)

    def value(self, row: Row) -> object:
        """The label of a row as it is in the file, without a list around it; None if there is none.

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
            InputError: there are several labels, the row has a fault, or another file names this number
                differently.
        """
        value, vocabulary = self.value(row), self.vocabulary(row)
        for where, named in self._with_names.items():
            if vocabulary.contradicts(value, named):
                raise InputError(
                    f"{one_line(self.column, 80)} {shortened(value)} has no name in this file, and {where} "
                    f"names its labels {listed(named.names or [])}; name them in all files, or in none"
                )
        meaning = vocabulary.meaning(value)
        if self._ignores_numbers:
            self._check_ignored_number(spelling(value), meaning, vocabulary)
        return meaning

    def _check_ignored_number(self, text: str, meaning: Meaning | None, vocabulary: Vocabulary) -> None:
        """Refuse to ignore a number beside 0 and 1 if dataset.yaml does not list these: it may be a class."""
        if vocabulary.names is None and meaning and _NUMBER.fullmatch(text):
            self._meaning_of_seen[text] = meaning
        meanings = self._meaning_of_seen.values()
        if "ignore" in meanings and not set(CLASSES).isdisjoint(meanings):
            ignored = next(number for number, kind in self._meaning_of_seen.items() if kind == "ignore")
            raise InputError(
                f"{one_line(self.column, 80)} {ignored} is ignored beside 0 and 1, which `labels` does not "
                f"list; {_scale({Decimal(0), Decimal(1), Decimal(ignored)})}; else list negative and "
                "positive beside ignore"
            )

    def fault(self, row: Row, names: Set[str], advice: str = "") -> str:
        """The error for a label without a meaning, with advice.

        Args:
            row: the row with this label.
            names: the labels of other rows like it, by their names.
            advice: what to do; empty: advice on what to write in dataset.yaml.
        """
        value, vocabulary = self.value(row), self.vocabulary(row)
        name, column = vocabulary.name(value), one_line(self.column, 80)
        if isinstance(value, dict | bytes):
            return f"{column} {shortened(value)} is not allowed; a label is text, a number, or a list of one"
        advice = advice or vocabulary.advice(name, names)
        if not name and self.column in row.values:
            return f"{column} is missing; every review needs one; {advice}"
        if not name:
            fault = f"has no {column}; it has: {listed(row.values) or 'nothing'}"
            return f"{fault}; {advice}" if names - {""} else fault
        named = f" ({shortened(name)} by the data's own names)" if name != spelling(value) else ""
        allowed = vocabulary.allowed
        if named and not _NUMBER.fullmatch(name):
            allowed = [each for each in allowed if not _NUMBER.fullmatch(each)] or allowed
        values = one_line(", ".join(allowed), 100)
        fault = f"{column} {shortened(value)}{named} is not allowed; allowed: {values}"
        return f"{fault}; there are two classes; {advice}"


def _by_value(values: Mapping[Meaning, Iterable[str]]) -> dict[str, Meaning]:
    """The meaning of each value."""
    by_value: dict[str, Meaning] = {}
    for meaning, values_of_meaning in values.items():
        by_value |= dict.fromkeys(values_of_meaning, meaning)
    return by_value


def _repeat_numbers(names: Sequence[str]) -> bool:
    """Whether names only repeat their numbers: 0 and 1, LABEL_0 and LABEL_1, class 0 and class 1."""
    for number, name in enumerate(names):
        if not re.fullmatch(rf"(label|class)?[ _-]?{number}", spelling(name)):
            return False
    return True


def _in_halves(numbers: Iterable[Decimal]) -> bool:
    """Whether all numbers are multiples of 0.5."""
    return all(number * 2 % 1 == 0 for number in numbers)


def _scale(numbers: set[Decimal]) -> str:
    """Advice on how to divide a scale of numbers from worst to best into classes."""
    if numbers == {-1, 0}:  # only the beginning was read, and the file may be sorted by label
        numbers |= {Decimal(1)}
    lowest, highest = min(numbers), max(numbers)
    if not _in_halves(numbers) or len(numbers) > _LONGEST_SCALE:
        return (
            f"the labels here are scores from {lowest:f} to {highest:f}, and there are two classes: add a "
            "column that says negative or positive, such as by a threshold"
        )
    whole = all(number % 1 == 0 for number in numbers)
    if whole and len(numbers) > 2 and highest - lowest < _LONGEST_SCALE:
        numbers = {Decimal(number) for number in range(int(lowest), int(highest) + 1)}
    middle = (lowest + highest) / 2
    width = Decimal(1 if whole else 0.5)  # numbers closer to the middle than this are neither class
    if len(numbers) == 2:
        width = Decimal(0)
    parts: dict[Meaning, list[str]] = {"negative": [], "ignore": [], "positive": []}
    for number in sorted(numbers):
        if abs(number - middle) < width:
            parts["ignore"].append(f"{number:f}")
        else:
            parts["negative" if number < middle else "positive"].append(f"{number:f}")
    lists = ", ".join(f"{part}: [{', '.join(values)}]" for part, values in parts.items() if values)
    if len(numbers) == 2:
        usual = f"{lowest:f} and {highest:f} are usually negative and positive"
    elif len(numbers) == 3 and middle in numbers:
        usual = f"{lowest:f}, {middle:f} and {highest:f} are usually negative, neutral and positive"
    else:
        usual = f"numbers from {lowest:f} to {highest:f} are usually a scale from negative to positive"
    return f"{usual}; if so here, write `labels: {{{lists}}}` in dataset.yaml"


def _yaml(value: str) -> str:
    """A value as an item of a YAML list."""
    if not value:
        return "null"
    return one_line(value if _UNQUOTED_YAML.fullmatch(value) else f'"{value}"', 40)
