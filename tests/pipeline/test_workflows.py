"""The shell steps of the GitHub workflows, executed as a runner would."""

from pathlib import Path

import pytest

from sentiment.validation import read_yaml
from tests.commands.test_compare import spoil
from tests.conftest import ROOT, Clone
from tests.helpers import hub
from tests.helpers.hub import TOKEN

PUSHED = "Check for outputs that were not pushed"


def steps_of(workflow: str) -> dict[str, dict[str, str]]:
    """The shell steps of a workflow after the set-up, by their names."""
    steps = read_yaml(ROOT / f".github/workflows/{workflow}.yaml")["jobs"][workflow]["steps"]
    return {step["name"]: step for step in steps if "run" in step and step["name"] != "Install"}


STEPS = steps_of("report")


def run_step(clone: Clone, name: str, summary: Path, fails: bool = False) -> str:
    """Run a step of the workflow for a pull request of the branch `faster` to main; return its output."""
    base, head = clone.run("git rev-parse main faster").split()
    script = summary.with_name("step.sh")
    script.write_text(STEPS[name]["run"])
    command = f"bash --noprofile --norc -eo pipefail {script}"
    return clone.run(command, fails, BASE=base, HEAD=head, GITHUB_STEP_SUMMARY=str(summary))


def test_outputs_that_were_not_pushed_are_reported(copy: Clone, tmp_path: Path) -> None:
    copy.run("git checkout -q -b faster")
    (copy.folder / "models/baseline.npz").write_bytes(b"another")
    copy.run("dvc commit --force baseline")
    copy.commit()
    summary = tmp_path / "summary.md"
    none = "the remote has no output of either commit; this job runs the stages itself\n"
    assert run_step(copy, PUSHED, summary) == none
    copy.run("git checkout -q main && dvc checkout && dvc push && git checkout -q faster && dvc checkout")
    assert run_step(copy, PUSHED, summary, fails=True) == (
        "error: not in the remote: models/baseline.npz; `dvc push` them where they were produced\n"
    )
    copy.run("dvc push")
    assert run_step(copy, PUSHED, summary) == ""
    copy.run("dvc config core.remote nosuch")
    assert run_step(copy, PUSHED, summary).startswith("the remote cannot be reached: ")


@pytest.mark.slow
def test_a_pull_request_is_reported(copy: Clone, tmp_path: Path) -> None:
    copy.run("git checkout -q -b faster")
    copy.set(lr="1e-3")
    copy.commit()  # the pipeline has not run since
    summary = tmp_path / "summary.md"
    for name in STEPS:
        run_step(copy, name, summary)
    report = summary.read_text()
    assert "base -> workspace, 100 test reviews" in report
    assert "lr: 0.0001 -> 0.001" in report
    assert "| metrics/test.json | accuracy " in " ".join(report.split())
    assert "differ from those of this machine" in report  # the change was committed without new metrics
    assert "base" in (copy.folder / "metrics/report.html").read_text()


def promote(clone: Clone, scratch: Path, version: str, fails: str = "", **environment: str) -> None:
    """Run the steps of a promotion against v1.0.0, up to the one that fails."""
    given = {
        "VERSION": version,
        "AGAINST": "v1.0.0",
        "REMOTE": str(scratch / "remote.git"),
        "GITHUB_ACTOR": "somebody",
    }
    for name, step in steps_of("promote").items():
        if step.get("if") == "inputs.publish != ''" and not environment.get("PUBLISH"):
            continue
        (scratch / "step.sh").write_text(step["run"])
        summary = {"GITHUB_STEP_SUMMARY": str(scratch / "summary.md")}
        clone.run(f"bash -e {scratch / 'step.sh'}", fails == name, **given, **summary, **environment)
        if fails == name:
            return


def test_a_model_is_promoted_only_if_it_is_not_worse(copy: Clone, tmp_path: Path) -> None:
    copy.run(f"git init -q --bare {tmp_path / 'remote.git'}")
    copy.run("git tag --annotate --message first classifier@v1.0.0 && dvc push")

    def tags() -> list[str]:
        return copy.run(f"git -C {tmp_path / 'remote.git'} tag").split()

    with hub.serve({}) as running:
        publication = {
            "PUBLISH": "test/film",
            "HF_ENDPOINT": running.address,
            "HF_TOKEN": TOKEN,
            "HOME": str(tmp_path),
        }
        promote(copy, tmp_path, "v1.1.0", **publication)
        assert tags() == ["classifier@v1.1.0"]
        assert list(running.repositories["models/test/film"].tags) == ["v1.1.0"]
        assert "Verdict on challenge: within noise" in (tmp_path / "summary.md").read_text()
        promote(copy, tmp_path, "v1.2.0")  # only the tag
        promote(copy, tmp_path, "v1.2.0", fails="Tag")
        for version, split in {"v1.3.0": "challenge", "v1.4.0": "test"}.items():
            spoil(copy, split)
            copy.run("dvc commit --force evaluate && dvc push")
            copy.commit()
            promote(copy, tmp_path, version, fails="Not worse", **publication)
        assert tags() == ["classifier@v1.1.0", "classifier@v1.2.0"]
        assert list(running.repositories["models/test/film"].tags) == ["v1.1.0"]
