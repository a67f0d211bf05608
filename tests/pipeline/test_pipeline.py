"""DVC commands in real clones: dvc repro, exp run, metrics diff, queue, push and pull."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from dvc.repo import Repo

from sentiment.ngrams import regression
from tests.conftest import SMALL, Clone
from tests.helpers.terminal import Terminal

OUTPUTS = ["data/prepared", "models/classifier", "metrics", "dvc.lock"]


def executed(output: str) -> set[str]:
    """The stages that DVC says it ran."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


MODELS = {"baseline", "probe", "blend", "classifier"}
ROWS = {"train", "validation", "test", "baseline", "probe", "blend"}
ROWS |= {f"sets/{model}/challenge" for model in MODELS}
COLUMNS = {"accuracy", "loss", "f1_negative", "f1_positive", "precision", "recall"}


def metrics(clone: Clone) -> dict[str, dict[str, float]]:
    """The numbers that DVC shows, by metrics file."""
    files = json.loads(clone.run("dvc metrics show --json"))[""]["data"]
    return {
        path.removeprefix("metrics/").removesuffix(".json"): content["data"]
        for path, content in files.items()
    }


def width(table: str) -> int:
    """The width of a table in columns."""
    return max(len(line.rstrip()) for line in table.splitlines())


def test_repro_writes_every_output_and_runs_nothing_twice(ran: Clone) -> None:
    found = metrics(ran)
    assert set(found) == ROWS
    for name in ROWS - {"train", "validation"}:
        assert set(found[name]) == COLUMNS
        row = ran.details(name)
        assert row["accuracy_low"] <= row["accuracy"] == found[name]["accuracy"] <= row["accuracy_high"]
    assert set(found["validation"]) == {"accuracy", "loss"}
    assert (ran.folder / "metrics/predictions/classifier/mistakes.md").read_text().count("\n") > 2
    counts = json.loads((ran.folder / "metrics/data.json").read_text())
    assert counts["rows"] == {"train": 64, "validation": 30, "test": 100}
    assert 0 < found["test"]["accuracy"] < 1
    assert ran.details("train")["steps"] == 4
    assert width(ran.run("dvc metrics show")) <= 120
    assert "up to date" in ran.run("dvc status")
    assert not executed(ran.run("dvc repro"))
    assert ran.run("git status --porcelain") == ""


@pytest.mark.parametrize(
    ("stage", "bars"),
    [
        ("prepare", ["reading data/sample", "counting words"]),
        ("baseline", ["baseline"]),
        ("probe", ["scoring before training"]),
        ("train", ["linear probe", "training", "validation"]),  # that after each epoch has disappeared
        ("evaluate", ["scoring"]),
    ],
)
def test_a_stage_shows_its_progress_on_a_terminal_above_its_result(
    ran: Clone, copy: Clone, stage: str, bars: list[str]
) -> None:
    # Without a terminal, as in `ran`, progress is a line every 30 seconds.
    output = (ran.folder.parent / "output.txt").read_text().split(f" -m stages.{stage}\n")[1].split("\n\n")[0]
    expected = [line for line in output.splitlines() if not line.endswith((" left", "'dvc.lock'"))]
    at_once = "import runpy; from sentiment import progress; progress.QUICK = 1e-9; "
    at_once += f"runpy.run_module('stages.{stage}', run_name='__main__')"
    terminal = Terminal()
    subprocess.run(
        [sys.executable, "-c", at_once],
        cwd=copy.folder,
        env=copy.environment,
        stdout=terminal.file,
        stderr=terminal.file,
        check=True,
    )
    *screen, end = terminal.screen()
    assert [line.split("|")[0] for line in screen if "|" in line] == [f"{bar}: 100%" for bar in bars]
    said = [re.sub(r"in \d+ s", "", line) for line in screen if "|" not in line]
    assert said == [re.sub(r"in \d+ s", "", line) for line in expected]
    assert end == ""


def test_the_baseline_on_disk_is_the_one_that_was_scored(ran: Clone) -> None:
    test = pd.read_parquet(ran.folder / "data/prepared/test.parquet")
    probability = regression.load(ran.folder / "models/baseline.npz").probabilities(test["text"].tolist())
    accuracy = ((probability >= 0.5) == test["label"]).mean()
    assert accuracy == pytest.approx(metrics(ran)["baseline"]["accuracy"], abs=1e-6)
    assert accuracy > 0.65  # of 64 training reviews


