"""The report, as Chromium shows it without a network."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages import parameters, report
from stages.errors import InputError
from stages.evaluate import mistakes
from tests.conftest import ROOT, Clone

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = [
    '<script>document.title = "owned"</script>',
    '</p></li></ol><img src="https://example.org/x.png" onerror="document.title = 1"><h1>Best film',
    '"><svg onload=alert(1)> {{ 7 * 7 }} {% raw %} &lt;b&gt; | a \\| b',
    "no" * 400,
]


def replace(clone: Clone, path: str, content: bytes | str) -> None:
    """Put a file in the place of an output, which may be a link into DVC's cache."""
    (clone.folder / path).unlink()
    (clone.folder / path).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture(scope="module")
def reported(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of `ran` in which hostile reviews are mistakes, with its report."""
    folder = tmp_path_factory.mktemp("reported")
    shutil.copytree(ran.folder, folder / "project", symlinks=True)
    shutil.copy2(ran.folder.parent / "gitconfig", folder)
    clone = Clone(folder / "project")
    wrong = pd.DataFrame({"id": [f"test-{n}" for n in range(len(HOSTILE))], "text": HOSTILE})
    replace(clone, "metrics/predictions/mistakes.md", mistakes(wrong.assign(label=1, probability=0.25)))
    assert clone.run("python -m stages.report").startswith("metrics/report.html: ")
    return clone


def opened(browser: "Browser", clone: Clone, width: int = 1200) -> "Page":
    """The report in a window without a network, in which it asked for no other file and the console said nothing."""
    page = browser.new_context(viewport={"width": width, "height": 900}, offline=True).new_page()
    noticed: list[str] = []
    page.on("request", lambda request: noticed.append(request.url))
    page.on("console", lambda message: noticed.append(message.text))
    page.on("pageerror", lambda error: noticed.append(str(error)))
    file = (clone.folder / "metrics/report.html").as_uri()
    page.goto(file)
    assert noticed == [file]
    return page


def test_every_plot_of_the_pipeline_is_drawn(reported: Clone, browser: "Browser") -> None:
    page = opened(browser, reported)
    for title in (next(iter(plot)) for plot in parameters.read_yaml(ROOT / "dvc.yaml")["plots"]):
        figure = page.locator("figure").filter(has=page.get_by_text(title, exact=True))
        marks = figure.locator("polyline.line, .dots .dot, .bar .reach, .confusion td[style]")
        sizes = [box for box in (mark.bounding_box() for mark in marks.all()) if box]
        assert any(box["width"] > 2 and box["height"] > 2 for box in sizes), title
    drawn = page.locator("svg").first.bounding_box()
    assert drawn
    assert drawn["width"] > 200
    counts = [cell.inner_text().split()[0] for cell in page.locator(".confusion td[style]").all()]
    predicted = pd.read_csv(reported.folder / "metrics/plots/confusion.csv")
    assert sum(map(int, counts)) == len(predicted)
    assert int(counts[1]) == (predicted.agg(tuple, axis=1) == ("NEGATIVE", "POSITIVE")).sum()
    assert page.locator(".bar").count() == len(pd.read_csv(reported.folder / "metrics/plots/slices.csv"))


def test_a_point_tells_its_values_and_a_table_has_them_all(reported: Clone, browser: "Browser") -> None:
    page = opened(browser, reported)
    figure = page.locator("figure").filter(has=page.get_by_text("Reliability", exact=True))
    last = pd.read_csv(reported.folder / "metrics/plots/reliability.csv").iloc[-1]
    told = figure.locator(".point text").last
    assert not told.is_visible()
    figure.locator(".point .reach").last.hover()
    assert told.is_visible()
    assert told.inner_html() == f"({last['probability']:.4g}, {last['share_positive']:.4g})"
    figure.get_by_text("Table").click()
    assert figure.locator("table tr").last.inner_text().split() == told.inner_html().strip("()").split(", ")


def test_hostile_reviews_are_shown_as_text(reported: Clone, browser: "Browser") -> None:
    page = opened(browser, reported)
    assert page.locator(".reviews").last.locator("p").all_inner_texts()[:3] == HOSTILE[:3]
    assert page.title().startswith("all-MiniLM-L6-v2 on sample: test accuracy ")
    assert page.locator("script, img, iframe, link, object, [src], [onload], [onerror]").count() == 0


@pytest.mark.parametrize("width", [320, 375, 768])
def test_nothing_sticks_out_of_a_narrow_window(reported: Clone, browser: "Browser", width: int) -> None:
    page = opened(browser, reported, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_what_cannot_be_compared_and_what_is_not_up_to_date_is_said(reported: Clone, browser: "Browser") -> None:
    page = opened(browser, reported)  # the commit before has the default run's dvc.lock, and not its files
    before = reported.run("git rev-parse --short HEAD~1").strip()
    assert page.locator("#comparison + p").inner_text() == (
        f"None: {before}: metrics/predictions/test.parquet is not here; dvc pull or dvc repro it first."
    )
    assert "evaluate. dvc repro runs them" in page.locator(".notice").inner_text()


def test_a_second_run_is_compared_with_the_first(
    copy: Clone, browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "metrics/predictions/test.parquet"
    predictions = pd.read_parquet(copy.folder / path)
    predictions.loc[:99, "probability"] = 1.0 - predictions["label"]  # wrong
    replace(copy, path, predictions.to_parquet())
    copy.run("dvc commit --force evaluate")
    monkeypatch.chdir(copy.folder)
    first = copy.run("git rev-parse --short HEAD").strip()
    for commits in (0, 1):  # not committed yet, and committed
        if commits:
            copy.commit()
        monkeypatch.setattr("sys.argv", ["report"])
        report.main()
        page = opened(browser, copy)
        assert f"Against {first}: worse" in page.locator("header").inner_text()
        assert page.locator(".notice").count() == 0
        section = page.locator("#comparison ~ p").first.inner_text()
        assert section.startswith(f"Against {first}, on 405 test reviews of 80 groups: worse.")
        assert page.get_by_text("now wrong").count() == 6
    monkeypatch.setattr("sys.argv", ["report", "--against", "HEAD"])
    report.main()
    assert "Against HEAD: within noise" in opened(browser, copy).locator("header").inner_text()
    copy.run("git checkout --quiet --orphan alone && git commit --quiet --message alone")
    assert report.previous() is None


def test_what_is_missing_or_damaged_is_one_line_and_the_last_report_stays(
    reported: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported.folder)
    whole = Path(report.REPORT).read_bytes()

    def refused(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["report", *arguments])
        with pytest.raises(InputError) as caught:
            report.main()
        assert Path(report.REPORT).read_bytes() == whole
        return str(caught.value)

    assert refused("--against", "nosuch").startswith("nosuch: no such run; allowed: ")
    before = "HEAD~1: metrics/predictions/test.parquet is not here; `dvc pull` or `dvc repro` it first"
    assert refused("--against", "HEAD~1") == before
    for path, content, said in [
        ("metrics/plots/roc.csv", None, " is not here; `dvc repro` makes it, `dvc pull` fetches what was pushed"),
        ("metrics/plots/roc.csv", "", ": cannot be loaded: EmptyDataError: No columns to parse from file"),
        ("metrics/test.json", "{", ": cannot be loaded: JSONDecodeError: Expecting property name"),
    ]:
        kept = Path(path).read_bytes()
        Path(path).unlink()
        if content is not None:
            Path(path).write_text(content)
        assert refused().startswith(path + said)
        Path(path).write_bytes(kept)
    pipeline = Path("dvc.yaml").read_text()
    Path("dvc.yaml").write_text(pipeline + "  - metrics/plots/roc.csv\n")
    assert refused() == ("dvc.yaml: plot 'metrics/plots/roc.csv'; allowed: template, x: COLUMN, and y: {FILE: COLUMN}")
    Path("dvc.yaml").write_text(pipeline)


@example(0.0, 5e-324)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_ticks_span_the_values(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = report.ticks(low, high)
    slack = 1e-9 * max(abs(low), abs(high))
    assert 2 <= len(found) <= 8
    assert (np.diff(found) > 0).all()
    assert found[0] - slack <= low
    assert high <= found[-1] + slack


def test_a_long_curve_is_drawn_by_the_points_that_show() -> None:
    x = np.linspace(0, 1, 25_000)
    table = pd.DataFrame({"rate": x, "share": x**0.1})
    plot = {"x": "rate", "y": {"curve.csv": "share"}}
    (line,) = report.lines(plot, [table], diagonal=True)["series"]
    points = np.array([[float(value) for value in point[2:]] for point in line["points"]])
    assert line["of"] == 25_000
    assert len(points) < 250
    assert np.abs(np.interp(x, *points.T) - table["share"]).max() < 0.02
    assert points[[0, -1]].tolist() == [[0, 0], [1, 1]]
    assert [point[:2] for point in (line["points"][0], line["points"][-1])] == [
        (report.LEFT, report.BOTTOM),
        (report.RIGHT, report.TOP),
    ]
