"""Comparison of two runs on the same reviews, and of two sets of parameters over several seeds."""

import re
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
from sentiment.runs.run import PREPARED, STAGES, Model, Run
from sentiment.runs.seeds import seed_difference

LOWER_IS_BETTER = {"loss"}
WITHIN_NOISE = "within noise"
TEST = PREPARED.format("test")
_NO_SEEDS = "no two runs differ in the seed alone; try `dvc exp run --queue -S seed=1,2,3,4,5`"
JUDGED: tuple[Model, ...] = ("classifier", "blend")  # what the baseline is the reference for
_ALSO_TEST_ACCURACY = re.compile(r"metrics/sets/classifier/(.+)\.json:accuracy")
_MAX_FLIPS = 6  # flipped predictions that a comparison shows


def compare_runs(old: Run, new: Run, name: str = "test", model: Model = "classifier") -> dict[str, Any]:
    """Compare a model of two runs on the same reviews; the result is JSON.

    Args:
        old: the run to compare with.
        new: the run to judge.
        name: the evaluation set: `test`, or one that both runs have in `evaluation_sets`.
        model: the model of both runs.

    Raises:
        InputError: the reviews differ, or the predictions of a run are not available.
    """
    reviews = old.scored_reviews(name, model)
    scored = _on_the_same_reviews(old, reviews, new, name, model)
    compared = compare_probabilities(reviews, scored["probability"].to_numpy())
    params = _differing(old.params, new.params)
    return {"old": old.name, "new": new.name, "model": model, **compared, "params": params}


def compare_also_test(
    old: Run, new: Run, model: Model = "classifier", required: bool = False
) -> dict[str, dict[str, Any]]:
    """Compare a model of two runs on each evaluation set besides the test split; the result is JSON.

    Args:
        old: the run to compare with.
        new: the run to judge.
        model: the model of both runs.
        required: whether it is an error if a set of `old` cannot be compared.

    Returns:
        By the name of the set: the result of `compare_runs`, or `not_compared` with the reason.

    Raises:
        InputError: a set that is required cannot be compared.
    """
    compared: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys([*old.evaluation_sets, *new.evaluation_sets]):
        try:
            for run in (old, new):
                if name not in run.evaluation_sets:
                    raise InputError(f"{run.name} was not evaluated on it")
            compared[name] = compare_runs(old, new, name, model)
        except InputError as error:
            if required and name in old.evaluation_sets:
                raise InputError(f"{name}: {error}") from None
            compared[name] = {"not_compared": str(error)}
    return compared


def compare_with_baseline(run: Run, name: str = "test") -> dict[Model, dict[str, Any]]:
    """Compare the fine-tuned model and the blend of a run with its n-gram baseline on the same reviews.

    A blend of an earlier model is left out.

    Returns:
        The result of `compare_probabilities` by model; nothing if the run has no baseline.

    Raises:
        InputError: predictions are not available.
    """
    compared: dict[Model, dict[str, Any]] = {}
    if run.why_unavailable("baseline"):
        return compared
    reviews = run.scored_reviews(name, "baseline")
    for model in JUDGED:
        if model == "classifier" or run.ran_on_current_inputs(STAGES[model]):
            scored = run.scored_reviews(name, model)
            compared[model] = compare_probabilities(reviews, scored["probability"].to_numpy())
    return compared


def compare_probabilities(reviews: pd.DataFrame, new_probability: np.ndarray) -> dict[str, Any]:
    """Compare two models on the same reviews; the result is JSON.

    A metric is within noise if its paired bootstrap interval contains 0. The overall verdict is that of
    accuracy, provided that McNemar's exact test agrees (p < 0.05).

    Args:
        reviews: scored reviews: `probability` is the old model's, of POSITIVE.
        new_probability: the new model's probabilities of POSITIVE, shape (reviews,).
    """
    truth, group = reviews["label"].to_numpy(), group_of(reviews)
    old_probability = reviews["probability"].to_numpy()
    old_metrics, new_metrics = compute(truth, old_probability), compute(truth, new_probability)
    metrics = {}
    for name, (low, high) in difference_intervals(truth, old_probability, new_probability, group).items():
        metrics[name] = {
            "old": old_metrics[name],
            "new": new_metrics[name],
            "difference": new_metrics[name] - old_metrics[name],
            "low": low,
            "high": high,
            "verdict": _verdict(low, high, lower_is_better=name in LOWER_IS_BETTER),
        }
    only_old_right, only_new_right, p = mcnemar(truth, old_probability, new_probability)
    return {
        "reviews": len(truth),
        "groups": _number_of_groups(group),
        "verdict": metrics["accuracy"]["verdict"] if p < 0.05 else WITHIN_NOISE,
        "metrics": metrics,
        "mcnemar": {"only_old_right": only_old_right, "only_new_right": only_new_right, "p": p},
        "flips": _largest_flips(reviews, new_probability),
    }


