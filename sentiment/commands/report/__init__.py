"""Writes metrics/report.html: one run on one page that loads nothing, to read, send or keep.

All of it is from what the stages wrote; nothing is scored again.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sentiment import atomic
from sentiment.commands.report.charts import draw_plots
from sentiment.commands.report.choosing import choosing
from sentiment.data.schema import read_source
from sentiment.errors import InputError, loading
from sentiment.evaluation.mistakes import worst_mistakes
from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import four_digits
from sentiment.runs.comparison import compare_runs
from sentiment.runs.run import Run, commit_date, previous_run, provenance

REPORT = "metrics/report.html"
METRICS = ("test", "challenge", "baseline", "zero_shot", "train")


def main(
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="a run to compare with  [default: the last commit with other predictions]"
        ),
    ] = None,
) -> None:
    """Write one run on one page, metrics/report.html."""
    run = Run()
    content = {name: run.metrics(name) for name in METRICS}
    content |= {
        "data": run.data,
        "params": run.params,
        "source": read_source(run.params["dataset"]),
        **provenance(),
    }
    content |= {"mistakes": worst_mistakes(run.scored_reviews("test")).to_dict("records"), **draw_plots(run)}
    content |= comparison(run, against) | choosing() | {"record": record(run), "committed": commit_date()}
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,  # a review may hold anything
    )
    pages.filters |= {"four_digits": four_digits, "percent": percent}
    with loading("metrics/"):
        page = pages.get_template("report.html").render(content, labels=LABELS)
    with atomic.replacing(REPORT) as partial:
        partial.write_text(page, encoding="utf-8")
    print(f"{REPORT}: one page for a browser; it needs no network and no other file")


def comparison(run: Run, against: str | None) -> dict[str, Any]:
    """`comparison` of a run with an earlier one, or `no_comparison`: why there is none.

    `challenge_comparison` is that on the challenge set, or why there is none, as text.

    Args:
        run: the run to judge.
        against: the name of the earlier one; None: the last commit with other predictions.

    Raises:
        InputError: the run that was asked for cannot be compared.
    """
    try:
        old = Run(against) if against else previous_run()
        if old is None:
            return {"no_comparison": "no commit up to HEAD has a run with other predictions"}
        compared = compare_runs(old, run)
    except InputError as error:
        if against:
            raise
        return {"no_comparison": str(error)}
    try:
        return {"comparison": compared, "challenge_comparison": compare_runs(old, run, "challenge")}
    except InputError as error:
        return {"comparison": compared, "challenge_comparison": str(error)}


def record(run: Run) -> dict[str, str]:
    """When the run's model was trained, for how long, with which libraries, and its size, for people, by name.

    All of it was recorded by the run itself, or is `not recorded`.
    """
    outs = {out["path"]: out for out in run.lock.get("train", {}).get("outs", [])}
    size = outs.get("models/classifier", {}).get("size")
    facts = {
        "trained": None,
        "duration of the training": None,
        "versions": ", ".join(
            f"{name} {version}" for name, version in run.metrics("train").get("versions", {}).items()
        ),
        "size of the model": f"{size / 1e6:,.1f} MB" if size else None,
    }
    path = "metrics/speed/train.json"
    if run.has_file(path):
        with loading(path):
            speed = json.loads(run.content(path))
        # It is not versioned: after a checkout or a pull it may be that of another run.
        if speed.get("train_json_md5") == run.locked_hash("metrics/train.json"):
            facts["trained"] = speed["finished"].replace("T", " ").replace("+00:00", " UTC")
            facts["duration of the training"] = f"{timedelta(seconds=round(speed['seconds']))} (h:mm:ss)"
    return {name: fact or "not recorded" for name, fact in facts.items()}


def percent(share: float, digits: int = 0) -> str:
    """A share in percent; one that is neither none nor all is not rounded to it."""
    least = 10.0**-digits
    if 0 < share < least / 200:
        return f"below {least:.{digits}f} %"
    if 1 - least / 200 < share < 1:
        return f"above {100 - least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"
