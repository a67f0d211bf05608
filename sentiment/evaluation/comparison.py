"""Comparison of two runs on the same test split, and of runs that differ in the seed alone: better, worse, or luck."""

from typing import Any

import numpy as np
import pandas as pd

from sentiment.errors import InputError
from sentiment.evaluation.intervals import difference_intervals, mcnemar
from sentiment.evaluation.metrics import compute
from sentiment.evaluation.mistakes import in_short
from sentiment.evaluation.report import group_of
from sentiment.evaluation.run import PREPARED, Run
from sentiment.params import Params

LOWER_IS_BETTER = {"loss"}
WITHIN_NOISE = "within noise"
_FLIPS = 6  # reviews whose label flipped that a comparison shows


def compare_runs(old: Run, new: Run) -> dict[str, Any]:
    """The comparison of two runs on the same test split, as JSON.

    The verdict on a metric is its paired-bootstrap interval: within noise if 0 is in it. The verdict on the whole is
    that of accuracy, and only if McNemar's exact test agrees (p < 0.05).

    Raises:
        InputError: the test splits differ, or the predictions of one are not to be had.
    """
    reviews, scored = old.scored("test"), new.scored("test")
    test = PREPARED.format("test")
    if old.locked_hash(test) != new.locked_hash(test) or not reviews["id"].equals(scored["id"]):
        raise InputError(
            f"{old.name} and {new.name} were evaluated on different test splits "
            f"({len(reviews):,} and {len(scored):,} reviews); only runs on the same one compare"
        )
    truth, group = reviews["label"].to_numpy(), group_of(reviews)
    before, after = reviews["probability"].to_numpy(), scored["probability"].to_numpy()
    values = compute(truth, before), compute(truth, after)
    metrics = {}
    for name, (low, high) in difference_intervals(truth, before, after, group).items():
        better = (high < 0) if name in LOWER_IS_BETTER else (low > 0)
        metrics[name] = {
            "old": values[0][name], "new": values[1][name], "difference": values[1][name] - values[0][name],
            "low": low, "high": high, "verdict": WITHIN_NOISE if low <= 0 <= high else "better" if better else "worse",
        }  # fmt: skip
    lost, won, p = mcnemar(truth, before, after)
    flipped = ((before >= 0.5) != (after >= 0.5)).nonzero()[0]
    largest = flipped[np.argsort(-np.abs(after - before)[flipped], kind="stable")][:_FLIPS]
    flips = [
        {"id": reviews["id"][row], "now": "right" if (after[row] >= 0.5) == truth[row] else "wrong",
         "text": in_short(reviews["text"][row], 120)} for row in largest
    ]  # fmt: skip
    both = {key: {"old": old.params.get(key), "new": new.params.get(key)} for key in {**old.params, **new.params}}
    return {
        "old": old.name, "new": new.name, "reviews": len(truth), "groups": None if group is None else len(set(group)),
        "verdict": metrics["accuracy"]["verdict"] if p < 0.05 else WITHIN_NOISE, "metrics": metrics,
        "mcnemar": {"only_old_right": lost, "only_new_right": won, "p": p},
        "params": {key: pair for key, pair in both.items() if pair["old"] != pair["new"]}, "flips": flips,
    }  # fmt: skip


def accuracy_change(reviews: pd.DataFrame, old: np.ndarray, new: np.ndarray) -> dict[str, Any]:
    """Accuracy of `new` probabilities of POSITIVE, its change from `old` with a 95 % interval, and flipped predictions."""
    truth = reviews["label"].to_numpy()
    before, after = (compute(truth, probability)["accuracy"] for probability in (old, new))
    change = difference_intervals(truth, old, new, group_of(reviews))["accuracy"]
    return {
        "accuracy": after, "accuracy_change": after - before, "accuracy_change_low": change.low,
        "accuracy_change_high": change.high, "flipped": int(((old >= 0.5) != (new >= 0.5)).sum()),
    }  # fmt: skip


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
    files = {f"metrics/test.json:{name}": name for name in metrics} | {f"params.yaml:{key}": key for key in keys}
    table = experiments.rename(columns=files)
    missing = {*keys, "seed", *metrics} - set(table)
    if missing:
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
        raise InputError("no two runs differ in the seed alone; try `dvc exp run --queue -S seed=1,2,3,4,5`")
    return pd.DataFrame(rows).round(4)
