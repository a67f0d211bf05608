"""Comparison of two runs on the same reviews, and of runs that differ in the seed alone: better, worse, or luck."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sentiment.errors import InputError
from sentiment.evaluation.mistakes import shortened
from sentiment.labels import LABELS
from sentiment.metrics.classification import compute
from sentiment.metrics.intervals import difference_intervals, mcnemar
from sentiment.metrics.metrics_file import group_of
from sentiment.params import Params
from sentiment.runs.run import PREPARED, Run
from sentiment.runs.seeds import seed_difference

LOWER_IS_BETTER = {"loss"}
WITHIN_NOISE = "within noise"
TEST = PREPARED.format("test")
_NO_SEEDS = "no two runs differ in the seed alone; try `dvc exp run --queue -S seed=1,2,3,4,5`"
_FLIPS = 6  # reviews whose label flipped that a comparison shows


def compare_runs(old: Run, new: Run, split: str = "test") -> dict[str, Any]:
    """The comparison of two runs on the same `test` split or `challenge` set, as JSON.

    The verdict on a metric is its paired-bootstrap interval: within noise if 0 is in it. The verdict on the whole is
    that of accuracy, and only if McNemar's exact test agrees (p < 0.05).

    Raises:
        InputError: the reviews differ, or the predictions of one are not to be had.
    """
    reviews = old.scored_reviews(split)
    scored = _on_the_same_reviews(old, reviews, new, split)
    truth, group = reviews["label"].to_numpy(), group_of(reviews)
    before, after = reviews["probability"].to_numpy(), scored["probability"].to_numpy()
    values = compute(truth, before), compute(truth, after)
    metrics = {}
    for name, (low, high) in difference_intervals(truth, before, after, group).items():
        better = (high < 0) if name in LOWER_IS_BETTER else (low > 0)
        metrics[name] = {
            "old": values[0][name],
            "new": values[1][name],
            "difference": values[1][name] - values[0][name],
            "low": low,
            "high": high,
            "verdict": WITHIN_NOISE if low <= 0 <= high else "better" if better else "worse",
        }
    lost, won, p = mcnemar(truth, before, after)
    flipped = ((before >= 0.5) != (after >= 0.5)).nonzero()[0]
    largest = flipped[np.argsort(-np.abs(after - before)[flipped], kind="stable")][:_FLIPS]
    flips = [
        {
            "id": reviews["id"][row],
            "label": LABELS[truth[row]],
            "now": "right" if (after[row] >= 0.5) == truth[row] else "wrong",
            "text": shortened(reviews["text"][row], 120),
        }
        for row in largest
    ]
    return {
        "old": old.name,
        "new": new.name,
        "reviews": len(truth),
        "groups": None if group is None else len(set(group)),
        "verdict": metrics["accuracy"]["verdict"] if p < 0.05 else WITHIN_NOISE,
        "metrics": metrics,
        "mcnemar": {"only_old_right": lost, "only_new_right": won, "p": p},
        "params": _differing(old.params, new.params),
        "flips": flips,
    }


def _on_the_same_reviews(old: Run, reviews: pd.DataFrame, new: Run, split: str = "test") -> pd.DataFrame:
    """The scored reviews of `new`, after a check that they are those of `old`."""
    scored, path = new.scored_reviews(split), PREPARED.format(split)
    if old.locked_hash(path) != new.locked_hash(path) or not reviews["id"].equals(scored["id"]):
        raise InputError(
            f"{old.name} and {new.name} were evaluated on different {split} splits "
            f"({len(reviews):,} and {len(scored):,} reviews); only runs on the same one compare"
        )
    return scored


def _differing(old: dict[str, Any], new: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The old and new value of each parameter that differs."""
    both = {key: {"old": old.get(key), "new": new.get(key)} for key in {**old, **new}}
    return {key: pair for key, pair in both.items() if pair["old"] != pair["new"]}