def test_metrics_are_available_before_anything_has_run(clone: Clone) -> None:
    assert "metrics/test.json" in clone.run("dvc metrics show")
    assert "probe" in clone.run("dvc dag")


def test_an_experiment_with_another_lr_does_not_prepare_again(copy: Clone) -> None:
    before = metrics(copy)
    text = (copy.folder / "params.yaml").read_text()
    stages = executed(copy.run("dvc exp run -S lr=3e-5"))
    assert stages == {"check", "train", "evaluate", "blend"}

    expected = text.replace("lr: 1e-4", "lr: 3e-05")
    expected = expected.replace(": null #", ":      #").replace(": null\n", ":\n")  # as DVC writes it
    expected = re.sub(
        r"also_test: \[challenge\] (#.*\n)", r"also_test:             \1- challenge\n", expected
    )
    assert (copy.folder / "params.yaml").read_text() == expected  # with all comments

    changed = json.loads(copy.run("dvc metrics diff --json"))["metrics/test.json"]
    assert changed["loss"]["old"] == before["test"]["loss"] != changed["loss"]["new"]
    table = copy.run("dvc metrics diff")
    assert width(table) <= 120
    assert table.count("\n") <= 30
    assert "3e-05" in copy.run("dvc exp show --csv")
    # The run cache contains the run with the first lr, so going back trains nothing.
    assert not executed(copy.run("dvc exp run -S lr=1e-4")) & {"train", "evaluate"}


@pytest.mark.slow
def test_experiments_can_follow_each_other_if_head_has_no_outputs(clone: Clone) -> None:
    # For the second one, DVC uses its run cache, and checks which dependencies are outputs of HEAD.
    settings = " ".join(f"-S {key}={value}" for key, value in (SMALL | {"max_train_reviews": "16"}).items())
    assert "prepare" in executed(clone.run(f"dvc exp run --temp {settings}"))
    assert executed(clone.run(f"dvc exp run --temp {settings} -S seed=1")) == {
        "check",
        "train",
        "evaluate",
        "blend",
    }


@pytest.mark.slow
def test_a_queue_of_experiments_runs_them_all(copy: Clone) -> None:
    copy.run("dvc exp run --queue -S lr=1e-5,5e-5")
    copy.run("dvc queue start --jobs 2")  # both at once
    for _ in range(300):
        status = copy.run("dvc queue status")
        if "Running" not in status and "Queued" not in status:
            break
        time.sleep(1)
    assert status.count("Success") == 2, status
    shown = copy.run("dvc exp show --csv")
    assert "1e-05" in shown
    assert "5e-05" in shown


def test_what_one_clone_pushes_another_pulls(ran: Clone, tmp_path: Path) -> None:
    ran.run("dvc push")
    other = Clone(tmp_path / "other")
    ran.run(f"git clone -q . {other.folder}")
    other.run(f"dvc remote modify --local shared url {ran.folder.parent / 'sentiment-storage'}")
    # The predictions are only in the remote.
    same = json.loads(other.run("sentiment compare HEAD HEAD --json"))
    assert same["verdict"] == "within noise"
    other.run("dvc pull")
    assert "up to date" in other.run("dvc status")
    assert not executed(other.run("dvc repro"))
    assert other.bytes_of(*OUTPUTS[:2]) == ran.bytes_of(*OUTPUTS[:2])
    # In a folder without this project's code, for a user who has only the model.
    said = other.run(
        f'cd {tmp_path} && python -c "from transformers import pipeline; '
        f"classify = pipeline('text-classification', '{other.folder}/models/classifier'); "
        "print(classify('A lovely film.')[0]['label'])\""
    )
    assert said.splitlines()[-1] in ("NEGATIVE", "POSITIVE")


def test_a_second_forced_run_gives_the_same_bytes(copy: Clone) -> None:
    outputs = ["dvc.lock", "models", "metrics/predictions", "metrics/training", "metrics/validation"]
    before = copy.bytes_of(*outputs)
    assert executed(copy.run("dvc repro --force")) >= {"prepare", "train", "evaluate"}
    assert copy.bytes_of(*outputs) == before
    assert copy.run("git status --porcelain") == ""


