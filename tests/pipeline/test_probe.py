"""The model before training: a linear probe, or the head that the model came with."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sentiment.data import dataset
from stages import probe
from tests.architectures import write_pretrained
from tests.conftest import ROOT

METRICS = Path("metrics/probe.json")


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the sample as prepared reviews in the working directory, and two evaluation sets."""
    monkeypatch.chdir(ROOT)
    rows = dataset.load("sample").reviews
    train, test = (rows[rows["split"] == split].reset_index(drop=True) for split in ("train", "test"))
    splits = {"train": train[:100], "validation": train[100:140], "test": test[:40]}
    monkeypatch.chdir(tmp_path)
    for folder in ("data/prepared", "data/also_test"):
        Path(folder).mkdir(parents=True)
    for name, split in splits.items():
        split.assign(id=name).to_parquet(f"data/prepared/{name}.parquet", index=False)
    test[40:80].assign(id="other").to_parquet("data/also_test/other.parquet", index=False)


def run(**values: str) -> dict[str, Any]:
    """Run the stage with these parameters, and return the details of its metrics on the test split."""
    lines = (ROOT / "params.yaml").read_text().splitlines()
    kept = [line for line in lines if line.partition(":")[0] not in values]
    Path("params.yaml").write_text("\n".join([*kept, *(f"{key}: {value}" for key, value in values.items())]))
    probe.main()
    details: dict[str, Any] = json.loads(METRICS.read_text())["details"][0]
    return details


@pytest.mark.usefixtures("prepared")
def test_a_model_without_a_head_gets_a_probe_with_the_same_bytes_each_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    details = run(max_length="16")
    assert details["kind"] == "linear probe"
    assert details["fit_on"] == {"train": 100, "validation": 40}
    assert details["max_length"] == 16
    assert "before training, linear probe: accuracy test 0." in capsys.readouterr().out
    other = json.loads(Path("metrics/sets/probe/other.json").read_text())["details"][0]
    assert other["strength"] == details["strength"]
    predictions = Path("metrics/predictions/probe/other.parquet")
    assert pd.read_parquet(predictions)["probability"].nunique() == 40

    written = METRICS.read_bytes(), predictions.read_bytes()
    run(max_length="16")
    assert (METRICS.read_bytes(), predictions.read_bytes()) == written

    monkeypatch.setattr(probe, "MAX_REVIEWS", {"train": 60, "validation": 20})
    assert run(max_length="16")["fit_on"] == {"train": 60, "validation": 20}


@pytest.mark.usefixtures("prepared")
def test_without_labelled_reviews_there_is_no_probe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "validation"):
        path = f"data/prepared/{split}.parquet"
        pd.read_parquet(path).head(0).to_parquet(path, index=False)
    why = "not available: the dataset has no labelled training reviews"
    assert run()["accuracy"] == why
    assert json.loads(Path("metrics/sets/probe/other.json").read_text()) == {"details": [{"accuracy": why}]}
    assert capsys.readouterr().out == f"before training: {why}\n"
    write_pretrained(tmp_path / "mine", "bert", head=True, id2label={0: "neg", 1: "pos"})
    assert run(model=str(tmp_path / "mine"), max_length="32")["kind"] == "own head"


@pytest.mark.usefixtures("prepared")
def test_a_trained_head_is_scored_as_it_is_unless_a_new_one_is_asked_for(tmp_path: Path) -> None:
    write_pretrained(tmp_path / "mine", "bert", head=True, id2label={0: "neg", 1: "pos"})
    model = str(tmp_path / "mine")
    own = run(model=model, max_length="32")
    assert own["kind"] == "own head"
    assert "strength" not in own
    assert run(model=model, max_length="32", head="new")["kind"] == "linear probe"