def recipe(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a run without its seed, and without `exports`, which no metric depends on."""
    return {key: value for key, value in params.items() if key not in ("seed", "exports")}


def load_scored_runs(
    old: Run, new: Run, others: Sequence[Run]
) -> tuple[dict[Run, pd.DataFrame], dict[str, str]]:
    """The runs whose predictions compare the parameters of two runs over seeds.

    Args:
        old: a run with the one set of parameters.
        new: a run with the other.
        others: where to look for runs that differ from one of them in the seed alone.

    Returns:
        The scored test reviews of each run that was trained and evaluated with one of the two sets of parameters, old and
        new first; and why others are left out, by name: predictions that are not to be had, such as those of HEAD in a
        clone where it has not run, or that are of another test split.

    Raises:
        InputError: the parameters are the same, or the test splits of the two differ.
    """
    recipes = [recipe(run.params) for run in (old, new)]
    if recipes[0] == recipes[1]:
        raise InputError(
            f"{old.name} and {new.name} differ in the seed at most; `sentiment compare --seeds` sums such up"
        )
    if old.locked_hash(TEST) != new.locked_hash(TEST):
        raise InputError(
            f"{old.name} and {new.name} have different test splits; only runs on the same one compare"
        )
    scored: dict[Run, pd.DataFrame] = {}
    left_out = {}
    for run in (old, new, *others):
        if (
            run.has_file("dvc.lock")
            and run.ran_on_current_inputs("evaluate")
            and recipe(run.params) in recipes
        ):
            try:
                if scored:
                    first, reviews = next(iter(scored.items()))
                    scored[run] = _on_the_same_reviews(first, reviews, run)
                else:
                    scored[run] = run.scored_reviews("test")
            except InputError as error:
                left_out[run.name] = str(error)
    return scored, left_out


def runs_by_seed(runs: Iterable[Run], wanted: dict[str, Any]) -> dict[int, Run]:
    """The first run of each seed with a recipe, by seed."""
    found: dict[int, Run] = {}
    for run in runs:
        if recipe(run.params) == wanted:
            found.setdefault(run.params["seed"], run)
    return dict(sorted(found.items()))


def compare_recipes(
    old: Run, new: Run, scored: dict[Run, pd.DataFrame], left_out: dict[str, str]
) -> dict[str, Any]:
    """The comparison of the parameters of two runs over all seeds that were run with each, as JSON.

    Args:
        old: a run with the one set of parameters.
        new: a run with the other.
        scored: the runs with either, as `load_scored_runs` gives them.
        left_out: why others are not among them, by name.

    Raises:
        InputError: a side has a single seed.
    """
    sides: list[dict[str, Any]] = []
    right = []
    for run in (old, new):
        runs = runs_by_seed(scored, recipe(run.params))
        if len(runs) < 2:
            raise InputError(
                left_out.get(run.name)
                or f"{run.name}: {'one seed' if runs else 'no seed'} was run and evaluated with its parameters, and two are the "
                f"least; `sentiment compare {old.name} {new.name} --seeds 3` queues what is missing"
            )
        reviews = next(iter(scored.values()))
        probabilities = np.stack([scored[each]["probability"] for each in runs.values()])
        right.append((probabilities >= 0.5) == reviews["label"].to_numpy())
        sides.append({"run": run.name, "seeds": {str(seed): each.name for seed, each in runs.items()}})
    group = group_of(reviews)
    found = seed_difference(right[0], right[1], group)
    for side, mean, sd in zip(sides, (found.old, found.new), found.seed_sd, strict=True):
        side |= {"accuracy": mean, "accuracy_sd": sd}
    return {
        "old": sides[0],
        "new": sides[1],
        "reviews": len(reviews),
        "groups": None if group is None else len(set(group)),
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "verdict": WITHIN_NOISE if found.low <= 0 <= found.high else "better" if found.low > 0 else "worse",
        "reviews_sd": found.reviews_sd,
        "seeds_needed": found.seeds_needed,
        "params": _differing(recipe(old.params), recipe(new.params)),
        "left_out": left_out,
    }


def summarise_seeds(experiments: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and range of test metrics over runs that differ in the seed alone.

    Args:
        experiments: what `dvc.api.exp_show` gives: a row a run, parameters and metrics as columns.

    Raises:
        InputError: no two runs differ in the seed alone.
    """
    keys = [key for key in Params.model_fields if key != "seed"]
    metrics = ["accuracy", "loss", "f1_negative", "f1_positive"]
    # DVC puts the file before a name that two files have.
    files = {f"metrics/test.json:{name}": name for name in metrics} | {
        f"params.yaml:{key}": key for key in keys
    }
    table = experiments.rename(columns=files)
    if set(metrics) - set(table):
        raise InputError(_NO_SEEDS)
    if missing := {*keys, "seed"} - set(table):
        raise InputError(f"dvc exp show has no {', '.join(sorted(missing))}; run an experiment first")
    complete = table.dropna(subset=metrics)
    rows = []
    for _, runs in complete.groupby([complete[key].astype(str) for key in keys], sort=False):
        runs = runs.drop_duplicates("seed")
        if len(runs) < 2:
            continue
        differing = {key: runs[key].iloc[0] for key in keys if complete[key].astype(str).nunique() > 1}
        for name in metrics:
            value = runs[name].astype(float)
            spread = {"mean": value.mean(), "sd": value.std(), "min": value.min(), "max": value.max()}
            rows.append(differing | {"metric": name, "seeds": len(runs)} | spread)
    if not rows:
        raise InputError(_NO_SEEDS)
    return pd.DataFrame(rows).round(4)
