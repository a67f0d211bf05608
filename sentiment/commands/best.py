"""Ranks runs by validation accuracy, with a confidence set of the best ones."""

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

_UNLIMITED = 100_000  # columns: wider than any table


def main(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="commits, tags, branches, experiments or `workspace`; "
            "by default HEAD, its experiments and the workspace",
        ),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="NAME", help="rank the trials of this search")
    ] = None,
    test: Annotated[
        bool, typer.Option("--test", help="show the test accuracy of all runs, not only of the first")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Rank runs by validation accuracy, with a confidence set of the best ones."""
    names = runs or [*experiments(), "HEAD", WORKSPACE]
    if search is not None:
        names = [name for name in experiments() if name.startswith(f"{search}-")]
        if not names:
            raise InputError(
                f"--search {search}: HEAD has no trials of this search; `sentiment search` runs them"
            )
    ranking = rank_runs([Run(name) for name in names], test)
    if as_json:
        print(json.dumps(ranking, indent=2))
        return
    print(as_text(ranking, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))
    print("\n".join(in_words(ranking)))


def as_text(ranking: dict[str, Any], width: int | None) -> str:
    """The ranked runs with the parameters that differ, as a table or, in a narrow terminal, as a list.

    Args:
        ranking: the ranking that `rank_runs` returns.
        width: the width of the terminal in columns; None if the output is not a terminal.
    """
    columns = differing_params(ranking["runs"])
    rows = [_cells(row, columns) for row in ranking["runs"]]
    lines = _as_table(rows)
    if width is None or max(map(cell_len, lines)) <= width:
        return "\n".join(lines)
    return "\n".join(_as_paragraph(cells, width) for cells in rows)


def _as_table(rows: list[dict[str, str]]) -> list[str]:
    """The lines of a table; the first row, the best run, has all columns."""
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, no_wrap=True)
    for cells in rows:
        table.add_row(*(escape(cells.get(name, "")) for name in rows[0]))
    text = io.StringIO()
    Console(file=text, width=_UNLIMITED, highlight=False).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def _as_paragraph(cells: dict[str, str], width: int) -> str:
    """The name of a run on one line, and all other cells below it."""
    facts = ", ".join(f"{name} {cell}" for name, cell in cells.items() if name != "run")
    wrapped = textwrap.fill(facts, width - 2, break_long_words=False, break_on_hyphens=False)
    return cells["run"] + "\n" + textwrap.indent(wrapped, "  ")


def _cells(row: dict[str, Any], parameters: list[str]) -> dict[str, str]:
    """One ranked run as text, by column name."""
    cells = {
        "run": ", ".join([row["run"], *row["also"]]),
        "validation accuracy": with_interval(row["validation"]),
        "best": f"{row['probability_best']:.0%}",
        "in set": "yes" if row["in_set"] else "no",
        "loss": f"{row['validation']['loss']:.4f}",
    }
    for name in parameters:
        cells[name] = _value(row["params"].get(name))
    if "test" in row:
        cells["test accuracy"] = with_interval(row["test"]) if row["test"] else "not evaluated"
    return cells


def _value(value: Any) -> str:
    """The value of a parameter as in params.yaml; numbers are shortened to six digits."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def in_words(ranking: dict[str, Any]) -> list[str]:
    """Lines that explain the table, warn of runs that are out of date, and list the runs left out."""
    count = len(ranking["runs"])
    in_set = sum(row["in_set"] for row in ranking["runs"])
    groups = f" in {ranking['groups']} groups" if ranking["groups"] else ""
    lines = [
        "",
        f"{count} run{'s' if count > 1 else ''} on {ranking['reviews']:,} validation reviews{groups}; "
        "`best`: probability that the run is the best one",
    ]
    if ranking["validation_labels"] == "teachers":
        lines.append("validation accuracy is agreement with the teachers, which labelled these reviews")
    if in_set > 1:
        lines.append(f"{in_set} runs are in the 95 % confidence set: not significantly worse than the best")
    elif count > 1:
        lines.append("the first run is significantly better than all others (95 % confidence)")
    lines += out_of_date_warnings(ranking["out_of_date"])
    return [*lines, *(f"left out: {why}" for why in ranking["left_out"].values())]
