"""Scores rows of reviews with a classifier, and reports the rows that cannot be scored."""

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

_MAX_REPORTED = 20  # skipped rows that are named; the others are only counted


class Score(NamedTuple):
    """The score of one review: its id, its label, and the probability of POSITIVE."""

    id: str
    label: str
    probability: float


class Scorer:
    """Turns rows into scores; the workers of a cluster use it too.

    Args:
        model: models/classifier, models/fp32, models/int8, models/baseline.npz or models/blend.json, or a
            copy of one.
        precision: `auto`, `bf16` or `fp32`.
        text: columns that make up the review.
        id: column with its id; None: `id`, or the row number if there is no such column.
        skip: report and skip rows that cannot be scored, instead of stopping at the first.

    Attributes:
        skipped: rows left out so far.
        tokens: tokens of the rows scored so far.
        unknown: those of them that the model's vocabulary lacks.
        independent: whether a score depends on the text alone, not on the rows scored with it.

    Raises:
        InputError: there is no classifier at the path, or it cannot be loaded.
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
        """Score rows until the first that cannot be scored, or all others if such rows are skipped.

        Args:
            rows: the rows.
            advance: called with the number of rows that were scored since the last call.

        Returns:
            The scores, and the error of the row that ended them, if any.
        """
        ids, texts, fault = [], [], None
        for row in rows:
            try:
                text, id = row.text(*self._text), self._id_of(row)
            except InputError as error:
                line = f"{row.place}: {error}"
                if not self._skip:
                    fault = InputError(f"{line} (to skip such rows: --on-error skip)")
                    break
                self._report_skipped(line)
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

    def _report_skipped(self, line: str) -> None:
        self.skipped += 1
        if self.skipped <= _MAX_REPORTED:
            progress.say(f"skipped: {line}", sys.stderr)
