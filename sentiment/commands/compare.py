"""Says whether one run is better than another, worse, or within noise."""

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import pandas as pd
import typer
from dvc.api import exp_show

from sentiment.errors import InputError
from sentiment.params import FILE, Params
from sentiment.runs.comparison import (
    WITHIN_NOISE,
    compare_recipes,
    compare_runs,
    load_scored_runs,
    recipe,
    runs_by_seed,
    summarise_seeds,
)
from sentiment.runs.run import (
    WORKSPACE,
    Run,
    experiments,
    out_of_date_runs,
    out_of_date_warnings,
    override,
    repository,
)
from sentiment.validation import read_yaml

_MOST_SEEDS = 100
ANY_RUN = "a commit, tag, branch, experiment, or `workspace`"


def main(
    old: Annotated[
        str | None, typer.Argument(help=f"the run to compare with: {ANY_RUN}; by default HEAD")
    ] = None,
    new: Annotated[str, typer.Argument(help="the run to judge")] = WORKSPACE,
    number: Annotated[
        int | None,
        typer.Argument(
            metavar="[SEEDS]",
            min=2,
            max=_MOST_SEEDS,
            help="with --seeds: queue the runs that are missing to so many seeds of each",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    fail_if_worse: Annotated[
        bool,
        typer.Option(
            "--fail-if-worse",
            help="exit with status 1 if NEW is worse, on the test split or on the challenge set, or if OLD or NEW is "
            "out of date",
        ),
    ] = False,
    seeds: Annotated[
        bool,
        typer.Option(
            "--seeds",
            help="compare the parameters of OLD and NEW over all seeds that were run; without OLD: mean and spread over experiments that differ in the seed alone",
        ),
    ] = False,
) -> None:
    """Say whether one run is better than another, worse, or within noise."""
    if number and not seeds:
        raise InputError(f"{number}: a number of seeds is for --seeds")
    if seeds and number is None and _is_number(new):  # OLD --seeds 5
        number, new = int(new), WORKSPACE
        if number < 2:
            raise InputError(f"--seeds {number}: at least 2")
    if seeds and old and _is_number(old):  # --seeds 5
        raise InputError(
            f"--seeds {old}: name the runs to queue seeds for: `sentiment compare OLD NEW --seeds {old}`"
        )
    if seeds and old is None:
        show_seeds(as_json)
        return
    before, after = Run(old or "HEAD"), Run(new)
    stale = out_of_date_runs((before, after), "evaluate")
    if seeds:
        commits = [name for name in (before.name, new) if name != WORKSPACE]
        others = [Run(name) for name in (*experiments(*commits), "HEAD", WORKSPACE)]
        scored, left_out = load_scored_runs(before, after, others)
        if number and (waiting := queue_missing(before, after, scored, number)):
            if as_json:
                print(json.dumps({"queued": waiting, "left_out": left_out}, indent=2))
                return
            print(
                *(f"left out: {why}" for why in left_out.values()),
                *(f"in the queue: {each}" for each in waiting),
                sep="\n",
            )
            print(f"`dvc queue start` runs them, then `sentiment compare {before.name} {new} --seeds`")
            return
        comparison = compare_recipes(before, after, scored, left_out)
    else:
        comparison = compare_runs(before, after) | {"challenge": challenge(before, after, fail_if_worse)}
    if fail_if_worse and stale:
        raise InputError("; ".join(out_of_date_warnings(stale)))
    comparison["out_of_date"] = stale
    words = seeds_in_words if seeds else in_words
    print(json.dumps(comparison, indent=2) if as_json else words(comparison))
    if fail_if_worse and "worse" in (comparison["verdict"], comparison.get("challenge", {}).get("verdict")):
        sys.exit(1)


def _is_number(argument: str) -> bool:
    """Whether an argument is a number of seeds and not a run: Git takes four digits of a commit, or more."""
    return argument.isdecimal() and int(argument) <= _MOST_SEEDS


def show_seeds(as_json: bool) -> None:
    """Print the mean and spread of metrics over the runs of HEAD that differ in the seed alone."""
    table = pd.DataFrame(exp_show())
    # An experiment ran with the parameters that it has; the workspace and HEAD may have been edited since.
    stale = out_of_date_runs([Run(name) for name in table.loc[table["typ"] == "baseline", "rev"]], "evaluate")
    summary = summarise_seeds(table[~table["rev"].isin(stale)])
    if as_json:
        print(summary.to_json(orient="records", indent=2))
        return
    print(summary.to_string(index=False))
    print(*(f"left out: {why}" for why in out_of_date_warnings(stale)), sep="\n", end="\n" if stale else "")


def challenge(old: Run, new: Run, required: bool) -> dict[str, Any]:
    """The comparison of two runs on the challenge set, or `not_compared`: why there is none.

    Raises:
        InputError: it is required, and they cannot be compared.
    """
    try:
        comparison = compare_runs(old, new, "challenge")
    except InputError as error:
        if required:
            raise
        return {"not_compared": str(error)}
    return {key: comparison[key] for key in ("reviews", "groups", "verdict", "metrics", "mcnemar", "flips")}


def queue_missing(old: Run, new: Run, usable: Iterable[Run], number: int) -> list[str]:
    """Queue runs with the parameters of `old` and `new` until each has so many seeds.

    What is `usable`, queued or running already counts. Seeds that the other side has come first.

    Returns:
        What was missing, as `-S` would have it, whether it is queued now or was before.

    Raises:
        InputError: a run has parameters that params.yaml no longer has, or DVC cannot queue.
    """
    current = read_yaml(FILE)
    recipes = [recipe(run.params) for run in (old, new)]
    for run, wanted in zip((old, new), recipes, strict=True):
        if unknown := set(wanted) - set(Params.model_fields):
            raise InputError(
                f"{run.name} ran with {', '.join(sorted(unknown))}, which {FILE} no longer has; it cannot run again"
            )
    seeds = [set(runs_by_seed(usable, wanted)) for wanted in recipes]
    waiting = []
    with repository() as repo:
        queue = repo.experiments.celery_queue
        for entry in (*queue.iter_queued(), *queue.iter_active()):
            params = Run(entry.stash_rev).yaml(FILE)
            for wanted, there in zip(recipes, seeds, strict=True):
                if recipe(params) == wanted and params["seed"] not in there:
                    there.add(params["seed"])
                    waiting.append(" ".join(_overrides(params, current)))
        for wanted, there, elsewhere in zip(recipes, seeds, reversed(seeds), strict=True):
            candidates = dict.fromkeys((*sorted(elsewhere), *range(1, 2 * number + 1)))
            for seed in [seed for seed in candidates if seed not in there][: max(0, number - len(there))]:
                there.add(seed)
                overrides = _overrides(wanted | {"seed": seed}, current)
                repo.experiments.run(queue=True, params=overrides)
                waiting.append(" ".join(overrides))
    return waiting


def _overrides(params: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """The seed, and each parameter that is not as params.yaml has it now, as `dvc exp run -S` takes them."""
    return [
        override(key, value) for key, value in params.items() if key == "seed" or current.get(key) != value
    ]


def seeds_in_words(comparison: dict[str, Any]) -> str:
    """A comparison over seeds as lines for people."""
    old, new = comparison["old"], comparison["new"]
    drawn = f" of {comparison['groups']} groups" if comparison["groups"] else ""
    lines = [f"{old['run']} -> {new['run']}, {comparison['reviews']:,} test reviews{drawn}", ""]
    lines[1:1] = out_of_date_warnings(comparison["out_of_date"])
    wide = max(len(side["run"]) for side in (old, new))
    lines.append(f"{'':<4}{'':<{wide}}  accuracy  sd of seeds  seeds")
    for name, side in (("old", old), ("new", new)):
        seeds = ", ".join(side["seeds"])
        lines.append(
            f"{name} {side['run']:<{wide}}  {side['accuracy']:8.4f}  {side['accuracy_sd']:11.4f}  {seeds}"
        )
    lines += [
        "",
        f"difference {comparison['difference']:+.4f}, 95 % interval {comparison['low']:+.4f} to {comparison['high']:+.4f}: "
        "the luck of seeds and of test reviews",
        f"Verdict: {comparison['verdict']}",
    ]
    if comparison["verdict"] == WITHIN_NOISE:
        lines.append(_what_would_settle(comparison))
    lines += ["", "parameters that differ"]
    lines += [f"  {key}: {value['old']} -> {value['new']}" for key, value in comparison["params"].items()]
    lines += [f"left out: {why}" for why in comparison["left_out"].values()]
    return "\n".join(lines)


def _what_would_settle(comparison: dict[str, Any]) -> str:
    """A line on how many more seeds would tell the difference from luck."""
    needed = comparison["seeds_needed"]
    if needed is None:
        return (
            f"No number of seeds up to 1,000 would settle it: the difference is too small for {comparison['reviews']:,} "
            f"test reviews, whose luck alone has a standard deviation of {comparison['reviews_sd']:.4f}"
        )
    more = [max(0, needed - len(comparison[side]["seeds"])) for side in ("old", "new")]
    return (
        f"If the difference stays as it is, {needed} seeds of each would settle it, {more[0]} and {more[1]} more: "
        f"`sentiment compare {comparison['old']['run']} {comparison['new']['run']} --seeds {needed}`"
    )


def in_words(comparison: dict[str, Any]) -> str:
    """A comparison as a table and lines for people."""
    drawn = f" of {comparison['groups']} groups" if comparison["groups"] else ""
    lines = [f"{comparison['old']} -> {comparison['new']}, {comparison['reviews']:,} test reviews{drawn}", ""]
    lines[1:1] = out_of_date_warnings(comparison["out_of_date"])
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
        "",
        *_challenge_in_words(comparison["challenge"]),
    ]
    if comparison["params"]:
        lines += ["", "parameters that differ"]
        lines += [f"  {key}: {value['old']} -> {value['new']}" for key, value in comparison["params"].items()]
    if comparison["flips"]:
        lines += ["", "reviews that flipped, the largest changes first"]
        lines += [f"  now {flip['now']}, {flip['id']}: {flip['text']}" for flip in comparison["flips"]]
    return "\n".join(lines)


def _challenge_in_words(comparison: dict[str, Any]) -> list[str]:
    if "not_compared" in comparison:
        return [f"challenge: {comparison['not_compared']}"]
    row = comparison["metrics"]["accuracy"]
    return [
        f"{comparison['reviews']:,} challenge reviews: accuracy {row['old']:.4f} -> {row['new']:.4f}, "
        f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})",
        f"Verdict on challenge: {comparison['verdict']}",
    ]
