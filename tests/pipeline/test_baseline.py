"""The baseline on large data: the cap on the fitted reviews, and scoring in blocks."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sentiment import InputError, load_classifier
from sentiment.data import dataset
from sentiment.metrics import evaluation_sets
from sentiment.ngrams.regression import fit
from stages import baseline
from tests.conftest import ROOT


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, pd.DataFrame]:
    """A part of the sample as data/prepared/ in the working directory."""
    monkeypatch.chdir(ROOT)
    rows = dataset.load("sample").reviews
    train, test = (rows[rows["split"] == split] for split in ("train", "test"))
    splits = {"train": train[:300], "validation": train[300:360], "test": test[:101]}
    monkeypatch.chdir(tmp_path)
    Path("data/prepared").mkdir(parents=True)
    for name, split in splits.items():
        split.to_parquet(f"data/prepared/{name}.parquet", index=False)
    return splits


def test_only_a_capped_fit_is_reported(
    prepared: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline.main()
    whole = json.loads(Path("metrics/baseline.json").read_text())["details"][0]
    assert "fit_on" not in whole
    assert "fit on" not in capsys.readouterr().out

    monkeypatch.setattr(baseline, "MAX_REVIEWS", {"train": 200, "validation": 60})
    baseline.main()
    capped = json.loads(Path("metrics/baseline.json").read_text())["details"][0]
    assert capped.pop("fit_on") == {"train": 200, "validation": 60}
    assert capped.keys() == whole.keys()
    assert "fit on 200 of 300 training reviews" in capsys.readouterr().out


def test_scoring_in_blocks_gives_the_same_scores(
    prepared: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, _ = fit(prepared["train"], prepared["validation"])
    texts = prepared["test"]["text"].tolist()
    at_once = classifier.probabilities(texts)
    monkeypatch.setattr("sentiment.ngrams.regression.BLOCK", 10)
    np.testing.assert_array_equal(classifier.probabilities(texts), at_once)


def test_without_labelled_reviews_every_output_says_why_there_is_no_baseline(
    prepared: dict[str, pd.DataFrame], capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "validation"):
        prepared[split].head(0).to_parquet(f"data/prepared/{split}.parquet", index=False)
    baseline.main()
    why = "not available: the dataset has no labelled training reviews"
    assert capsys.readouterr().out == f"baseline: {why}\n"
    assert json.loads(Path("metrics/baseline.json").read_text()) == {"details": [{"accuracy": why}]}
    assert evaluation_sets.why_unavailable("baseline") == why
    with pytest.raises(InputError, match=f"^models/baseline.npz: n-grams are {why}$"):
        load_classifier("models/baseline.npz")
