"""The blend as a classifier: its scores, the reviews that its encoder reads, and its use from Python."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sentiment import load_classifier
from sentiment.api import open_classifier
from sentiment.blend.classifier import BlendClassifier
from tests.conftest import Clone
from tests.helpers.blends import write_blend


@pytest.fixture(scope="module")
def texts(ran: Clone) -> list[str]:
    """The first test reviews of `ran`."""
    reviews: list[str] = pd.read_parquet(ran.folder / "data/prepared/test.parquet")["text"].head(40).tolist()
    return reviews


def opened(path: Path) -> BlendClassifier:
    """The blend in a file, in float32."""
    classifier = open_classifier(path, "fp32")
    assert isinstance(classifier, BlendClassifier)
    return classifier


def test_ngrams_decide_where_they_are_certain(ran: Clone, tmp_path: Path, texts: list[str]) -> None:
    classifier = opened(write_blend(tmp_path / "blend.json", ran))
    by_ngrams = classifier.ngrams.probabilities(texts)
    by_encoder = classifier.encoder.probabilities(texts)
    decided = np.abs(np.log(by_ngrams / (1 - by_ngrams))) >= 0.5
    assert 0 < decided.sum() < len(texts)
    odds = np.where(
        decided,
        1.1 * np.log(by_ngrams / (1 - by_ngrams)),
        0.8 * np.log(by_ngrams / (1 - by_ngrams)) + 0.5 * np.log(by_encoder / (1 - by_encoder)),
    )
    advanced: list[float] = []
    scores = classifier.score(texts, advanced.append)
    np.testing.assert_allclose(scores.probabilities, 1 / (1 + np.exp(-odds)), atol=1e-6)
    assert sum(advanced) == pytest.approx(len(texts))
    undecided = [text for text, certain in zip(texts, decided, strict=True) if not certain]
    assert scores.tokens == classifier.encoder.score(undecided).tokens


def test_a_score_depends_only_on_its_own_text(ran: Clone, tmp_path: Path, texts: list[str]) -> None:
    classifier = opened(write_blend(tmp_path / "blend.json", ran))
    together = classifier.probabilities(texts[:12]).tolist()
    assert together == [classifier.probabilities([text])[0] for text in texts[:12]]


def test_without_a_cascade_the_encoder_reads_every_review(
    ran: Clone, tmp_path: Path, texts: list[str]
) -> None:
    classifier = opened(write_blend(tmp_path / "blend.json", ran, cascade=None))
    assert classifier.score(texts).tokens == classifier.encoder.score(texts).tokens


def test_ngrams_may_decide_every_review(ran: Clone, tmp_path: Path, texts: list[str]) -> None:
    path = write_blend(tmp_path / "blend.json", ran, cascade={"margin": 0, "weight": 1})
    scores = opened(path).score(texts)
    assert scores.tokens == 0
    np.testing.assert_allclose(scores.probabilities, opened(path).ngrams.probabilities(texts), atol=1e-6)


def test_the_python_api_and_predict_take_a_blend(ran: Clone, tmp_path: Path) -> None:
    path = write_blend(tmp_path / "blend.json", ran)
    reviews = ["Great fun, and moving.", "Dull,<br />so dull &amp; slow."]
    predictions = load_classifier(path, "fp32").predict(reviews)
    printed = ran.run(f"sentiment predict --model {path} '{reviews[0]}' '{reviews[1]}'")
    rows = [line.split(",") for line in printed.splitlines()[1:]]
    assert [(label, float(probability)) for _, label, probability in rows] == [
        (label, pytest.approx(probability, abs=1e-2)) for label, probability in predictions
    ]


def test_a_run_is_not_resumed_with_other_models(ran: Clone, tmp_path: Path) -> None:
    for name in ("baseline.npz", "other.npz"):
        (tmp_path / name).write_bytes((ran.folder / "models/baseline.npz").read_bytes())
    with (tmp_path / "other.npz").open("ab") as file:
        file.write(b"\0")  # the same model in a file with another hash
    path = write_blend(tmp_path / "blend.json", ran, ngrams="baseline.npz")
    (tmp_path / "reviews.csv").write_text("id,text\n1,Fine.\n2,\n")
    command = (
        f"sentiment predict --model {path} --input {tmp_path}/reviews.csv --output {tmp_path}/scores.csv"
    )
    assert "add --resume" in ran.run(command, fails=True)
    (tmp_path / "other.npz").replace(tmp_path / "baseline.npz")
    assert "another model" in ran.run(f"{command} --resume --on-error skip", fails=True)
