"""The report, as Chromium displays it without a network."""

import json
import re
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sentiment.commands import report
from sentiment.commands.report import charts
from sentiment.errors import InputError
from sentiment.runs.comparison import JUDGED
from sentiment.runs.run import Run, commit_date
from sentiment.validation import read_yaml
from tests.conftest import ROOT, Clone, copy_into

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TEST, PREDICTIONS = "data/prepared/test.parquet", "metrics/predictions/classifier/test.parquet"
HOSTILE = [
    '<script>document.title = "owned"</script>',
    '</p></li></ol><img src="https://example.org/x.png" onerror="document.title = 1"><h1>Best film',
    '"><svg onload=alert(1)> {{ 7 * 7 }} {% raw %} &lt;b&gt; | a \\| b',
    "no" * 400,
]


def replace(clone: Clone, path: str, content: bytes | str) -> None:
    """Replace an output, which may be a link into DVC's cache, by a file."""
    (clone.folder / path).unlink()
    (clone.folder / path).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture(scope="module")
def reported(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of `ran`, with its report, in which reviews with hostile HTML are mistakes."""
    clone = copy_into(tmp_path_factory.mktemp("reported"), ran)
    test, predictions = (pd.read_parquet(clone.folder / path) for path in (TEST, PREDICTIONS))
    test.loc[range(len(HOSTILE)), "text"] = HOSTILE
    predictions.loc[range(len(HOSTILE)), "probability"] = 1.0 - predictions["label"]  # as wrong as can be
    replace(clone, TEST, test.to_parquet())
    replace(clone, PREDICTIONS, predictions.to_parquet())
    assert clone.run("sentiment report").startswith("metrics/report.html: ")
    return clone


def opened(browser: "Browser", clone: Clone, width: int = 1200) -> "Page":
    """The report in a browser without a network, after a check of its requests and its console output."""
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
    for title in (next(iter(plot)) for plot in read_yaml(ROOT / "dvc.yaml")["plots"]):
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
    bars = [pd.read_csv(reported.folder / f"metrics/plots/{name}.csv") for name in ("sets", "slices")]
    assert page.locator(".intervals .bar").count() == sum(map(len, bars))


def test_every_model_on_every_set_is_shown_and_compared_with_the_baseline(
    reported: Clone, browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported.folder)
    page, run = opened(browser, reported), Run()
    rows = page.locator("#accuracy + .card tr").all()
    scores = run.scores()
    for row, model in zip(rows[1:], scores["test"], strict=True):
        for cell, by_model in zip(row.locator("td").all(), scores.values(), strict=True):
            assert cell.inner_text().split()[0] == f"{by_model[model]['accuracy']:.4f}"
            assert cell.locator(".bar .reach").count() == 1
    for sentence, name in zip(page.locator(".against").all(), ("test", "challenge"), strict=True):
        truth = run.scored_reviews(name)["label"]
        accuracy = {}
        for model in ("baseline", *JUDGED):
            accuracy[model] = ((run.scored_reviews(name, model)["probability"] >= 0.5) == truth).mean()
        found = re.findall(r"([+−][\d.]+) \(([+−][\d.]+) to ([+−][\d.]+)\)", sentence.inner_text())
        for numbers, model in zip(found, JUDGED, strict=True):
            difference, low, high = (float(number.replace("−", "-")) for number in numbers)
            assert difference == pytest.approx(accuracy[model] - accuracy["baseline"], abs=1e-4)
            assert low <= difference <= high


def test_a_point_shows_its_values_and_the_table_lists_all(reported: Clone, browser: "Browser") -> None:
    page = opened(browser, reported)
    figure = page.locator("figure").filter(has=page.get_by_text("Reliability", exact=True))
    last = pd.read_csv(reported.folder / "metrics/plots/reliability.csv").iloc[-1]
    shown = figure.locator(".point text").last
    assert not shown.is_visible()
    figure.locator(".point .reach").last.hover()
    assert shown.is_visible()
    assert shown.inner_html() == f"({last['probability']:.4g}, {last['share_positive']:.4g})"
    figure.get_by_text("Table").click()
    assert figure.locator("table tr").last.inner_text().split() == shown.inner_html().strip("()").split(", ")


def test_hostile_reviews_are_shown_as_text(reported: Clone, browser: "Browser") -> None:
    page = opened(browser, reported)
    assert page.locator(".reviews").last.locator("p").all_inner_texts()[:3] == HOSTILE[:3]
    assert page.title().startswith("all-MiniLM-L6-v2 on sample: test accuracy ")
    assert page.locator("script, img, iframe, link, object, [src], [onload], [onerror]").count() == 0


# Headings with more lines than words or hyphenated parts, so that a word is broken.
BROKEN = """() => [...document.querySelectorAll("th, h1, h2, h3, dt, figcaption b")].filter(heading => {
  const range = document.createRange();
  range.selectNodeContents(heading);
  const lines = new Set([...range.getClientRects()].map(line => Math.round(line.bottom))).size;
  return lines > 1 + heading.innerText.trim().split(/[\\s-]+/).length;
}).map(heading => heading.innerText)"""


@pytest.mark.parametrize("width", [320, 375, 400, 768])
def test_a_narrow_window_has_no_overflow_and_no_broken_words(
    reported: Clone, browser: "Browser", width: int
) -> None:
    page = opened(browser, reported, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(BROKEN) == []
    # The ranking has parameter names as headings.
    head = "<th scope=col><code>warmup_ratio</code></th>" * 12
    page.locator("table.wide thead tr").first.evaluate(f"row => row.innerHTML += {head!r}")
    assert page.evaluate(BROKEN) == []


def test_definition_lists_contain_only_terms_and_definitions(reported: Clone, browser: "Browser") -> None:
    page = opened(browser, reported)
    assert page.locator("dl > div > dd").count() > 20
    assert page.locator("dl > :not(div), dl > div > :not(dt, dd)").count() == 0


def test_the_report_shows_date_versions_and_size(ran: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ran.folder)
    speed = json.loads(Path("metrics/speed/train.json").read_text())
    facts = report.record(Run())
    assert facts["trained"] == speed["finished"].replace("T", " ").replace("+00:00", " UTC")
    assert facts["duration of the training"] == f"{timedelta(seconds=round(speed['seconds']))} (h:mm:ss)"
    assert f"torch {version('torch')}, transformers {version('transformers')}" in facts["versions"]
    size = sum(file.stat().st_size for file in Path("models/classifier").iterdir())
    assert facts["size of the model"] == f"{size / 1e6:,.1f} MB"
    assert commit_date() == datetime.fromisoformat(ran.run("git log -1 --format=%cI").strip()).isoformat(
        " ", "minutes"
    )
    # In a clone, the file that is not versioned is missing, or from another run.
    assert report.record(Run("HEAD")) == facts | dict.fromkeys(
        ["trained", "duration of the training"], "not recorded"
    )


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0 %"), (1, "100 %"), (0.9971, "above 99 %"), (0.994, "99 %"), (0.001, "below 1 %"), (0.5, "50 %")],
)
def test_a_share_is_never_rounded_to_0_or_100_percent(share: float, shown: str) -> None:
    assert report.percent(share) == shown
    assert report.percent(0.9971, 1) == "99.7 %"


def test_missing_comparisons_and_outdated_stages_are_reported(reported: Clone, browser: "Browser") -> None:
    page = opened(browser, reported)  # the files of the previous commit's dvc.lock are not available
    before = reported.run("git rev-parse --short HEAD~1").strip()
    assert page.locator("#comparison + p").inner_text() == (
        f"None: {before}: {PREDICTIONS} is not here; dvc repro makes it, dvc pull fetches what was pushed."
    )
    notice = page.locator(".notice").inner_text()
    assert re.search(
        r"since this run: (\w+, )*prepare, (\w+, )*evaluate(, \w+)*\. dvc repro runs them", notice
    ), notice


def test_a_second_run_is_compared_with_the_first(
    copy: Clone, browser: "Browser", monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = pd.read_parquet(copy.folder / PREDICTIONS)
    predictions.loc[:99, "probability"] = 1.0 - predictions["label"]  # wrong
    replace(copy, PREDICTIONS, predictions.to_parquet())
    copy.run("dvc commit --force evaluate blend")
    monkeypatch.chdir(copy.folder)
    first = copy.run("git rev-parse --short HEAD").strip()
    for commits in (0, 1):  # not committed yet, and committed
        if commits:
            copy.commit()
        report.main()
        page = opened(browser, copy)
        assert f"Compared with {first}: worse" in page.locator("header").inner_text()
        assert page.locator(".notice").count() == 0
        section = page.locator("#comparison ~ p").first.inner_text()
        assert section.startswith("On 100 test reviews in 20 groups: worse.")
        assert page.get_by_text("now wrong").count() == 6
        assert page.get_by_role("heading", name=f"Compared with {first}", exact=True).count() == 1
        assert (
            page.locator(".also-compared").inner_text().startswith("On 23 challenge reviews: within noise.")
        )
        assert "on the challenge set: within noise, accuracy +0.0000" in page.locator("header").inner_text()
        compared = page.locator(".against").first.inner_text()
        assert compared.startswith(
            "On the test split, the fine-tuned model is worse than the n-gram baseline: "
        )
        for mistake in page.locator("ol.reviews li").all():
            facts = mistake.locator(".soft").inner_text()
            true, predicted = re.findall("NEGATIVE|POSITIVE", facts)[:2]
            assert facts.startswith(f"true label {true}, predicted {predicted}: ")
            assert true != predicted
    report.main(against="HEAD")
    page = opened(browser, copy)
    assert "Compared with HEAD: within noise" in page.locator("header").inner_text()
    assert page.get_by_role("heading", name="Compared with HEAD", exact=True).count() == 1


def test_missing_or_damaged_files_are_one_line_and_keep_the_last_report(
    reported: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported.folder)
    last = Path(report.REPORT).read_bytes()

    def refused(against: str | None = None) -> str:
        with pytest.raises(InputError) as caught:
            report.main(against)
        assert Path(report.REPORT).read_bytes() == last
        return str(caught.value)

    missing = " is not here; `dvc repro` makes it, `dvc pull` fetches what was pushed"
    assert refused("nosuch").startswith("nosuch: no such run; allowed: ")
    assert refused("HEAD~1") == f"HEAD~1: {PREDICTIONS}{missing}"
    for path, content, message in [
        ("metrics/plots/roc.csv", None, missing),
        (PREDICTIONS, None, missing),
        ("metrics/plots/roc.csv", "", ": cannot be loaded: EmptyDataError: No columns to parse from file"),
        ("metrics/test.json", "{", ": cannot be loaded: JSONDecodeError: Expecting property name"),
    ]:
        kept = Path(path).read_bytes()
        Path(path).unlink()
        if content is not None:
            Path(path).write_text(content)
        assert refused().startswith(path + message)
        Path(path).write_bytes(kept)
    pipeline = Path("dvc.yaml").read_text()
    Path("dvc.yaml").write_text(pipeline + "  - metrics/plots/roc.csv\n")
    assert refused() == (
        "dvc.yaml: plot 'metrics/plots/roc.csv'; allowed: template, x: COLUMN, and y: {FILE: COLUMN}"
    )
    Path("dvc.yaml").write_text(pipeline)


@example(0.0, 5e-324)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_ticks_span_the_values(one: float, other: float) -> None:
    low, high = sorted((one, other))
    values = charts.ticks(low, high)
    slack = 1e-9 * max(abs(low), abs(high))
    assert 2 <= len(values) <= 8
    assert (np.diff(values) > 0).all()
    assert values[0] - slack <= low
    assert high <= values[-1] + slack


def test_a_long_curve_is_drawn_without_coinciding_points() -> None:
    x = np.linspace(0, 1, 25_000)
    table = pd.DataFrame({"rate": x, "share": x**0.1})
    plot = {"x": "rate", "y": {"curve.csv": "share"}}
    (line,) = charts.draw_lines(plot, [table], diagonal=True)["series"]
    points = np.array([[float(value) for value in point[2:]] for point in line["points"]])
    assert line["total"] == 25_000
    assert len(points) < 250
    assert np.abs(np.interp(x, *points.T) - table["share"]).max() < 0.02
    assert points[[0, -1]].tolist() == [[0, 0], [1, 1]]
    assert [point[:2] for point in (line["points"][0], line["points"][-1])] == [
        (charts.LEFT, charts.BOTTOM),
        (charts.RIGHT, charts.TOP),
    ]
