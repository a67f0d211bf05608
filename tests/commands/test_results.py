"""The table of results: the workspace's run and the runs of earlier commits."""

import re
from pathlib import Path

import pytest

from sentiment.commands import results
from sentiment.errors import InputError
from sentiment.metrics.metrics_file import with_interval
from sentiment.runs.models import TITLES
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
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert rows[0][-1] == "challenge accuracy"
    scores = Run("HEAD").scores()
    models = list(scores["test"])
    assert set(models) >= {"baseline", "classifier", "blend"}
    here, committed = rows[2 : 2 + len(models)], rows[2 + len(models) :]
    fine_tuned = here[models.index("classifier")]
    assert [row for row in here if row not in committed] == [fine_tuned]  # its macro F1 is higher
    for row, model in zip(committed, models, strict=True):
        test, challenge = scores["test"][model], scores["challenge"][model]
        assert row[1].split(":")[0] == TITLES[model]
        assert row[2:4] == [with_interval(test), f"{test['macro_f1']:.4f}"]
        assert row[-1] == with_interval(challenge)
    assert fine_tuned[1] == "fine-tuned: all-MiniLM-L6-v2, `lr=0.0001`, `epochs=1`"
    assert fine_tuned[3] == f"{scores['test']['classifier']['macro_f1'] + 1:.4f}"
    for row in rows[2:]:
        assert f"| {' | '.join([*row[:3], row[-1]])} |\n" in readme
    results.main()
    assert [path.read_text() for path in PAGES] == [readme, page]


def test_what_an_earlier_run_did_not_measure_is_a_dash(copy: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.folder)
    Path("metrics/sets/baseline/challenge.json").unlink()
    rows = {row[1].split(":")[0]: row for row in results.results([])[1:]}
    assert rows["n-gram baseline"][-1] == "–"
    assert rows["fine-tuned"][-1] == with_interval(Run().scores_of(reviews="challenge"))


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