def _on_the_same_reviews(old: Run, reviews: pd.DataFrame, new: Run, name: str, model: Model) -> pd.DataFrame:
    """The scored reviews of `new`, after a check that they are the reviews of `old`."""
    scored = new.scored_reviews(name, model)
    same = ["id", "text", "label"]
    if not reviews[same].equals(scored[same]):
        raise InputError(
            f"{old.name} and {new.name} were evaluated on different {name} reviews "
            f"({len(reviews):,} and {len(scored):,}); only runs on the same reviews can be compared"
        )
    return scored


def _verdict(low: float, high: float, lower_is_better: bool = False) -> str:
    """`within noise` if the interval of a difference contains 0, else `better` or `worse`."""
    if low <= 0 <= high:
        return WITHIN_NOISE
    improved = high < 0 if lower_is_better else low > 0
    return "better" if improved else "worse"


def _largest_flips(reviews: pd.DataFrame, new_probability: np.ndarray) -> list[dict[str, Any]]:
    """The reviews whose predicted label flipped, those with the largest change of probability first."""
    truth, old_probability = reviews["label"].to_numpy(), reviews["probability"].to_numpy()
    flipped = ((old_probability >= 0.5) != (new_probability >= 0.5)).nonzero()[0]
    change = np.abs(new_probability - old_probability)[flipped]
    flips = []
    for row in flipped[np.argsort(-change, kind="stable")][:_MAX_FLIPS]:
        now_right = (new_probability[row] >= 0.5) == truth[row]
        flips.append(
            {
                "id": reviews["id"][row],
                "label": LABELS[truth[row]],
                "now": "right" if now_right else "wrong",
                "text": shortened(reviews["text"][row], 120),
            }
        )
    return flips


def _number_of_groups(group: np.ndarray | None) -> int | None:
    return None if group is None else len(set(group))


