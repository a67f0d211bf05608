"""Ranking experiments: the facts shown about each run, and the reasons why runs are left out."""

import json
import re
import shutil

import pandas as pd
import pytest

from sentiment.commands.best import as_text
from tests.conftest import Clone, copy_into

LEFT_OUT = "left out: other-data was validated on other reviews (65) than {} (30): not comparable\n"


@pytest.fixture(scope="module")
def tried(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of `ran` with an experiment on other data, and one only trained, also in the workspace."""
    clone = copy_into(tmp_path_factory.mktemp("tried"), ran)
    clone.run("dvc exp run --temp --name other-data -S validation_size=0.2 train")
    clone.run("dvc exp run --name trained-alone -S lr=1e-3 -S max_length=16 train")
    return clone


def test_runs_are_ranked_by_validation(tried: Clone) -> None:
    ranking = json.loads(tried.run("sentiment best --json"))
    assert (ranking["reviews"], ranking["groups"]) == (30, 6)
    rows = {row["run"]: row for row in ranking["runs"]}
    assert {name: row["also"] for name, row in rows.items()} == {"HEAD": [], "trained-alone": ["workspace"]}
    accuracies = [row["validation"]["accuracy"] for row in ranking["runs"]]
    assert accuracies == sorted(accuracies, reverse=True)
    predictions = pd.read_parquet(tried.folder / "metrics/validation/predictions.parquet")
    accuracy = ((predictions["probability"] >= 0.5) == predictions["label"]).mean()
    row = rows["trained-alone"]
    assert row["validation"]["accuracy"] == pytest.approx(accuracy)
    assert row["validation"]["accuracy_low"] <= accuracy <= row["validation"]["accuracy_high"]
    # HEAD's params.yaml has no effect, and neither have stages that did not run, such as probe.
    assert (row["params"]["lr"], row["params"]["max_length"]) == (1e-3, 16)
    assert sum(row["probability_best"] for row in ranking["runs"]) == pytest.approx(1)
    assert ranking["runs"][0]["in_set"]
    assert list(ranking["left_out"]) == ["other-data"]


def test_only_the_first_run_shows_test_metrics_by_default(tried: Clone) -> None:
    first, second = json.loads(tried.run("sentiment best --json"))["runs"]
    assert "test" in first
    assert "test" not in second
    rows = {row["run"]: row["test"] for row in json.loads(tried.run("sentiment best --test --json"))["runs"]}
    assert rows["trained-alone"] is None  # it was not evaluated: its metrics files are HEAD's
    assert 0 < rows["HEAD"]["accuracy"] < 1


def test_the_table_shows_what_differs_in_120_columns(tried: Clone) -> None:
    table = tried.run("sentiment best --test")
    heading = table.splitlines()[0]
    assert " ".join(heading.split()) == "run validation accuracy best in set loss max_length lr test accuracy"
    assert max(map(len, table.splitlines())) <= 120
    assert "not evaluated" in table
    assert table.endswith(LEFT_OUT.format("trained-alone"))


def test_run_names_and_parameters_stay_intact_at_any_width(tried: Clone) -> None:
    ranking = json.loads(tried.run("sentiment best --test --json"))
    ranking["runs"][0]["run"] = "a-name-[as]-long-as-a-name-of-an-experiment-may-be"
    ranking["runs"][0]["params"]["model"] = "models/one-with-a-long-name/and-another-one"
    for width in (20, 40, 80, 120, 200, None):
        lines = as_text(ranking, width).splitlines()
        words = set(re.split(r",? +", " ".join(lines)))
        for row in ranking["runs"]:
            assert {row["run"], row["params"]["model"], str(row["params"]["max_length"])} <= words
            assert any(line.startswith(row["run"]) for line in lines)
        if width and lines[1].startswith("  "):  # a list, in which a single word may be longer than a line
            indented = [line for line in lines if line.startswith("  ")]
            assert all(len(line) <= width or " " not in line.strip() for line in indented)
    assert len(as_text(ranking, None).splitlines()) == 1 + len(ranking["runs"])


def test_runs_can_be_named(tried: Clone) -> None:
    table = tried.run("sentiment best HEAD other-data")
    assert "\n1 run on 30 validation reviews in 6 groups" in table
    assert table.endswith(LEFT_OUT.format("HEAD"))
    assert tried.run("sentiment best nosuch", fails=True).startswith("error: nosuch: no such run; allowed: ")


def test_missing_predictions_are_reported_in_one_line(copy: Clone) -> None:
    path = "metrics/validation/predictions.parquet"
    why = f"{path} is not here; `dvc repro` makes it, `dvc pull` fetches what was pushed\n"
    shutil.rmtree(copy.folder / "metrics/validation")
    assert copy.run("sentiment best").endswith(f"\nleft out: {why}")
    shutil.rmtree(copy.folder / ".dvc/cache/files")
    assert copy.run("sentiment best", fails=True) == f"error: HEAD: {why}"
