"""Writes metrics/report.html: a report of the current run as one self-contained HTML page.

All figures are from the files that the stages wrote; nothing is scored again.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sentiment import atomic
from sentiment.commands.report.charts import draw_effects, draw_plots
from sentiment.data.dataset import read_source
from sentiment.errors import InputError, loading
from sentiment.evaluation.mistakes import worst_mistakes
from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import four_digits
from sentiment.runs.comparison import compare_also_test, compare_runs, compare_with_baseline
from sentiment.runs.models import TITLES
from sentiment.runs.ranking import differing_params, rank_runs
from sentiment.runs.run import WORKSPACE, Run, commit_date, experiments, previous_run, provenance

REPORT = "metrics/report.html"


def main(
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="the run to compare with; by default the last commit with other predictions"
        ),
    ] = None,
) -> None:
    """Write a report of the current run as one HTML page, metrics/report.html."""
    run = Run()
    content = evaluation(run) | {"train": run.metrics("train")}
    content |= {"data": run.data, "params": run.params, "source": read_source(run.params["dataset"])}
    content |= {"mistakes": worst_mistakes(run.scored_reviews("test")).to_dict("records")}
    content |= {"record": record(run), "committed": commit_date()}
    content |= provenance() | draw_plots(run) | comparison(run, against) | ranking()
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,  # a review may contain HTML
    )
    templates.filters |= {"four_digits": four_digits, "percent": percent}
    with loading("metrics/"):
        page = templates.get_template("report.html").render(content, labels=LABELS, titles=TITLES)
    with atomic.replacing(REPORT) as partial:
        partial.write_text(page, encoding="utf-8")
    print(f"{REPORT}: open it in a browser; it needs no network and no other files")


def evaluation(run: Run) -> dict[str, Any]:
    """The evaluation of each model of a run on each evaluation set, by the name of the set.

    `scores` has the metrics by model, `reviews` the number of reviews, `against_baseline` the comparisons
    with the n-gram baseline, and `described` the description of each set other than the test split.
    `unavailable` has the models that scored no reviews, with the reason.
    """
    scores = run.scores()
    return {
        "scores": scores,
        "unavailable": run.unavailable,
        "reviews": {name: len(run.scored_reviews(name)) for name in scores},
        "against_baseline": {name: compare_with_baseline(run, name) for name in scores},
        "described": {name: read_source(name).description for name in run.evaluation_sets},
    }


def comparison(run: Run, against: str | None) -> dict[str, Any]:
    """The `comparison` of a run with an earlier one, or `no_comparison`, the reason as text.

    `also_compared` has the comparison on each evaluation set other than the test split, by name.

    Args:
        run: the run to judge.
        against: the name of the earlier run; None: the last commit with other predictions.

    Raises:
        InputError: `against` was given and cannot be compared.
    """
    try:
        old = Run(against) if against else previous_run()
        if old is None:
            return {"no_comparison": "no commit up to HEAD has a run with other predictions"}
        return {"comparison": compare_runs(old, run), "also_compared": compare_also_test(old, run)}
    except InputError as error:
        if against:
            raise
        return {"no_comparison": str(error)}


def ranking() -> dict[str, Any]:
    """The `ranking` of HEAD, its experiments and the workspace, as `sentiment best` ranks them.

    `differing` lists the parameters that differ, and `effects` has their plots by title. The result is empty
    if there is only one run.
    """
    try:
        ranked = rank_runs([Run(name) for name in (*experiments(), "HEAD", WORKSPACE)])
    except InputError:  # no run has validation predictions
        return {}
    keys = differing_params(ranked["runs"])
    if len(ranked["runs"]) < 2:
        return {}
    return {"ranking": ranked, "differing": keys, "effects": draw_effects(ranked["runs"], keys)}


def record(run: Run) -> dict[str, str]:
    """Date and duration of the run's training, library versions, and size of the model, as text by name.

    A fact that the run did not record is `not recorded`.
    """
    outs = {out["path"]: out for out in run.lock.get("train", {}).get("outs", [])}
    size = outs.get("models/classifier", {}).get("size")
    versions = run.metrics("train").get("versions", {})
    facts = {
        "trained": None,
        "duration of the training": None,
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "size of the model": f"{size / 1e6:,.1f} MB" if size else None,
    }
    path = "metrics/speed/train.json"
    if run.has_file(path):
        with loading(path):
            speed = json.loads(run.content(path))
        # The file is not versioned: after a checkout or a pull it may be from another run.
        if speed.get("train_json_md5") == run.locked_hash("metrics/train.json"):
            facts["trained"] = speed["finished"].replace("T", " ").replace("+00:00", " UTC")
            facts["duration of the training"] = f"{timedelta(seconds=round(speed['seconds']))} (h:mm:ss)"
    return {name: fact or "not recorded" for name, fact in facts.items()}


def percent(share: float, digits: int = 0) -> str:
    """A share in percent, never rounded to 0 % or 100 % unless it is exactly that."""
    least = 10.0**-digits
    if 0 < share < least / 200:
        return f"below {least:.{digits}f} %"
    if 1 - least / 200 < share < 1:
        return f"above {100 - least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"