def _differing(old: dict[str, Any], new: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The old and new value of each parameter that differs."""
    differing = {}
    for key in {**old, **new}:
        if old.get(key) != new.get(key):
            differing[key] = {"old": old.get(key), "new": new.get(key)}
    return differing


def recipe(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a run without `seed`, and without `exports`, which affects no metric."""
    return {key: value for key, value in params.items() if key not in ("seed", "exports")}


def load_scored_runs(
    old: Run, new: Run, others: Sequence[Run], model: Model = "classifier"
) -> tuple[dict[Run, pd.DataFrame], dict[str, str]]:
    """Load the runs whose predictions compare the parameters of two runs over several seeds.

    Args:
        old: a run with one set of parameters.
        new: a run with the other set.
        others: candidates, which are used if they differ from one of the two in the seed alone.
        model: the model of each run.

    Returns:
        The scored test reviews of each run that was trained and evaluated with one of the two sets of
        parameters, old and new first; and the reasons why runs were left out, by name. A run is left out if
        its predictions are not available, such as those of HEAD in a clone where nothing has run, or if its
        test split differs.

    Raises:
        InputError: the parameters are the same, or the test splits of the two runs differ.
    """
    recipes = [recipe(run.params) for run in (old, new)]
    if recipes[0] == recipes[1]:
        raise InputError(
            f"{old.name} and {new.name} have the same parameters apart from the seed; "
            "`sentiment compare --seeds` summarises such runs"
        )
    if old.locked_hash(TEST) != new.locked_hash(TEST):
        raise InputError(
            f"{old.name} and {new.name} have different test splits; "
            "only runs on the same split can be compared"
        )
    scored: dict[Run, pd.DataFrame] = {}
    left_out = {}
    for run in (old, new, *others):
        if not run.has_file("dvc.lock") or not run.ran_on_current_inputs(STAGES[model]):
            continue
        if recipe(run.params) not in recipes:
            continue
        try:
            if scored:
                first, reviews = next(iter(scored.items()))
                scored[run] = _on_the_same_reviews(first, reviews, run, "test", model)
            else:
                scored[run] = run.scored_reviews("test", model)
        except InputError as error:
            left_out[run.name] = str(error)
    return scored, left_out


def runs_by_seed(runs: Iterable[Run], wanted: dict[str, Any]) -> dict[int, Run]:
    """The first run of each seed, by seed, among the runs with the recipe `wanted`."""
    by_seed: dict[int, Run] = {}
    for run in runs:
        if recipe(run.params) == wanted:
            by_seed.setdefault(run.params["seed"], run)
    return dict(sorted(by_seed.items()))


def compare_recipes(
    old: Run, new: Run, scored: dict[Run, pd.DataFrame], left_out: dict[str, str]
) -> dict[str, Any]:
    """Compare the parameters of two runs over all seeds that have run with each; the result is JSON.

    Args:
        old: a run with one set of parameters.
        new: a run with the other set.
        scored: the scored test reviews of the runs with either set, from `load_scored_runs`.
        left_out: the reasons why other runs are missing, by name.

    Raises:
        InputError: fewer than two seeds have run with one of the sets.
    """
    sides: list[dict[str, Any]] = []
    probabilities = []
    for run in (old, new):
        runs = runs_by_seed(scored, recipe(run.params))
        if len(runs) < 2:
            seeds = "one seed has" if runs else "no seed has"
            raise InputError(
                left_out.get(run.name)
                or f"{run.name}: {seeds} been run and evaluated with its parameters, "
                "but a comparison needs two; "
                f"`sentiment compare {old.name} {new.name} --seeds 3` queues the missing runs"
            )
        probabilities.append(np.stack([scored[each]["probability"] for each in runs.values()]))
        sides.append({"run": run.name, "seeds": {str(seed): each.name for seed, each in runs.items()}})
    reviews = next(iter(scored.values()))
    truth, group = reviews["label"].to_numpy(), group_of(reviews)
    old_right, new_right = ((side >= 0.5) == truth for side in probabilities)
    result = seed_difference(old_right, new_right, group)
    for side, mean, sd in zip(sides, (result.old, result.new), result.seed_sd, strict=True):
        side["accuracy"], side["accuracy_sd"] = mean, sd
    return {
        "old": sides[0],
        "new": sides[1],
        "reviews": len(reviews),
        "groups": _number_of_groups(group),
        "difference": result.difference,
        "low": result.low,
        "high": result.high,
        "verdict": _verdict(result.low, result.high),
        "reviews_sd": result.reviews_sd,
        "seeds_needed": result.seeds_needed,
        "params": _differing(recipe(old.params), recipe(new.params)),
        "left_out": left_out,
    }


def summarise_seeds(experiments: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and range of metrics over runs that differ in the seed alone.

    These are the test metrics of the fine-tuned model, and its accuracy on the other evaluation sets.

    Args:
        experiments: the table of `dvc.api.exp_show`: one row per run, parameters and metrics as columns.

    Raises:
        InputError: no two runs differ in the seed alone.
    """
    keys = [key for key in Params.model_fields if key != "seed"]
    metrics = ["accuracy", "loss", "f1_negative", "f1_positive"]
    # DVC prefixes the file to a name that occurs in several files.
    renamed = {f"metrics/test.json:{name}": name for name in metrics}
    renamed |= {f"params.yaml:{key}": key for key in keys}
    also_tested = []
    for column in experiments:
        if match := _ALSO_TEST_ACCURACY.fullmatch(column):
            renamed[column] = f"{match[1]} accuracy"
            also_tested.append(renamed[column])
    table = experiments.rename(columns=renamed)
    if set(metrics) - set(table):
        raise InputError(_NO_SEEDS)
    if missing := {*keys, "seed"} - set(table):
        raise InputError(f"dvc exp show has no {', '.join(sorted(missing))}; run an experiment first")
    complete = table.dropna(subset=metrics)
    values = complete[keys].astype(str)
    differing = [key for key in keys if values[key].nunique() > 1]
    rows = []
    for _, runs in complete.groupby([values[key] for key in keys], sort=False):
        runs = runs.drop_duplicates("seed")
        if len(runs) < 2:
            continue
        params = {key: runs[key].iloc[0] for key in differing}
        for name in (*metrics, *also_tested):
            value = runs[name].dropna().astype(float)
            if len(value) < 2:
                continue
            spread = {"mean": value.mean(), "sd": value.std(), "min": value.min(), "max": value.max()}
            rows.append(params | {"metric": name, "seeds": len(value)} | spread)
    if not rows:
        raise InputError(_NO_SEEDS)
    return pd.DataFrame(rows).round(4)
