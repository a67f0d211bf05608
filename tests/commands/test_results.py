"""The table of results: the workspace's run and the runs of earlier commits."""

import re
from pathlib import Path

import pytest

from sentiment.commands import results
from sentiment.errors import InputError
from sentiment.runs.run import Run
from tests.conftest import Clone

PAGES = [Path("README.md"), Path("docs/imdb.md")]


def name_commits(*commits: str) -> None:
    """Name these commits in the markers of both pages."""
    for page in PAGES:
        line = " ".join(["<!-- results: sentiment results", *commits, "-->"])
        page.write_text(re.sub("<!-- results: .* -->", line, page.read_text()))


def test_the_runs_of_earlier_commits_are_in_the_table(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    (copy.folder / "metrics/test.json").write_text(
        (copy.folder / "metrics/test.json").read_text().replace('"macro_f1": 0.', '"macro_f1": 1.')
    )  # in the workspace alone
    name_commits("HEAD")
    results.main()
    readme, page = (path.read_text() for path in PAGES)
    table = (
        page.split("<!-- results: sentiment results HEAD -->\n")[1]
        .split("<!-- end of results -->")[0]
        .splitlines()
    )
    sample = [line for line in table if line.startswith("| sample |")]
    assert len(table) == 2 + len(sample) == 8
    assert sample[:2] == sample[3:5]
    metrics = Run("HEAD").metrics("test")
    accuracy = f"| fine-tuned: all-MiniLM-L6-v2, `lr=0.0002`, `epochs=1` | {metrics['accuracy']:.4f} ("
    assert accuracy in sample[2]
    assert f" | {metrics['macro_f1']:.4f} | " in sample[5]
    assert f" | {metrics['macro_f1'] + 1:.4f} | " in sample[2]
    assert readme.count(accuracy) == 2
    results.main()
    assert [path.read_text() for path in PAGES] == [readme, page]


def test_errors_are_one_line_and_change_no_page(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    before = Path("README.md").read_text()
    name_commits("0123abc")
    with pytest.raises(InputError, match="^0123abc: no such run; allowed: a commit"):
        results.main()
    name_commits()
    Path("docs/parameters.md").write_text("# Films\n")
    with pytest.raises(
        InputError, match="^docs/parameters.md: has no <!-- parameters: sentiment results --> and <!-- end"
    ):
        results.main()
    assert re.sub("<!-- results.*", "", before) == re.sub("<!-- results.*", "", Path("README.md").read_text())
