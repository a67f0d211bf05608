"""Ranking of runs by their accuracy on the same reviews: the probability of being the best, and what luck leaves open."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sentiment.errors import InputError
from sentiment.evaluation.intervals import drawn_means
from sentiment.evaluation.metrics import compute
from sentiment.evaluation.report import group_of
from sentiment.evaluation.run import PREPARED, Run


class Ranking(NamedTuple):
    """Figures of each run, all of shape (runs,), in the order that the runs were given in."""

    accuracy: np.ndarray
    low: np.ndarray  # of a 95 % interval
    high: np.ndarray
    probability_best: np.ndarray  # share of bootstrap draws in which the run has the highest accuracy; ties are shared
    in_set: np.ndarray  # whether the run cannot be told from the best


def rank_runs(runs: Sequence[Run], test_of_all: bool = False) -> dict[str, Any]:
    """The ranking of runs on their validation reviews as JSON, the best first; lower loss goes before where accuracy is equal.

    Of runs on different validation reviews, those are ranked that most have in common. The same run under two names is
    one. `test`, what evaluate says of the run, is given of the first alone, so that nothing is chosen by it.

    Args:
        runs: which to rank.
        test_of_all: whether `test` is given of all runs.

    Raises:
        InputError: no run has validation predictions.
    """
    left_out: dict[str, str] = {}
    candidates: dict[Any, dict[Any, tuple[list[Run], pd.DataFrame]]] = {}
    for run in runs:
        try:
            if run.outdated("train"):
                raise InputError(f"{run.name}: train has not run on its data")
            reviews, params = run.scored("validation"), run.params
        except InputError as error:
            left_out[run.name] = str(error)
            continue
        data = run.locked_hash(PREPARED.format("validation")), tuple(reviews["id"])
        same = str(params), reviews["probability"].to_numpy().tobytes()
        candidates.setdefault(data, {}).setdefault(same, ([], reviews))[0].append(run)
    if not candidates:
        raise InputError(next(iter(left_out.values()), "there is no run to rank; `dvc repro` makes one"))

    ranked = list(max(candidates.values(), key=len).values())
    first, reviews = ranked[0][0][0], ranked[0][1]
    for others, table in [each for group in candidates.values() for each in group.values()]:
        if all(others is not names for names, _ in ranked):
            why = (
                f"was validated on other reviews ({len(table):,}) than {first.name} ({len(reviews):,}): not comparable"
            )
            left_out |= {run.name: f"{run.name} {why}" for run in others}

    truth, group = reviews["label"].to_numpy(), group_of(reviews)
    right = np.stack([(table["probability"] >= 0.5) == truth for _, table in ranked])
    figures = zip(*(values.tolist() for values in rank(right, group)), strict=True)
    rows: list[dict[str, Any]] = []
    for (names, table), (accuracy, low, high, probability, in_set) in zip(ranked, figures, strict=True):
        validation = {"accuracy": accuracy, "accuracy_low": low, "accuracy_high": high}
        validation["loss"] = compute(truth, table["probability"].to_numpy())["loss"]
        rows.append({
            "run": names[0].name, "also": [run.name for run in names[1:]], "validation": validation,
            "probability_best": probability, "in_set": in_set, "params": names[0].params,
        })  # fmt: skip
    order = sorted(
        range(len(rows)), key=lambda at: (-rows[at]["validation"]["accuracy"], rows[at]["validation"]["loss"])
    )
    for place, at in enumerate(order):
        if test_of_all or place == 0:
            run = ranked[at][0][0]
            evaluated = not run.outdated("evaluate")
            rows[at]["test"] = run.metrics("test") if evaluated else None
    return {
        "reviews": len(truth), "groups": None if group is None else len(set(group)),
        "runs": [rows[at] for at in order], "left_out": left_out,
    }  # fmt: skip


def rank(right: np.ndarray, group: np.ndarray | None = None) -> Ranking:
    """Rank runs by paired bootstrap: every draw of reviews is the same for all runs.

    Args:
        right: whether each run is right about each review, shape (runs, reviews).
        group: what each review belongs to, shape (reviews,); drawn whole. None: each review by itself.
    """
    accuracy, drawn = right.mean(axis=1), drawn_means(right, group)
    low, high = np.percentile(drawn, (2.5, 97.5), axis=1)
    best = drawn == drawn.max(axis=0)
    probability = (best / best.sum(axis=0)).mean(axis=1)
    return Ranking(accuracy, low, high, probability, confidence_set(accuracy, drawn))


def confidence_set(accuracy: np.ndarray, drawn: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Model confidence set (Hansen, Lunde and Nason 2011, doi 10.3982/ECTA5771): all of the best runs are in it, at `level`.

    The worst run is removed as long as the range statistic T_R, the largest |t| of two runs' difference, is beyond its
    bootstrap distribution. T_max, the other statistic of the paper, leaves far more runs in the set where one run is
    better than all others.

    Args:
        accuracy: of each run, shape (runs,).
        drawn: the same on bootstrap draws that all runs share, shape (runs, draws).

    Returns:
        Whether each run is in the set, shape (runs,).
    """
    error = drawn - accuracy[:, None]
    products = error @ error.T / error.shape[1]
    variance = np.diag(products)[:, None] + np.diag(products) - 2 * products
    spread = np.sqrt(np.where(variance > 1e-15, variance, np.inf))  # runs that are right about the same reviews: t is 0
    behind = (accuracy[None] - accuracy[:, None]) / spread  # t of each run's distance behind each other run

    left, removed, statistics = list(range(len(accuracy))), [], []
    while len(left) > 1:
        among = behind[np.ix_(left, left)]
        statistics.append(among.max())
        removed.append(left.pop(int(among.max(axis=1).argmax())))

    # From the last two runs to all of them: so each pair is compared once.
    largest, inside, kept = np.zeros(error.shape[1]), left, list(left)
    for run, statistic in zip(reversed(removed), reversed(statistics), strict=True):
        for other in inside:
            np.maximum(largest, np.abs(error[run] - error[other]) / spread[run, other], out=largest)
        inside.append(run)
        if (largest >= statistic - 1e-9).mean() >= 1 - level:  # rounding is not to make a tie a difference
            kept = list(inside)
    return np.isin(np.arange(len(accuracy)), kept)
