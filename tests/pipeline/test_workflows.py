"""The shell steps of GitHub's workflows, run as a runner would."""

from pathlib import Path

import pytest

from sentiment.schema import read_yaml
from tests.conftest import ROOT, Clone


@pytest.mark.slow
def test_a_pull_request_is_reported(copy: Clone, tmp_path: Path) -> None:
    copy.run("git checkout -q -b faster")
    copy.set(lr="1e-3")
    copy.commit()  # the pipeline has not been run since
    steps = read_yaml(ROOT / ".github/workflows/report.yaml")["jobs"]["report"]["steps"]
    summary = tmp_path / "summary.md"
    base, head = copy.run("git rev-parse main faster").split()
    for step in steps:
        if "run" in step and step["name"] != "Install":
            (tmp_path / "step.sh").write_text(step["run"])
            command = f"bash --noprofile --norc -eo pipefail {tmp_path}/step.sh"
            copy.run(command, BASE=base, HEAD=head, GITHUB_STEP_SUMMARY=str(summary))
    report = summary.read_text()
    assert "base -> workspace, 405 test reviews" in report
    assert "lr: 0.0002 -> 0.001" in report
    assert "| metrics/test.json | accuracy " in " ".join(report.split())
    assert "not those of this machine" in report  # train.json and test.json were not committed with the change
    assert "base" in (copy.folder / "metrics/report.html").read_text()