def test_a_run_can_become_an_experiment_and_a_branch(copy: Clone) -> None:
    assert not executed(copy.run("dvc exp run --name kept"))
    copy.run("dvc exp branch kept branch && git checkout -q branch && dvc checkout")
    assert not executed(copy.run("dvc repro"))
    assert executed(copy.run("dvc repro --force --single-item evaluate")) == {"evaluate"}
    assert copy.run("git status --porcelain") == ""


def test_dvc_draws_the_plots(ran: Clone, tmp_path: Path) -> None:
    ran.run(f"dvc plots show --out {tmp_path}")
    page = (tmp_path / "index.html").read_text()
    for title in (
        "Loss",
        "Validation accuracy",
        "Confusion matrix",
        "ROC",
        "Precision-recall",
        "Reliability",
        "Accuracy by evaluation set",
        "Accuracy by slice",
    ):
        assert title in page
    ran.run(f"dvc plots diff HEAD --out {tmp_path}")


COMMANDS_THAT_RUN_STAGES = [
    "dvc repro",
    "dvc repro train",
    "dvc repro evaluate",
    "dvc repro --single-item train",
    "dvc repro --downstream train",
    "dvc repro --force --single-item evaluate",
    "dvc exp run -S lr=-1 train",
    "dvc repro --ignore-errors",
    "dvc repro --keep-going",
]


def test_an_invalid_parameter_loses_no_outputs_with_any_command(copy: Clone) -> None:
    before = copy.bytes_of(*OUTPUTS)
    for command in COMMANDS_THAT_RUN_STAGES:
        copy.set(lr="-1")
        output = copy.run(command, fails="--ignore-errors" not in command)
        assert "error: params.yaml: lr: -1 is not allowed; allowed: a number above 0" in output
        assert "Traceback" not in output
        assert copy.bytes_of(*OUTPUTS) == before, command
        copy.run("git restore .")
        with Repo(str(copy.folder)) as repo:
            assert not repo.status(), command
    output = copy.run("dvc exp run -S dataset=nosuch prepare", fails=True)
    assert (
        "error: params.yaml: dataset: no data/nosuch/dataset.yaml; allowed: challenge, imdb, sample" in output
    )
    assert copy.bytes_of(*OUTPUTS) == before


def test_check_reports_errors_in_one_line(copy: Clone) -> None:
    for key, value, line in [
        ("lr", "fast", "params.yaml: lr: 'fast' is not allowed; allowed: a number above 0"),
        ("model", "nosuch/", "params.yaml: model: 'nosuch/' is neither a Hub id"),
        (
            "max_length",
            "513",
            "params.yaml: max_length: 513 is not allowed; sentence-transformers/all-MiniLM-L6-v2",
        ),
    ]:
        params = (copy.folder / "params.yaml").read_bytes()
        copy.set(**{key: value})
        output = copy.run("python -m stages.check", fails=True)
        assert output.startswith(f"error: {line}")
        assert output.count("\n") == 1
        (copy.folder / "params.yaml").write_bytes(params)


def test_an_invalid_dataset_loses_no_outputs(copy: Clone) -> None:
    before = copy.bytes_of(*OUTPUTS)
    reviews = copy.folder / "data/sample/reviews.csv"
    reviews.write_text(reviews.read_text().replace(",negative,", ",meh,", 1))
    output = copy.run("dvc repro", fails=True)
    assert "error: data/sample/reviews.csv: row 2: label 'meh' is not allowed; allowed: " in output
    assert "Traceback" not in output
    assert copy.bytes_of(*OUTPUTS) == before


def test_a_failed_stage_leaves_the_outputs_of_others(copy: Clone) -> None:
    copy.run("rm -r .dvc/cache/files models/classifier")
    copy.set(lr="fast")
    output = copy.run("dvc repro --single-item train", fails=True)
    assert "error: params.yaml" in output
    assert "Traceback" not in output
    assert not (copy.folder / "models/classifier").exists()  # the cache does not contain it
    assert (copy.folder / "metrics/test.json").exists()
