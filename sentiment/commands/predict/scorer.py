"""Scores rows of reviews with a classifier, and says which rows cannot be scored."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sentiment import progress
from sentiment.api import open_classifier
from sentiment.data.row import Row
from sentiment.errors import InputError
from sentiment.labels import LABELS
from sentiment.progress import Advance

_NAMED = 20  # faulty rows that are named; the rest are counted


class Score(NamedTuple):
    """The score of one review: its id, its label, and the probability of POSITIVE."""

    id: str
    label: str
    probability: float


class Scorer:
    """Rows in, a Score of each out. Workers of a cluster run it too.

    Args:
        model: models/classifier, models/fp32, models/int8, models/baseline.npz, or a copy of one.
        precision: `auto`, `bf16` or `fp32`.
        text: columns with the review.
        id: column with its id; None is `id`, or the row's number where there is no such column.
        skip: leave rows with a fault out, and tell; else the first ends it.

    Attributes:
        skipped: rows left out so far.
        tokens: tokens of the rows scored so far.
        unknown: those of them that the model's vocabulary lacks.
        independent: whether a score depends on the text alone, not on the rows scored with it.

    Raises:
        InputError: there is no such model.
    """

    def __init__(
        self,
        model: str | Path,
        precision: str,
        text: Sequence[str] = ("text",),
        id: str | None = None,
        skip: bool = False,
    ):
        self._classifier = open_classifier(model, precision)
        self._text, self._id, self._skip = text, id, skip
        self.skipped = self.tokens = self.unknown = 0
        self.independent = self._classifier.independent

    def __call__(
        self, rows: Iterable[Row], advance: Advance = progress.ignore
    ) -> tuple[list[Score], InputError | None]:
        """Score rows up to the first with a fault, unless these are skipped; return the scores, and the fault if any.

        `advance` takes how many more rows are scored.
        """
        ids, texts, fault = [], [], None
        for row in rows:
            try:
                text, id = row.text(*self._text), self._id_of(row)
            except InputError as error:
                line = f"{row.place}: {error}"
                if not self._skip:
                    fault = InputError(f"{line} (--on-error skip leaves such rows out)")
                    break
                self._tell(line)
            else:
                ids.append(id)
                texts.append(text)
        probability = np.empty(0)
        if texts:
            probability, tokens, unknown = self._classifier.score(texts, advance)
            self.tokens += tokens
            self.unknown += unknown
        scores = [
            Score(id, LABELS[one >= 0.5], one) for id, one in zip(ids, probability.tolist(), strict=True)
        ]
        return scores, fault

    def _id_of(self, row: Row) -> str:
        if self._id is None and row.values.get("id") is None:
            return str(row.number)
        id = row.value(self._id or "id")
        if id is None:
            raise InputError(f"has no {self._id}")
        return str(id)

    def _tell(self, line: str) -> None:
        self.skipped += 1
        if self.skipped <= _NAMED:
            progress.say(f"skipped: {line}", sys.stderr)
