"""Runs by name: the workspace, commits and experiments."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from sentiment.errors import InputError
from sentiment.evaluation.mistakes import as_markdown, worst_mistakes
from sentiment.runs.run import Run, experiments, previous_run, provenance
from tests.conftest import SMALL, Clone

MISSING = "is not here; `dvc repro` makes it, `dvc pull` fetches what was pushed"


def test_a_commit_is_read_from_git_and_the_cache(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    here = Run()
    test, metrics, params = here.scored_reviews("test"), here.metrics("test"), here.params
    assert ((test["probability"] >= 0.5) == test["label"]).mean() == pytest.approx(
        metrics["accuracy"], abs=1e-6
    )
    assert as_markdown(worst_mistakes(test)) == Path("metrics/predictions/classifier/mistakes.md").read_text()
    assert {key: str(params[key]) for key in SMALL} == SMALL
    assert list(params) == list(here.yaml("params.yaml"))

    commit = Run("HEAD")
    shutil.rmtree("metrics")
    shutil.rmtree("data/prepared")
    pd.testing.assert_frame_equal(commit.scored_reviews("test"), test)
    assert len(commit.scored_reviews("challenge")) == 23
    validation = commit.scored_reviews("validation")
    right = ((validation["probability"] >= 0.5) == validation["label"]).mean()
    assert right == pytest.approx(commit.metrics("train")["validation_accuracy"], abs=1e-6)
    assert commit.metrics("test") == metrics
    assert commit.params == params
    assert commit.has_file("metrics/test.json")
    assert not here.has_file("metrics/test.json")
    with pytest.raises(InputError, match=f"^metrics/test.json {MISSING}$"):
        here.metrics("test")


def test_params_are_those_that_the_stages_ran_with(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    params = Run().params
    copy.set(lr="0.1", seed="7")
    assert Run().params == params
    copy.run("dvc repro check")
    assert Run().params == params
    assert provenance() == {
        "commit": copy.run("git describe --always").strip() + "-dirty",
        "stale": ["train"],
    }


def test_files_that_were_not_fetched_are_not_stale(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    shutil.rmtree("models/classifier")
    assert provenance() == {"commit": copy.run("git describe --always").strip(), "stale": []}


def test_a_stage_is_out_of_date_until_it_runs_on_the_new_outputs_of_others(
    copy: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.folder)
    copy.set(validation_size="0.2")
    copy.run("dvc repro prepare")
    here, commit = Run(), Run("HEAD")
    for stage in ("prepare", "train", "evaluate"):
        assert here.ran_on_current_inputs(stage) == (stage != "train")
        assert commit.ran_on_current_inputs(stage)
    assert not commit.ran_on_current_inputs("export@int8")  # it never ran
    assert len(here.scored_reviews("test")) == 100
    with pytest.raises(
        InputError, match="^workspace: train has not run since its inputs changed; `dvc repro`"
    ):
        here.scored_reviews("validation")


def test_training_is_out_of_date_after_one_of_its_teachers_ran_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two, earlier = "1" * 32, "2" * 32, "3" * 32
    content = json.dumps([{"md5": one, "relpath": "1.parquet"}, {"md5": two, "relpath": "2.parquet"}])
    folder = hashlib.md5(content.encode()).hexdigest() + ".dir"

    def lock(**teachers: str) -> None:
        stages = {
            f"teach@{name[1:]}": {"outs": [{"path": f"data/soft_labels/{name[1:]}.parquet", "md5": digest}]}
            for name, digest in teachers.items()
        }
        train = {
            "deps": [{"path": "data/soft_labels", "md5": folder}],
            "params": {"params.yaml": {"teachers": [1, 2]}},
        }
        Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages | {"train": train}}))

    lock(t1=one, t2=two, t7=earlier)  # t7 belongs to an earlier training
    assert Run().ran_on_current_inputs("train")
    lock(t1=one, t2=earlier)
    assert not Run().ran_on_current_inputs("train")
    lock(t1=one)
    assert not Run().ran_on_current_inputs("train")


def test_only_changes_that_affect_the_outputs_make_them_out_of_date(
    copy: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.folder)
    with (copy.folder / "stages/baseline.py").open("a") as file:
        file.write("# another baseline\n")
    copy.set(exports="[fp32]")
    assert Run().stages_to_rerun("evaluate") == []
    copy.set(precision="bf16")
    with (copy.folder / "stages/prepare.py").open("a") as file:
        file.write("# other splits\n")
    assert sorted(Run().stages_to_rerun("train")) == ["prepare", "train"]
    assert sorted(Run().stages_to_rerun("evaluate")) == ["evaluate", "prepare", "train"]
    copy.commit()
    assert sorted(Run("HEAD").stages_to_rerun("evaluate")) == [
        "evaluate",
        "train",
    ]  # compares parameters only
    assert Run("HEAD~1").stages_to_rerun("evaluate") == []
    copy.set(**SMALL, precision="auto")
    shutil.rmtree("models/classifier")  # a file that was not fetched is no change
    copy.run("git restore --source HEAD~1 stages")
    assert Run().stages_to_rerun("evaluate") == []


def test_experiments_lists_those_of_head_and_of_named_commits(
    copy: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.folder)
    assert experiments() == []
    copy.set(lr="0.1")
    copy.run("dvc exp save --name before")
    copy.commit()
    assert experiments() == []
    assert experiments("HEAD~1") == experiments("before") == ["before"]


def test_the_previous_run_has_other_predictions(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    copy.run("git commit -q --allow-empty -m same")
    before = previous_run()
    assert before
    assert before.name == copy.run("git rev-parse --short=7 HEAD~2").strip()
    copy.run("git rm -q --cached dvc.lock && git commit -qm none && git add dvc.lock && git commit -qm again")
    before = previous_run()
    assert before
    assert before.name == copy.run("git rev-parse --short=7 HEAD~4").strip()
    copy.run("git checkout --quiet --orphan alone && git commit --quiet --message alone")
    assert previous_run() is None


def test_a_run_that_cannot_be_opened_is_reported_in_one_line(
    ran: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ran.folder)
    with pytest.raises(
        InputError, match="^nosuch: no such run; allowed: a commit, tag, branch, experiment or "
    ):
        Run("nosuch")
    with pytest.raises(InputError, match=f"^HEAD: metrics/nosuch.json {MISSING}$"):
        Run("HEAD").metrics("nosuch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(InputError, match="^HEAD: cannot be read: SCMError: .* is not a git repository$"):
        Run("HEAD")
    with pytest.raises(InputError, match=f"^dvc.lock {MISSING}$"):
        Run().params  # noqa: B018
    with pytest.raises(InputError, match="^the repository cannot be read: "):
        provenance()
