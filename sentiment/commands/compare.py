"""Says whether one run is better than another, worse, or within noise."""

import json
import sys
from typing import Annotated, Any

import pandas as pd
import typer
from dvc.api import exp_show

from sentiment.evaluation.comparison import compare_runs, summarise_seeds
from sentiment.evaluation.run import WORKSPACE, Run

ANY_RUN = "a commit, tag, branch, experiment, or `workspace`"


# fmt: off
def main(
    old: Annotated[str, typer.Argument(help=f"the run to compare with: {ANY_RUN}")] = "HEAD",
    new: Annotated[str, typer.Argument(help="the run to judge")] = WORKSPACE,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    fail_if_worse: Annotated[bool, typer.Option("--fail-if-worse", help="exit with status 1 if NEW is worse")] = False,
    seeds: Annotated[bool, typer.Option("--seeds", help="mean and spread over experiments that differ in the seed alone")] = False,
) -> None:
# fmt: on
    """Say whether one run is better than another, worse, or within noise."""
    if seeds:
        table = summarise_seeds(pd.DataFrame(exp_show()))
        print(table.to_json(orient="records", indent=2) if as_json else table.to_string(index=False))
        return
    comparison = compare_runs(Run(old), Run(new))
    print(json.dumps(comparison, indent=2) if as_json else in_words(comparison))
    if fail_if_worse and comparison["verdict"] == "worse":
        sys.exit(1)


def in_words(comparison: dict[str, Any]) -> str:
    """A comparison as a table and lines for people."""
    drawn = f" of {comparison['groups']} groups" if comparison["groups"] else ""
    lines = [f"{comparison['old']} -> {comparison['new']}, {comparison['reviews']:,} test reviews{drawn}", ""]
    lines.append(f"{'metric':<19} {'old':>7} {'new':>7} {'diff':>8}  95 % interval       verdict")
    for name, row in comparison["metrics"].items():
        lines.append(
            f"{name:<19} {row['old']:7.4f} {row['new']:7.4f} {row['difference']:+8.4f}  "
            f"{row['low']:+.4f} to {row['high']:+.4f}  {row['verdict']}"
        )
    test = comparison["mcnemar"]
    lines += [
        "",
        f"{test['only_new_right']} reviews came right, {test['only_old_right']} went wrong; "
        f"exact McNemar test of accuracy: p = {test['p']:.2g}",
        f"Verdict: {comparison['verdict']}",
    ]
    if comparison["params"]:
        lines += ["", "parameters that differ"]
        lines += [f"  {key}: {value['old']} -> {value['new']}" for key, value in comparison["params"].items()]
    if comparison["flips"]:
        lines += ["", "reviews that flipped, the largest changes first"]
        lines += [f"  now {flip['now']}, {flip['id']}: {flip['text']}" for flip in comparison["flips"]]
    return "\n".join(lines)
