"""The file models/blend.json: what is written is read back, and faults are one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from sentiment import InputError, load_classifier
from sentiment.blend import saved
from sentiment.blend.cascade import Cascade
from sentiment.blend.saved import Blend
from sentiment.blend.weights import Weights
from tests.conftest import Clone
from tests.helpers.blends import write_blend

GOOD: dict[str, Any] = {
    "ngrams": "baseline.npz",
    "encoder": "classifier",
    "weights": {"ngrams": 0.8, "encoder": 0.5},
    "cascade": None,
}


@pytest.mark.parametrize("cascade", [None, Cascade(margin=2.5, weight=1.25)])
def test_a_blend_is_read_as_it_was_written(tmp_path: Path, cascade: Cascade | None) -> None:
    blend = Blend(
        ngrams="baseline.npz", encoder="int8", weights=Weights(ngrams=0.75, encoder=-0.5), cascade=cascade
    )
    saved.write(tmp_path / "blend.json", blend)
    assert saved.read(tmp_path / "blend.json") == blend


def test_a_file_can_say_why_there_is_no_blend(tmp_path: Path) -> None:
    path = tmp_path / "blend.json"
    saved.write(path, saved.Unavailable(unavailable="not available: no n-grams"))
    with pytest.raises(InputError, match=r"blend\.json: the blend is not available: no n-grams$"):
        load_classifier(path)


FAULTS: list[tuple[str | dict[str, Any], str]] = [
    ("", "Invalid JSON: EOF while parsing"),
    ("{", "Invalid JSON: EOF while parsing"),
    ("\xff", "Invalid JSON: "),
    ("[" * 10_000, "Invalid JSON: "),
    ("[]", "Input should be an object"),
    ({**GOOD, "encodr": "int8"}, "unknown key 'encodr' .did you mean 'encoder'"),
    ({key: GOOD[key] for key in GOOD if key != "ngrams"}, "ngrams is missing; allowed: path of n-grams"),
    ({key: GOOD[key] for key in GOOD if key != "cascade"}, "cascade is missing; allowed: null, or margin"),
    ({**GOOD, "ngrams": 1}, "ngrams: 1 is not allowed; allowed: path of n-grams"),
    ({**GOOD, "encoder": ""}, "encoder: '' is not allowed; allowed: path of a model's folder"),
    ({**GOOD, "encoder": "a\nb"}, r"encoder: 'a\\nb' is not allowed; allowed: path of a model's folder"),
    ({**GOOD, "weights": [1, 2]}, r"weights: \[1, 2\] is not allowed; allowed: ngrams and encoder"),
    ({**GOOD, "weights": {"ngrams": 1}}, "weights.encoder is missing; allowed: ngrams and encoder"),
    ({**GOOD, "weights": {"ngrams": "1", "encoder": 1}}, "weights.ngrams: '1' is not allowed"),
    ({**GOOD, "weights": {"ngrams": True, "encoder": 1}}, "weights.ngrams: True is not allowed"),
    ({**GOOD, "weights": {"ngrams": float("nan"), "encoder": 1}}, "weights.ngrams: nan is not allowed"),
    ({**GOOD, "weights": {"ngrams": 1, "encoder": 1, "x": 1}}, "weights.x: 1 is not allowed"),
    ({**GOOD, "cascade": 3}, "cascade: 3 is not allowed; allowed: null, or margin, from 0, and weight"),
    ({**GOOD, "cascade": {"margin": -1, "weight": 1}}, "cascade.margin: -1 is not allowed"),
    ({**GOOD, "cascade": {"margin": 1, "weight": 0}}, "cascade.weight: 0 is not allowed"),
]


@pytest.mark.parametrize(("content", "message"), FAULTS)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: str | dict[str, Any], message: str) -> None:
    path = tmp_path / "blend.json"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"blend\.json: {message}") as error:
        load_classifier(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ngrams": "nosuch.npz"}, "ngrams: .*nosuch.npz: no classifier there; `dvc repro`"),
        ({"ngrams": "models/classifier"}, "ngrams: .*classifier: allowed: an n-gram baseline"),
        ({"encoder": "nosuch"}, "encoder: .*nosuch: no classifier there; `dvc repro`"),
        ({"encoder": "blend.json"}, "encoder: .*blend.json: allowed: a model's folder"),
        ({"encoder": "baseline.npz"}, "encoder: .*baseline.npz: allowed: a model's folder"),
    ],
)
def test_a_blend_of_wrong_models_is_one_line(
    ran: Clone, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    path = write_blend(tmp_path / "blend.json", ran, **changes)
    with pytest.raises(InputError, match=rf"blend\.json: {message}") as error:
        load_classifier(path)
    assert "\n" not in str(error.value)
