"""Comparing runs: a real experiment, runs from the cache and the remote, and runs that cannot be compared."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from sentiment.commands.compare import override
from sentiment.errors import InputError
from sentiment.params import Params
from sentiment.runs.comparison import summarise_seeds
from sentiment.validation import parse_yaml
from tests.conftest import Clone, copy_into

COMPARE = "sentiment compare"


def test_the_same_run_twice_is_within_noise(ran: Clone) -> None:
    result = json.loads(ran.run(f"{COMPARE} --json --fail-if-worse"))
    assert result["verdict"] == "within noise"
    assert result["mcnemar"] == {"only_old_right": 0, "only_new_right": 0, "p": 1.0}
    assert result["params"] == {}
    assert (result["reviews"], result["groups"]) == (100, 20)


def test_an_experiment_is_compared_by_its_name(tried: Clone) -> None:
    result = json.loads(tried.run(f"{COMPARE} HEAD other --json"))
    assert result["params"] == {"seed": {"old": 42, "new": 7}}
    shown = tried.details("test")
    assert result["metrics"]["accuracy"]["new"] == pytest.approx(shown["accuracy"], abs=1e-6)
    assert result["metrics"]["positive.f1"]["new"] == pytest.approx(shown["positive"]["f1"], abs=1e-6)
    row = result["metrics"]["accuracy"]
    assert row["low"] <= row["difference"] <= row["high"]
    words = tried.run(COMPARE)  # HEAD against the workspace, where the experiment is
    assert "seed: 42 -> 7" in words
    assert f"Verdict: {result['verdict']}" in words
    back = json.loads(tried.run(f"{COMPARE} other HEAD --json"))
    assert back["metrics"]["accuracy"]["difference"] == pytest.approx(-row["difference"])


def spoil(clone: Clone, name: str, model: str = "classifier") -> None:
    """Make every prediction of a model on an evaluation set wrong."""
    path = clone.folder / f"metrics/predictions/{model}/{name}.parquet"
    predictions = pd.read_parquet(path)
    path.unlink()  # it may be a link into the cache
    predictions["probability"] = 1.0 - predictions["label"]
    predictions.to_parquet(path)


def test_a_worse_run_fails_if_asked_to(copy: Clone) -> None:
    spoil(copy, "test")
    words = copy.run(f"{COMPARE} --fail-if-worse", fails=True)
    assert "Verdict: worse" in words
    assert "now wrong, test-" in words
    copy.run(f"{COMPARE} workspace HEAD --fail-if-worse")


def test_a_run_that_is_worse_on_another_evaluation_set_fails_too(copy: Clone) -> None:
    spoil(copy, "challenge")
    words = copy.run(f"{COMPARE} --fail-if-worse", fails=True)
    assert "Verdict: within noise" in words
    assert "Verdict on challenge: worse" in words
    result = json.loads(copy.run(f"{COMPARE} workspace HEAD --fail-if-worse --json"))["also_test"][
        "challenge"
    ]
    assert (result["verdict"], result["metrics"]["accuracy"]["old"]) == ("better", 0)
    accuracy = copy.details("sets/classifier/challenge")["accuracy"]
    assert result["metrics"]["accuracy"]["new"] == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize("model", ["baseline", "probe", "blend"])
def test_any_model_of_two_runs_is_compared(copy: Clone, model: str) -> None:
    compare = f"{COMPARE} --model {model}"
    result = json.loads(copy.run(f"{compare} --json"))
    assert (result["model"], result["verdict"]) == (model, "within noise")
    for name, compared in {
        model: result,
        f"sets/{model}/challenge": result["also_test"]["challenge"],
    }.items():
        accuracy = compared["metrics"]["accuracy"]["new"]
        assert accuracy == pytest.approx(copy.details(name)["accuracy"], abs=1e-6)
    spoil(copy, "test", model)
    words = copy.run(f"{compare} --fail-if-worse", fails=True)
    assert words.startswith(f"HEAD -> workspace, {model}, 100 test reviews in 20 groups\n")
    copy.run(f"{COMPARE} --fail-if-worse")  # the fine-tuned model is the same


def test_a_set_that_cannot_be_compared_is_reported_and_refused_with_fail_if_worse(copy: Clone) -> None:
    path = copy.folder / "data/also_test/challenge.parquet"
    content, reviews = path.read_bytes(), pd.read_parquet(path)
    path.unlink()  # it may be a link into the cache
    reviews.assign(label=1 - reviews["label"]).to_parquet(path)
    line = "HEAD and workspace were evaluated on different challenge reviews (23 and 23); "
    assert f"challenge: {line}" in copy.run(COMPARE)
    assert copy.run(f"{COMPARE} --fail-if-worse", fails=True).startswith(f"error: challenge: {line}")

    # A set of the old run may not go missing, but the new run may have more.
    path.write_bytes(content)
    for folder in ("metrics/sets", "metrics/predictions"):
        for file in (copy.folder / folder).rglob("challenge.*"):
            file.unlink()
    assert "challenge: workspace was not evaluated on it" in copy.run(COMPARE)
    assert copy.run(f"{COMPARE} --fail-if-worse", fails=True) == (
        "error: challenge: workspace was not evaluated on it\n"
    )
    assert "challenge: workspace was not evaluated on it" in copy.run(
        f"{COMPARE} workspace HEAD --fail-if-worse"
    )


def test_a_run_that_is_out_of_date_is_reported_and_fails_every_check(copy: Clone) -> None:
    copy.set(lr="0.1")
    line = (
        "workspace is out of date: train did not run with its present parameters, code and data; "
        "the figures are those of the last run (`dvc repro` runs it)"
    )
    assert copy.run(COMPARE).splitlines()[1] == line
    assert json.loads(copy.run(f"{COMPARE} --json"))["out_of_date"] == {"workspace": ["train"]}
    assert copy.run(f"{COMPARE} --fail-if-worse", fails=True) == f"error: {line}\n"
    assert copy.run("sentiment best").splitlines()[-1] == line
    copy.commit()
    assert copy.run(f"{COMPARE} HEAD~1 HEAD").splitlines()[1] == line.replace("workspace", "HEAD")
    assert json.loads(copy.run(f"{COMPARE} HEAD~1 HEAD~1 --json"))["out_of_date"] == {}


def test_seeds_are_summed_up(tried: Clone) -> None:
    table = json.loads(tried.run(f"{COMPARE} --seeds --json"))
    assert {row["metric"]: row["seeds"] for row in table} == dict.fromkeys(
        ["accuracy", "loss", "f1_negative", "f1_positive", "challenge accuracy"], 2
    )
    assert all(row["min"] <= row["mean"] <= row["max"] for row in table)


def test_seeds_of_other_parameters_are_kept_apart() -> None:
    params = dict.fromkeys(Params.model_fields, 1)
    runs = [(1, 1, 0.9), (2, 1, 0.8), (2, 1, 0.8), (1, 2, 0.5)]  # seed, lr, accuracy; one run listed twice
    rest = dict.fromkeys(["loss", "f1_negative", "f1_positive"], 0)
    rows = [params | rest | {"seed": seed, "lr": lr, "accuracy": value} for seed, lr, value in runs]
    table = pd.DataFrame(rows)
    # Only some runs were evaluated on these sets.
    for name, accuracies in {"hard": [0.6, 0.7, 0.7, 0.1], "new": [0.6, None, None, None]}.items():
        table[f"metrics/sets/classifier/{name}.json:accuracy"] = accuracies
    summary = summarise_seeds(table).set_index("metric")
    assert list(summary.index) == ["accuracy", "loss", "f1_negative", "f1_positive", "hard accuracy"]
    assert summary.loc["accuracy", ["lr", "seeds", "mean", "min", "max"]].tolist() == [1, 2, 0.85, 0.8, 0.9]
    assert summary.loc["hard accuracy", ["seeds", "mean"]].tolist() == [2, 0.65]
    with pytest.raises(InputError, match="no two runs differ in the seed alone"):
        summarise_seeds(table[:1])


@pytest.mark.parametrize(
    "value",
    [
        None,
        0.0,
        1e-05,
        42,
        "auto",
        "a/b@c: d",
        "it's",
        "C:\\models\\",
        "a\\'b",
        [0, 1],
        ["NEG ATIVE", "it's"],
        [],
    ],
)
def test_a_parameter_is_queued_unchanged(value: Any) -> None:
    (parsed,) = OverridesParser.create().parse_overrides([override("head", value)])
    assert parsed.value() == value


def test_missing_seeds_are_reported_in_one_line(tried: Clone) -> None:
    assert tried.run(f"{COMPARE} HEAD other --seeds", fails=True) == (
        "error: HEAD and other have the same parameters apart from the seed; "
        "`sentiment compare --seeds` summarises such runs\n"
    )
    assert (
        tried.run(f"{COMPARE} HEAD other 3", fails=True) == "error: 3: a number of seeds requires --seeds\n"
    )
    assert tried.run(f"{COMPARE} --seeds 5", fails=True) == (
        "error: --seeds 5: name the runs to queue seeds for: `sentiment compare OLD NEW --seeds 5`\n"
    )
    assert tried.run(f"{COMPARE} HEAD --seeds 1", fails=True) == "error: --seeds 1: at least 2\n"
    assert tried.run(f"{COMPARE} HEAD --seeds 5", fails=True).startswith(
        "error: HEAD and workspace have the same parameters"
    )


@pytest.mark.slow
def test_parameters_are_compared_over_seeds_and_missing_runs_queued(tried: Clone, tmp_path: Path) -> None:
    tried.run("dvc exp run --temp --name fast -S lr=1e-3 -S max_length=16 -S seed=3")
    assert tried.run(f"{COMPARE} HEAD fast --seeds", fails=True) == (
        "error: fast: one seed has been run and evaluated with its parameters, but a comparison needs two; "
        "`sentiment compare HEAD fast --seeds 3` queues the missing runs\n"
    )
    # HEAD's parameters have the seeds 42 and 7, the other's 3: each lacks those of the other.
    missing = ["seed=3", "max_length=16 lr=0.001 seed=7", "max_length=16 lr=0.001 seed=42"]
    then = "`dvc queue start` runs them; then run `sentiment compare HEAD fast --seeds`"
    for _ in range(2):  # runs that are in the queue are not queued again
        words = tried.run(f"{COMPARE} HEAD fast --seeds 3")
        assert words.splitlines() == [*(f"queued: {overrides}" for overrides in missing), then]
    assert tried.run("dvc queue status").count("Queued") == 3
    tried.run("dvc queue start")
    while "Running" in (status := tried.run("dvc queue status")) or "Queued" in status:
        time.sleep(1)
    assert status.count("Success") == 3, status

    result = json.loads(tried.run(f"{COMPARE} HEAD fast --seeds 3 --json"))
    assert result["params"] == {"max_length": {"old": 32, "new": 16}, "lr": {"old": 0.0002, "new": 0.001}}
    for side in ("old", "new"):
        runs = result[side]["seeds"]
        assert list(runs) == ["3", "7", "42"]
        each = [
            json.loads(tried.run(f"{COMPARE} {run} {run} --json"))["metrics"]["accuracy"]["old"]
            for run in runs.values()
        ]
        assert result[side]["accuracy"] == pytest.approx(np.mean(each))
        assert result[side]["accuracy_sd"] == pytest.approx(np.std(each, ddof=1))
    assert result["low"] < result["difference"] < result["high"]
    assert f"Verdict: {result['verdict']}" in tried.run(f"{COMPARE} HEAD fast --seeds")

    # In a clone where HEAD has not run, its seed is left out.
    elsewhere = copy_into(tmp_path, tried)
    lock = parse_yaml(elsewhere.run("git show HEAD:dvc.lock"), "dvc.lock")["stages"]["evaluate"]["outs"]
    (hashed,) = (out["md5"] for out in lock if out["path"] == "metrics/predictions/classifier")
    (elsewhere.folder / f".dvc/cache/files/md5/{hashed[:2]}/{hashed[2:]}").unlink()
    left = json.loads(elsewhere.run(f"{COMPARE} other fast --seeds --json"))
    assert list(left["old"]["seeds"]) == ["3", "7"]
    assert list(left["left_out"]) == ["HEAD"]
    asked = json.loads(elsewhere.run(f"{COMPARE} other fast --seeds 3 --json"))
    assert (asked["queued"], list(asked["left_out"])) == (["seed=42"], ["HEAD"])


@pytest.mark.slow
def test_runs_that_cannot_be_compared_are_reported_in_one_line(copy: Clone) -> None:
    assert copy.run(f"{COMPARE} nosuch", fails=True) == (
        "error: nosuch: no such run; allowed: a commit, tag, branch, experiment or workspace\n"
    )
    copy.dataset(
        "mine",
        "files: reviews.csv\ntest_size: 0.5",
        reviews_csv="text,label\n"
        + "".join(f"film {n} is {('bad', 'good')[n % 2]},{n % 2}\n" for n in range(60)),
    )
    copy.run("dvc exp run -S dataset=mine")
    message = copy.run(COMPARE, fails=True)
    assert message.startswith(
        "error: HEAD and workspace were evaluated on different test reviews (100 and 30); "
    )
    shutil.rmtree(copy.folder / "metrics/predictions")
    assert copy.run(COMPARE, fails=True) == (
        "error: metrics/predictions/classifier/test.parquet is not here; "
        "`dvc repro` makes it, `dvc pull` fetches what was pushed\n"
    )
