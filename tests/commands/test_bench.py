"""The benchmark: its reviews, and every recipe with a short maximum length and few reviews."""

from pathlib import Path

import pandas as pd
import pytest

from sentiment.commands import bench
from sentiment.commands.bench import (
    inputs,
    measurement,
    scoring_recipes,
    trained_models,
    training_recipes,
)
from sentiment.commands.bench.measurement import Round
from sentiment.errors import InputError
from tests.conftest import ROOT, Clone


def test_every_recipe_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(inputs, "MAX_LENGTH", 16)
    monkeypatch.setattr(inputs, "TO_SCORE", 33)
    monkeypatch.setattr(measurement, "PEAK_SIZE", {"cuda": 512, "cpu": 128})
    texts, labels = inputs.synthetic_reviews()
    words = pd.Series(texts).str.split().str.len()
    assert words.median() == pytest.approx(inputs.MEDIAN_WORDS, rel=0.1)
    assert words.quantile(0.95) == pytest.approx(inputs.P95_WORDS, rel=0.15)
    scoring, _ = scoring_recipes.available()
    for title, recipes in {"training": training_recipes.RECIPES, "scoring": scoring}.items():
        this_round = Round(texts[:80], labels[:80], seconds=0.0, seed=0)
        results = {name: [recipe(this_round)] for name, recipe in recipes.items()}
        for (result,) in results.values():
            assert 0 < result.tokens <= 16 * result.reviews
            # Other tests share the cores, so a speed proves nothing.
            assert min(result.operations, result.seconds, result.peak_operations) > 0
        assert bench.table(title, results).count("\n") == 2 + len(recipes)


def test_the_models_of_a_run_are_measured(ran: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ran.folder)
    models = trained_models.trained_models()
    assert list(models)[:3] == ["n-grams", "classifier", "blend with classifier"]
    for name, model in {
        "n-grams": "baseline",
        "classifier": "test",
        "blend with classifier": "blend",
    }.items():
        assert models[name].accuracy == pytest.approx(ran.details(model)["accuracy"], abs=1e-6)
    rates = trained_models.measure(models, rounds=2, seconds=0.0)
    assert all(len(each) == 2 and min(each) > 0 for each in rates.values())
    lines = trained_models.table(models, rates).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in models]


def test_a_run_without_a_blend_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="^models/blend.json: no such file; `dvc repro` writes it$"):
        trained_models.trained_models()
