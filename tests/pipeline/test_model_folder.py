"""A pretrained model in a local folder: DVC hashes its files, so only changed weights are trained again."""

import os
import signal
import time
from pathlib import Path

import pytest

from sentiment.pretrained.sources import PACKAGED
from tests.architectures import write_pretrained
from tests.conftest import Clone, copy_into
from tests.pipeline.test_pipeline import executed

TRACKED = ["dvc.lock", "metrics/test.json", "metrics/train.json", "models/classifier", "models/pretrained"]
TRAINED = {"check", "probe", "train", "evaluate", "blend"}


@pytest.mark.parametrize("inside", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_changed_weights_in_the_folder_are_trained_again(ran: Clone, tmp_path: Path, inside: bool) -> None:
    copy = copy_into(tmp_path, ran)
    folder = copy.folder / "models/mine" if inside else tmp_path / "mine"
    model = "models/mine" if inside else str(folder)
    write_pretrained(folder, "bert")
    outputs = ["models/classifier", "metrics/train.json", "metrics/test.json"]

    assert executed(copy.run(f"dvc exp run -S model={model}")) == TRAINED
    first = copy.bytes_of(*outputs)
    assert b'"base_model": "mine"' in first["models/classifier/config.json"]
    copy.commit()
    assert "Data and pipelines are up to date" in copy.run("dvc repro")

    write_pretrained(folder, "bert", initializer_range=0.03)
    assert executed(copy.run("dvc repro")) == TRAINED
    assert copy.bytes_of(*outputs) != first
    assert "Data and pipelines are up to date" in copy.run("dvc repro")

    write_pretrained(folder, "bert")
    copy.run("git restore . && dvc checkout")
    assert copy.bytes_of(*outputs) == first
    assert "Data and pipelines are up to date" in copy.run("dvc status")
    assert not executed(copy.run("dvc repro")) - {"check"}


def is_clean(clone: Clone) -> bool:
    """Whether DVC reports the workspace as up to date, with no stash left."""
    assert (clone.folder / "models/local").is_symlink()
    assert clone.run("git stash list") == ""
    return "Data and pipelines are up to date" in clone.run("dvc status")


def test_experiments_can_follow_one_with_a_local_model(copy: Clone) -> None:
    write_pretrained(copy.folder / "models/mine", "bert")
    assert executed(copy.run("dvc exp run --name mine -S model=models/mine")) == TRAINED
    assert is_clean(copy)
    first = copy.bytes_of(*TRACKED)
    # The experiment's commit contains the link, not the files behind it.
    commit = copy.run("git for-each-ref --format='%(objectname)' 'refs/exps/*/*/mine'").strip()
    assert copy.run(f"git ls-tree -r {commit} models/local").startswith("120000 blob")

    assert executed(copy.run("dvc exp run -S lr=2e-4")) == {"check", "train", "evaluate", "blend"}
    assert executed(copy.run(f"dvc exp run -S model={PACKAGED} -S lr=1e-4")) == {"check"}
    assert is_clean(copy)
    assert copy.run("git status --porcelain models metrics dvc.lock") == "?? models/mine/\n"

    copy.run("dvc exp apply mine")
    assert copy.bytes_of(*TRACKED) == first
    assert not executed(copy.run("dvc repro"))
    copy.run("git restore . && dvc checkout")
    assert is_clean(copy)
    copy.run("dvc exp branch mine mine && git checkout -q mine && dvc checkout")
    assert copy.bytes_of(*TRACKED) == first
    assert is_clean(copy)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["absolute", "relative", "git", "dvc"])
def test_a_local_model_works_in_the_queue_and_in_a_temporary_folder(copy: Clone, where: str) -> None:
    outside = where in ("absolute", "relative")
    folder = write_pretrained((copy.folder.parent if outside else copy.folder / "models") / "mine", "bert")
    model = {"absolute": str(folder), "relative": "../mine"}.get(where, "models/mine")
    if where == "git":
        copy.commit()
    elif where == "dvc":
        copy.run("dvc add models/mine")
        copy.commit()

    if where == "relative":
        output = copy.run(f"dvc exp run --temp -S model={model}", fails=True)
        assert f"only what Git or DVC tracks; name the folder by its absolute path, {folder}" in output
    else:
        assert executed(copy.run(f"dvc exp run --temp --name temporary -S model={model}")) == TRAINED
        copy.run("dvc exp apply temporary")
        assert is_clean(copy)
        copy.run("git restore . && dvc checkout")
        copy.run(f"dvc exp run --queue --name queued -S model={model} -S seed=1")
        copy.run("dvc exp run --run-all")
        copy.run("dvc exp apply queued")
        assert is_clean(copy)
        copy.run("git restore . && dvc checkout")

    assert executed(copy.run(f"dvc exp run --name workspace -S model={model}")) >= {"check"}
    write_pretrained(folder, "bert", initializer_range=0.03)
    assert executed(copy.run("dvc exp run -S lr=2e-4")) == TRAINED
    assert is_clean(copy)
    copy.run(f"dvc exp run -S model={PACKAGED} -S lr=1e-4")
    assert is_clean(copy)
    copy.run("git restore . && dvc checkout")
    assert copy.run("git status --porcelain models/local models/pretrained") == ""


@pytest.mark.slow
def test_experiments_can_follow_an_interrupted_one_with_a_local_model(copy: Clone) -> None:
    write_pretrained(copy.folder / "models/mine", "bert")
    running = copy.start("dvc exp run -S model=models/mine -S epochs=50")
    assert running.stdout is not None
    for line in running.stdout:
        if "stages.train" in line:
            break
    time.sleep(5)
    os.killpg(running.pid, signal.SIGINT)
    running.communicate()
    assert executed(copy.run("dvc exp run -S epochs=1")) == TRAINED - {"probe"}  # which had finished
    assert is_clean(copy)
    copy.run("git restore . && dvc checkout")
    assert is_clean(copy)
    assert not executed(copy.run("dvc repro"))


def test_an_untracked_model_is_explained_in_a_temporary_folder(copy: Clone) -> None:
    write_pretrained(copy.folder / "models/mine", "bert")
    before = copy.bytes_of(*TRACKED)
    output = copy.run("dvc exp run --temp -S model=models/mine", fails=True)
    assert (
        "params.yaml: model: models/mine: "
        "an experiment with --temp or from the queue has only what Git or DVC tracks; "
        "`dvc add models/mine`, and commit models/mine.dvc\n"
    ) in output
    assert "Traceback" not in output
    assert copy.bytes_of(*TRACKED) == before


@pytest.mark.slow
def test_a_missing_folder_affects_no_other_experiment(copy: Clone) -> None:
    folder = write_pretrained(copy.folder.parent / "mine", "bert")
    copy.run("dvc exp run -S model=../mine")
    folder.rename(folder.with_name("gone"))
    output = copy.run("dvc exp run -S lr=1e-4", fails=True)
    assert "params.yaml: model: there is no folder ../mine" in output
    assert executed(copy.run(f"dvc exp run -S model={PACKAGED} -S lr=1e-4")) == {"check"}
    assert is_clean(copy)


def test_the_model_that_the_pipeline_writes_is_refused(copy: Clone) -> None:
    before = copy.bytes_of("models/classifier", "metrics")
    output = copy.run("dvc exp run -S model=models/classifier", fails=True)
    assert "models/classifier is what the pipeline writes; copy it to another folder first" in output
    assert "Traceback" not in output
    assert copy.bytes_of("models/classifier", "metrics") == before
