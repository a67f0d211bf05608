"""Writes metrics/report.html: one run on one page that loads nothing, to read, send or keep.

All of it is from what the stages wrote; nothing is scored again.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sentiment import atomic
from sentiment.commands.report.choosing import choosing
from sentiment.commands.report.plots import draw_plots
from sentiment.data.dataset import read_source
from sentiment.errors import InputError, loading
from sentiment.evaluation.comparison import compare_runs
from sentiment.evaluation.mistakes import worst_mistakes
from sentiment.evaluation.run import Run, previous_run, provenance
from sentiment.labels import LABELS

REPORT = "metrics/report.html"
METRICS = ("test", "challenge", "baseline", "zero_shot", "train")


# fmt: off
def main(
    against: Annotated[str | None, typer.Option(metavar="RUN", help="a run to compare with  [default: the last commit with other predictions]")] = None,
) -> None:
# fmt: on
    """Write one run on one page, metrics/report.html."""
    run = Run()
    content = {name: run.metrics(name) for name in METRICS}
    content |= {"data": run.data, "params": run.params, "source": read_source(run.params["dataset"]), **provenance()}
    content |= {"mistakes": worst_mistakes(run.scored("test")).to_dict("records"), **draw_plots(run)}
    content |= comparison(run, against) | choosing()
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=True,  # a review may hold anything
    )  # fmt: skip
    with loading("metrics/"):
        page = pages.get_template("report.html").render(content, labels=LABELS)
    with atomic.replacing(REPORT) as partial:
        partial.write_text(page, encoding="utf-8")
    print(f"{REPORT}: one page for a browser; it needs no network and no other file")


def comparison(run: Run, against: str | None) -> dict[str, Any]:
    """`comparison` of a run with an earlier one, or `no_comparison`: why there is none.

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
        return {"comparison": compare_runs(old, run)}
    except InputError as error:
        if against:
            raise
        return {"no_comparison": str(error)}
