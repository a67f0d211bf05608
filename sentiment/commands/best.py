"""Ranks runs by validation accuracy."""

import json
import shutil
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sentiment.errors import InputError
from sentiment.evaluation.ranking import differing, rank_runs
from sentiment.evaluation.report import with_interval
from sentiment.evaluation.run import WORKSPACE, Run, experiments

_WIDTH = 120  # of the table, at most


# fmt: off
def main(
    runs: Annotated[list[str] | None, typer.Argument(help="commits, tags, branches, experiments, `workspace`; by default HEAD's experiments, HEAD and the workspace")] = None,
    search: Annotated[str | None, typer.Option("--search", metavar="NAME", help="the experiments of this search")] = None,
    test: Annotated[bool, typer.Option("--test", help="show the test accuracy of all, not only of the first")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
# fmt: on
    """Rank runs by validation accuracy, and say which cannot be told from the best."""
    names = runs or [*experiments(), "HEAD", WORKSPACE]
    if search:
        names = [name for name in experiments() if name.startswith(f"{search}-")]
        if not names:
            raise InputError(f"--search {search}: HEAD has no such experiments; `sentiment search` makes them")
    ranking = rank_runs([Run(name) for name in names], test)
    if as_json:
        print(json.dumps(ranking, indent=2))
        return
    width = min(_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH
    Console(width=width, highlight=False).print(as_table(ranking))
    print("\n".join(in_words(ranking)))


def as_table(ranking: dict[str, Any]) -> Table:
    """The ranked runs, a row each, with the parameters that differ."""
    rows = ranking["runs"]
    keys = differing(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("run", overflow="fold")
    for name in ("validation accuracy", "best", "in set", "loss"):
        table.add_column(name, no_wrap=True)
    for key in keys:
        table.add_column(key, overflow="fold")
    if any("test" in row for row in rows):
        table.add_column("test accuracy", no_wrap=True)
    for row in rows:
        cells = [", ".join([row["run"], *row["also"]]), with_interval(row["validation"])]
        cells += [f"{row['probability_best']:.0%}", "yes" if row["in_set"] else "no", f"{row['validation']['loss']:.4f}"]
        cells += [_value(row["params"].get(key)) for key in keys]
        if "test" in row:
            cells.append(with_interval(row["test"]) if row["test"] else "not evaluated")
        table.add_row(*cells)
    return table


def in_words(ranking: dict[str, Any]) -> list[str]:
    """Lines for people on what the table means, and on the runs that are not in it."""
    rows = ranking["runs"]
    among = sum(row["in_set"] for row in rows)
    drawn = f" of {ranking['groups']} groups" if ranking["groups"] else ""
    lines = ["", f"{len(rows)} run{'s' * (len(rows) > 1)} on {ranking['reviews']:,} validation reviews{drawn}; `best` is the probability of being it"]
    if among > 1:
        lines.append(f"{among} of them cannot be told from the best at 95 %: those in the set")
    elif len(rows) > 1:
        lines.append("the first is better than all others at 95 %")
    return [*lines, *(f"left out: {why}" for why in ranking["left_out"].values())]


def _value(value: Any) -> str:
    """A parameter as params.yaml has it, shortly."""
    return f"{value:g}" if isinstance(value, float) else json.dumps(value) if not isinstance(value, str) else value
