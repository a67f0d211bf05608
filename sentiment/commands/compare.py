"""Tests whether one run is better than another, worse, or within noise."""

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
    compare_also_test,
    compare_recipes,
    compare_runs,
    load_scored_runs,
    recipe,
    runs_by_seed,
    summarise_seeds,
)
from sentiment.runs.run import (
    STAGES,
    WORKSPACE,
    Model,
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
        str | None, typer.Argument(metavar="OLD", help=f"the run to compare with: {ANY_RUN}; by default HEAD")
    ] = None,
    new: Annotated[str, typer.Argument(metavar="NEW", help="the run to judge")] = WORKSPACE,
    number: Annotated[
        int | None,
        typer.Argument(
            metavar="SEEDS",
            min=2,
            max=_MOST_SEEDS,
            help="with --seeds: queue the missing runs, up to this number of seeds per run",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    fail_if_worse: Annotated[
        bool,
        typer.Option(
            "--fail-if-worse",
            help="exit with status 1 if NEW is worse on the test split or on another evaluation set, "
            "or if OLD or NEW is out of date",
        ),
    ] = False,
    model: Annotated[Model, typer.Option(help="the model of both runs")] = "classifier",
    seeds: Annotated[
        bool,
        typer.Option(
            "--seeds",
            help="compare the parameters of OLD and NEW over all their seeds; "
            "without OLD: mean and spread of experiments that differ only in the seed",
        ),
    ] = False,
) -> None:
    """Test whether one run is better than another, worse, or within noise."""
    if number and not seeds:
        raise InputError(f"{number}: a number of seeds requires --seeds")
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
    stale = out_of_date_runs((before, after), STAGES[model])
    if seeds:
        scored, left_out = load_scored_runs(before, after, candidates(before, after), model)
        if number and (queued := queue_missing(before, after, scored, number)):
            show_queued(before, after, queued, left_out, as_json)
            return
        comparison = compare_recipes(before, after, scored, left_out)
        in_text = seeds_in_words
    else:
        comparison = compare_runs(before, after, model=model)
        comparison["also_test"] = compare_also_test(before, after, model, fail_if_worse)
        in_text = in_words
    if fail_if_worse and stale:
        raise InputError("; ".join(out_of_date_warnings(stale)))
    comparison["out_of_date"] = stale
    print(json.dumps(comparison, indent=2) if as_json else in_text(comparison))
    judged = [comparison, *comparison.get("also_test", {}).values()]
    if fail_if_worse and any(each.get("verdict") == "worse" for each in judged):
        sys.exit(1)


def _is_number(argument: str) -> bool:
    """Whether an argument is a number of seeds; Git's abbreviated hashes have at least four digits."""
    return argument.isdecimal() and int(argument) <= _MOST_SEEDS


def show_seeds(as_json: bool) -> None:
    """Print mean and spread of the metrics over HEAD's experiments that differ only in the seed."""
    table = pd.DataFrame(exp_show())
    # Experiments are immutable, but the parameters of the workspace and HEAD may have changed since their
    # run.
    stale = out_of_date_runs([Run(name) for name in table.loc[table["typ"] == "baseline", "rev"]], "evaluate")
    summary = summarise_seeds(table[~table["rev"].isin(stale)])
    if as_json:
        print(summary.to_json(orient="records", indent=2))
        return
    print(summary.to_string(index=False))
    for why in out_of_date_warnings(stale):
        print(f"left out: {why}")


def candidates(old: Run, new: Run) -> list[Run]:
    """Runs that may have the parameters of `old` or `new` with other seeds.

    These are HEAD, the workspace, and all experiments that started from HEAD or from where `old` and `new`
    did.
    """
    commits = [run.name for run in (old, new) if run.name != WORKSPACE]
    return [Run(name) for name in (*experiments(*commits), "HEAD", WORKSPACE)]


def queue_missing(old: Run, new: Run, usable: Iterable[Run], number: int) -> list[str]:
    """Queue runs with the parameters of `old` and `new` until each set of parameters has `number` seeds.

    Runs that are usable, queued or running already count. Seeds that the other side already has are queued
    first.

    Returns:
        The missing runs as `-S` overrides, including those that were in the queue before.

    Raises:
        InputError: a run has parameters that params.yaml no longer has, or DVC cannot queue.
    """
    current = read_yaml(FILE)
    recipes = [recipe(run.params) for run in (old, new)]
    for run, wanted in zip((old, new), recipes, strict=True):
        if unknown := set(wanted) - set(Params.model_fields):
            raise InputError(
                f"{run.name} ran with {', '.join(sorted(unknown))}, which {FILE} no longer has; "
                "it cannot run again"
            )
    seeds = [set(runs_by_seed(usable, wanted)) for wanted in recipes]
    queued = []
    with repository() as repo:
        queue = repo.experiments.celery_queue
        for entry in (*queue.iter_queued(), *queue.iter_active()):
            params = Run(entry.stash_rev).yaml(FILE)
            for wanted, present in zip(recipes, seeds, strict=True):
                if recipe(params) == wanted and params["seed"] not in present:
                    present.add(params["seed"])
                    queued.append(" ".join(_overrides(params, current)))
        for wanted, present, of_other_side in zip(recipes, seeds, reversed(seeds), strict=True):
            preferred = dict.fromkeys((*sorted(of_other_side), *range(1, 2 * number + 1)))
            missing = [seed for seed in preferred if seed not in present]
            for seed in missing[: max(0, number - len(present))]:
                present.add(seed)
                overrides = _overrides(wanted | {"seed": seed}, current)
                repo.experiments.run(queue=True, params=overrides)
                queued.append(" ".join(overrides))
    return queued


def _overrides(params: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """The seed and each parameter that differs from params.yaml, as arguments of `dvc exp run -S`."""
    return [
        override(key, value) for key, value in params.items() if key == "seed" or current.get(key) != value
    ]


def show_queued(old: Run, new: Run, queued: list[str], left_out: dict[str, str], as_json: bool) -> None:
    """Print the runs that wait in the queue, and the command that starts them."""
    if as_json:
        print(json.dumps({"queued": queued, "left_out": left_out}, indent=2))
        return
    for why in left_out.values():
        print(f"left out: {why}")
    for overrides in queued:
        print(f"queued: {overrides}")
    print(f"`dvc queue start` runs them; then run `sentiment compare {old.name} {new.name} --seeds`")


def seeds_in_words(comparison: dict[str, Any]) -> str:
    """A comparison over seeds as a table and sentences."""
    old, new = comparison["old"], comparison["new"]
    lines = [f"{old['run']} -> {new['run']}, {_reviews_in_words(comparison)}"]
    lines += [*out_of_date_warnings(comparison["out_of_date"]), ""]
    width = max(len(side["run"]) for side in (old, new))
    lines.append(f"{'':<4}{'':<{width}}  accuracy  sd of seeds  seeds")
    for name, side in (("old", old), ("new", new)):
        lines.append(
            f"{name} {side['run']:<{width}}  {side['accuracy']:8.4f}  {side['accuracy_sd']:11.4f}  "
            f"{', '.join(side['seeds'])}"
        )
    lines += [
        "",
        f"difference {comparison['difference']:+.4f}, "
        f"95 % interval {comparison['low']:+.4f} to {comparison['high']:+.4f}; "
        "it includes seed variance and sampling variance",
        f"Verdict: {comparison['verdict']}",
    ]
    if comparison["verdict"] == WITHIN_NOISE:
        lines.append(_needed_in_words(comparison))
    lines += ["", *_parameters_in_words(comparison["params"])]
    lines += [f"left out: {why}" for why in comparison["left_out"].values()]
    return "\n".join(lines)


def _needed_in_words(comparison: dict[str, Any]) -> str:
    """A line on how many seeds would make the difference significant."""
    needed = comparison["seeds_needed"]
    if needed is None:
        return (
            "No number of seeds up to 1,000 would make this difference significant: sampling variance alone, "
            f"on {comparison['reviews']:,} test reviews, gives it a standard deviation of "
            f"{comparison['reviews_sd']:.4f}"
        )
    old, new = comparison["old"], comparison["new"]
    more = [max(0, needed - len(side["seeds"])) for side in (old, new)]
    return (
        f"If the difference stays the same, {needed} seeds of each make it significant, "
        f"{more[0]} and {more[1]} more: `sentiment compare {old['run']} {new['run']} --seeds {needed}`"
    )


def in_words(comparison: dict[str, Any]) -> str:
    """A comparison of two runs as a table and sentences."""
    model = "" if comparison["model"] == "classifier" else f"{comparison['model']}, "
    lines = [f"{comparison['old']} -> {comparison['new']}, {model}{_reviews_in_words(comparison)}"]
    lines += [*out_of_date_warnings(comparison["out_of_date"]), ""]
    lines.append(f"{'metric':<19} {'old':>7} {'new':>7} {'diff':>8}  95 % interval       verdict")
    for name, row in comparison["metrics"].items():
        lines.append(
            f"{name:<19} {row['old']:7.4f} {row['new']:7.4f} {row['difference']:+8.4f}  "
            f"{row['low']:+.4f} to {row['high']:+.4f}  {row['verdict']}"
        )
    test = comparison["mcnemar"]
    lines += [
        "",
        f"{test['only_new_right']} reviews became right, {test['only_old_right']} became wrong; "
        f"exact McNemar test of accuracy: p = {test['p']:.2g}",
        f"Verdict: {comparison['verdict']}",
    ]
    for name, compared in comparison["also_test"].items():
        lines += ["", *_also_test_in_words(name, compared)]
    if comparison["params"]:
        lines += ["", *_parameters_in_words(comparison["params"])]
    if comparison["flips"]:
        lines += ["", "reviews whose predicted label changed, largest change first"]
        lines += [f"  now {flip['now']}, {flip['id']}: {flip['text']}" for flip in comparison["flips"]]
    return "\n".join(lines)


def _also_test_in_words(name: str, comparison: dict[str, Any]) -> list[str]:
    """The comparison on an evaluation set other than the test split, in two lines or one."""
    if "not_compared" in comparison:
        return [f"{name}: {comparison['not_compared']}"]
    row = comparison["metrics"]["accuracy"]
    return [
        f"{comparison['reviews']:,} {name} reviews: accuracy {row['old']:.4f} -> {row['new']:.4f}, "
        f"{row['difference']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f})",
        f"Verdict on {name}: {comparison['verdict']}",
    ]


def _reviews_in_words(comparison: dict[str, Any]) -> str:
    """The number of test reviews of a comparison, and of their groups."""
    groups = f" in {comparison['groups']} groups" if comparison["groups"] else ""
    return f"{comparison['reviews']:,} test reviews{groups}"


def _parameters_in_words(differing: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["parameters that differ"]
    lines += [f"  {key}: {value['old']} -> {value['new']}" for key, value in differing.items()]
    return lines
