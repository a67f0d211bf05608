"""Ranks runs by validation accuracy."""

import io
import json
import shutil
import sys
import textwrap
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sentiment.errors import InputError
from sentiment.metrics.metrics_file import with_interval
from sentiment.runs.ranking import differing_params, rank_runs
from sentiment.runs.run import WORKSPACE, Run, experiments, out_of_date_warnings

_ANY_WIDTH = 100_000  # columns, in which every table fits


def main(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="commits, tags, branches, experiments, `workspace`; by default HEAD's experiments, HEAD and the workspace"
        ),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="NAME", help="the experiments of this search")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="show the test accuracy of all, not only of the first")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Rank runs by validation accuracy, and say which cannot be told from the best."""
    names = runs or [*experiments(), "HEAD", WORKSPACE]
    if search is not None:
        names = [name for name in experiments() if name.startswith(f"{search}-")]
        if not names:
            raise InputError(
                f"--search {search}: HEAD has no such experiments; `sentiment search` makes them"
            )
    ranking = rank_runs([Run(name) for name in names], test)
    if as_json:
        print(json.dumps(ranking, indent=2))
        return
    print(as_text(ranking, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    print("\n".join(in_words(ranking)))


def as_text(ranking: dict[str, Any], width: int | None) -> str:
    """The ranked runs, with the parameters that differ: a table, or a list where the table is wider than the terminal.

    Args:
        ranking: as `rank_runs` returns it.
        width: the columns of the terminal; None: no terminal, so lines may have any length.
    """
    rows = [_cells(row, differing_params(ranking["runs"])) for row in ranking["runs"]]
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, no_wrap=True)
    for cells in rows:
        table.add_row(*(escape(cells.get(name, "")) for name in rows[0]))
    text = io.StringIO()
    Console(file=text, width=_ANY_WIDTH, highlight=False).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    if width is None or max(map(cell_len, lines)) <= width:
        return "\n".join(lines)

    blocks = []
    for cells in rows:
        facts = ", ".join(f"{name} {cell}" for name, cell in cells.items() if name != "run")
        wrapped = textwrap.fill(facts, width - 2, break_long_words=False, break_on_hyphens=False)
        blocks += [cells["run"], textwrap.indent(wrapped, "  ")]
    return "\n".join(blocks)


def _cells(row: dict[str, Any], keys: list[str]) -> dict[str, str]:
    """One ranked run as text, by the names of the columns."""
    cells = {
        "run": ", ".join([row["run"], *row["also"]]),
        "validation accuracy": with_interval(row["validation"]),
        "best": f"{row['probability_best']:.0%}",
        "in set": "yes" if row["in_set"] else "no",
        "loss": f"{row['validation']['loss']:.4f}",
    }
    cells |= {key: _value(row["params"].get(key)) for key in keys}
    if "test" in row:
        cells["test accuracy"] = with_interval(row["test"]) if row["test"] else "not evaluated"
    return cells


def in_words(ranking: dict[str, Any]) -> list[str]:
    """Lines for people on what the table means, and on the runs that are not in it."""
    rows = ranking["runs"]
    among = sum(row["in_set"] for row in rows)
    drawn = f" of {ranking['groups']} groups" if ranking["groups"] else ""
    lines = [
        "",
        f"{len(rows)} run{'s' * (len(rows) > 1)} on {ranking['reviews']:,} validation reviews{drawn}; `best` is the probability of being it",
    ]
    if among > 1:
        lines.append(f"{among} of them cannot be told from the best at 95 %: those in the set")
    elif len(rows) > 1:
        lines.append("the first is better than all others at 95 %")
    lines += out_of_date_warnings(ranking["out_of_date"])
    return [*lines, *(f"left out: {why}" for why in ranking["left_out"].values())]


def _value(value: Any) -> str:
    """A parameter as params.yaml has it, shortly."""
    return (
        f"{value:g}"
        if isinstance(value, float)
        else json.dumps(value)
        if not isinstance(value, str)
        else value
    )
