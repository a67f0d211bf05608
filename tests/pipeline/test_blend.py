"""The stage blend: what it writes fits the predictions that it read, and is what the blend predicts."""

import io

import numpy as np
import pandas as pd
import pytest

from sentiment.blend import saved
from tests.conftest import Clone
from tests.helpers.blends import scores_of_two_models


def test_predict_gives_the_saved_predictions_of_the_blend(ran: Clone) -> None:
    rows = ran.run("sentiment predict --model models/blend.json --input data/prepared/test.parquet")
    predicted = pd.read_csv(io.StringIO(rows), dtype={"id": str})
    written = pd.read_parquet(ran.folder / "metrics/predictions/blend/test.parquet")
    assert predicted["id"].tolist() == written["id"].tolist()
    np.testing.assert_allclose(predicted["probability"], written["probability"], atol=1e-6)
    right = (predicted["label"] == "POSITIVE") == (written["label"] == 1)
    assert ran.details("blend")["accuracy"] == pytest.approx(right.mean(), abs=1e-6)


def test_every_evaluation_set_has_metrics_of_the_blend(ran: Clone) -> None:
    details = ran.details("blend")
    blend = saved.read(ran.folder / "models/blend.json")
    assert blend.cascade is None  # there are few validation reviews
    assert (details["weights"], details["cascade"]) == (blend.weights.model_dump(), None)
    for metrics in (details, ran.details("sets/blend/challenge")):
        assert metrics["accuracy_without_cascade"] == metrics["accuracy"]
        assert metrics["decided_by_ngrams"] == metrics["labels_changed"] == 0


def test_with_many_validation_reviews_there_is_a_cascade(copy: Clone) -> None:
    labels, ngrams, encoder = scores_of_two_models(3000)
    files = {
        "metrics/predictions/baseline/validation.parquet": ngrams,
        "metrics/validation/predictions.parquet": encoder,
    }
    for path, probability in files.items():
        rows = pd.DataFrame({"id": [f"validation-{row}" for row in range(3000)], "label": labels})
        (copy.folder / path).unlink()  # it is a link to DVC's cache
        rows.assign(probability=probability).to_parquet(copy.folder / path, index=False)
    printed = copy.run("python -m stages.blend")
    blend = saved.read(copy.folder / "models/blend.json")
    assert blend.cascade
    details = copy.details("blend")
    assert details["cascade"] == blend.cascade.model_dump()
    by_ngrams = pd.read_parquet(copy.folder / "metrics/predictions/baseline/test.parquet")["probability"]
    decided = blend.decided(by_ngrams.to_numpy())
    assert details["decided_by_ngrams"] == pytest.approx(decided.mean(), abs=1e-6)
    assert f"n-grams alone decide {decided.mean():.0%} of the test reviews" in printed
    by_blend = pd.read_parquet(copy.folder / "metrics/predictions/blend/test.parquet")["probability"]
    np.testing.assert_allclose(
        by_blend[decided], blend.cascade.probabilities(by_ngrams.to_numpy())[decided], atol=1e-9
    )
    label = pd.read_parquet(copy.folder / "data/prepared/test.parquet")["label"]
    assert details["accuracy"] == pytest.approx(((by_blend >= 0.5) == label).mean(), abs=1e-6)
