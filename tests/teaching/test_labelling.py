"""Labelling in blocks, and after an interruption."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sentiment import progress
from sentiment.api import open_classifier
from sentiment.classifier import Classifier, Scores
from sentiment.progress import Advance
from sentiment.teaching import labelling
from tests.conftest import Clone

TEXTS = ["A fine film.", "Dull.", "Well acted, but long.", "I left early.", "Great fun!"]


class Interrupted(Classifier):
    """A classifier that raises KeyboardInterrupt after some calls.

    Attributes:
        calls: number of calls before that; infinity for none.
        scored: the reviews that it has scored.
    """

    def __init__(self, classifier: Classifier, calls: float):
        self.classifier, self.calls, self.scored = classifier, calls, list[str]()

    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        if not self.calls:
            raise KeyboardInterrupt
        self.calls -= 1
        self.scored += texts
        return self.classifier.score(texts, advance)


def test_labelling_continues_with_the_first_missing_block(
    ran: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(labelling, "BLOCK", 2)
    teacher = open_classifier(ran.folder / "models/classifier")
    with pytest.raises(KeyboardInterrupt):
        labelling.label(Interrupted(teacher, 2), TEXTS, tmp_path / "labels")
    # A block that was interrupted while it was written does not count.
    assert sorted(file.name for file in (tmp_path / "labels").iterdir()) == ["0.npy", "2.npy"]
    resumed = Interrupted(teacher, np.inf)
    probability = labelling.label(resumed, TEXTS, tmp_path / "labels")
    assert resumed.scored == TEXTS[4:]
    assert "4 of 5 reviews are labelled already" in capsys.readouterr().out
    np.testing.assert_array_equal(probability, teacher.probabilities(TEXTS))
