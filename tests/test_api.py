"""The Python API: the scores of `sentiment predict`, clear errors, and an import without side effects."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sentiment import InputError, Prediction, load_classifier
from sentiment.model.transformer import load_weights
from sentiment.onnx import graph
from tests.conftest import ROOT, Clone

REVIEWS = ["Great fun, and moving.", "Dull,<br />so dull &amp; slow.", "Naïve 😀 — but\twarm.", "film " * 200]
# What a process can observe of itself; printed before and after `import sentiment`.
STATE = """
import atexit, gc, os, signal, sys, threading, warnings

def state():
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return (
        sys.excepthook, gc.get_threshold(), gc.get_freeze_count(), dict(os.environ), handlers,
        threading.active_count(), atexit._ncallbacks(), list(warnings.filters), os.getcwd(),
    )

modules, before = set(sys.modules), state()
import sentiment
assert state() == before
print(*{name.partition(".")[0] for name in set(sys.modules) - modules})
"""


@pytest.fixture(scope="module")
def onnx(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier of `ran` in ONNX, as export would write it."""
    pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
    pytest.importorskip("onnxscript", reason="pip install -e '.[onnx]'")
    folder = tmp_path_factory.mktemp("models") / "fp32"
    source = ran.folder / "models/classifier"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    graph.write(load_weights(source), folder / "model.onnx", "fp32")
    return folder


@pytest.mark.parametrize("model", ["models/classifier", "models/baseline.npz", "onnx"])
def test_scores_are_those_of_predict(ran: Clone, model: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue("onnx") if model == "onnx" else ran.folder / model
    predictions = load_classifier(path).predict(REVIEWS)
    lines = subprocess.run(
        [sys.executable, "-m", "sentiment", "predict", "--model", path, "--format", "jsonl", *REVIEWS],
        cwd=ran.folder,
        env=ran.environment,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert predictions == [(row["label"], row["probability"]) for row in rows]
    assert all(isinstance(one, Prediction) and type(one.probability) is float for one in predictions)


@pytest.fixture(scope="module")
def baseline(ran: Clone) -> Any:
    """The baseline of `ran`."""
    return load_classifier(str(ran.folder / "models/baseline.npz"))


def test_any_iterable_of_texts_is_taken(baseline: Any) -> None:
    expected = baseline.predict(REVIEWS)
    assert baseline.predict(iter(REVIEWS)) == baseline.predict(tuple(REVIEWS)) == expected
    assert baseline.predict([]) == []


@pytest.mark.parametrize("text", ["A film.", b"A film.", ""])
def test_a_single_text_is_refused(baseline: Any, text: str | bytes) -> None:
    with pytest.raises(TypeError, match=r"^predict takes a list of reviews; .* predict\(\[review\]\)$"):
        baseline.predict(text)


@pytest.mark.parametrize(
    ("review", "message"),
    [
        ("", "the text is empty; every review needs some"),
        (" <br /> ", "the text is empty; every review needs some"),
        (None, "the text is missing; every review needs some"),
        (float("nan"), "the text is missing; every review needs some"),
        (5, "review 5 is not text"),
        (b"A film.", "review b'A film.' is not text"),
        (["A film."], "review ['A film.'] is not text"),
        ("half \ud83d", r"'\ud83d' is half a character"),
    ],
)
def test_a_review_that_is_no_text_is_named(baseline: Any, review: object, message: str) -> None:
    with pytest.raises(InputError) as error:
        baseline.predict(["A film.", review])
    assert str(error.value) == f"reviews[1]: {message}"


@pytest.mark.parametrize("path", ["models/none", "models/none.npz", "README.md", "models", ".", ""])
def test_a_path_without_a_classifier_is_an_input_error(
    ran: Clone, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ran.folder)
    with pytest.raises(InputError, match="no classifier there; `dvc repro` trains one"):
        load_classifier(path)


def test_a_damaged_classifier_is_an_input_error(tmp_path: Path) -> None:
    file = tmp_path / "baseline.npz"
    file.write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"baseline\.npz: cannot be loaded: "):
        load_classifier(file)


def test_a_precision_that_does_not_exist_is_refused(ran: Clone) -> None:
    with pytest.raises(ValueError, match="'fp64' is not allowed; allowed: auto, bf16, fp32"):
        load_classifier(ran.folder / "models/classifier", "fp64")  # type: ignore[arg-type]


def test_importing_the_package_has_no_side_effects() -> None:
    command = [sys.executable, "-c", STATE]
    run = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    loaded = set(run.stdout.split())
    assert "sentiment" in loaded
    assert loaded <= {"sentiment", *sys.stdlib_module_names}
