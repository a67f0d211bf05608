"""The shell steps of GitHub's workflows, run as a runner would."""

from pathlib import Path

import pytest

from sentiment.schema import read_yaml
from tests.conftest import ROOT, Clone

PUSHED = "Outputs that nobody has pushed"
STEPS = {
    step["name"]: step["run"]
    for step in read_yaml(ROOT / ".github/workflows/report.yaml")["jobs"]["report"]["steps"]
    if "run" in step
}


def run_step(clone: Clone, name: str, summary: Path, fails: bool = False) -> str:
    """Run a step of the workflow for a pull request of the branch `faster` to main; return what it printed."""
    base, head = clone.run("git rev-parse main faster").split()
    script = summary.with_name("step.sh")
    script.write_text(STEPS[name])
    command = f"bash --noprofile --norc -eo pipefail {script}"
    return clone.run(command, fails, BASE=base, HEAD=head, GITHUB_STEP_SUMMARY=str(summary))


def test_outputs_that_nobody_has_pushed_are_named(copy: Clone, tmp_path: Path) -> None:
    copy.run("git checkout -q -b faster")
    (copy.folder / "models/baseline.npz").write_bytes(b"another")
    copy.run("dvc commit --force baseline")
    copy.commit()
    summary = tmp_path / "summary.md"
    none = "the remote has no output of either commit; outputs are made here\n"
    assert run_step(copy, PUSHED, summary) == none
    copy.run("git checkout -q main && dvc checkout && dvc push && git checkout -q faster && dvc checkout")
    assert run_step(copy, PUSHED, summary, fails=True) == (
        "error: not in the remote: models/baseline.npz; `dvc push` them from where they were made\n"
    )
    copy.run("dvc push")
    assert run_step(copy, PUSHED, summary) == ""
    copy.run("dvc config core.remote nosuch")
    assert run_step(copy, PUSHED, summary).startswith("the remote cannot be reached: ")


@pytest.mark.slow
def test_a_pull_request_is_reported(copy: Clone, tmp_path: Path) -> None:
    copy.run("git checkout -q -b faster")
    copy.set(lr="1e-3")
    copy.commit()  # the pipeline has not been run since
    summary = tmp_path / "summary.md"
    for name in STEPS:
        if name != "Install":
            run_step(copy, name, summary)
    report = summary.read_text()
    assert "base -> workspace, 100 test reviews" in report
    assert "lr: 0.0002 -> 0.001" in report
    assert "| metrics/test.json | accuracy " in " ".join(report.split())
    assert "not those of this machine" in report  # train.json and test.json were not committed with the change
    assert "base" in (copy.folder / "metrics/report.html").read_text()
