"""Ranking of runs by their accuracy on the same reviews: the probability of being the best, and what luck leaves open."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sentiment.errors import InputError
from sentiment.metrics.classification import compute
from sentiment.metrics.intervals import bootstrap_means
from sentiment.metrics.metrics_file import group_of
from sentiment.runs.run import PREPARED, Run, out_of_date_runs


class Ranking(NamedTuple):
    """Figures of each run, all of shape (runs,), in the order that the runs were given in."""

    accuracy: np.ndarray
    low: np.ndarray  # of a 95 % interval
    high: np.ndarray
    probability_best: (
        np.ndarray
    )  # share of bootstrap draws in which the run has the highest accuracy; ties are shared
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
    ranked = _comparable(_scored(runs, left_out), left_out)
    if not ranked:
        raise InputError(next(iter(left_out.values()), "there is no run to rank; `dvc repro` makes one"))
    truth, group = ranked[0].reviews["label"].to_numpy(), group_of(ranked[0].reviews)
    probabilities = [candidate.reviews["probability"].to_numpy() for candidate in ranked]
    ranking = rank((np.stack(probabilities) >= 0.5) == truth, group)
    losses = [compute(truth, probability)["loss"] for probability in probabilities]

    rows: list[dict[str, Any]] = []
    for at in sorted(range(len(ranked)), key=lambda at: (-ranking.accuracy[at], losses[at])):
        run, *others = ranked[at].runs
        row = {
            "run": run.name,
            "also": [other.name for other in others],
            "validation": {
                "accuracy": float(ranking.accuracy[at]),
                "accuracy_low": float(ranking.low[at]),
                "accuracy_high": float(ranking.high[at]),
                "loss": losses[at],
            },
            "probability_best": float(ranking.probability_best[at]),
            "in_set": bool(ranking.in_set[at]),
            "params": run.params,
        }
        if test_of_all or not rows:
            row["test"] = run.metrics("test") if run.ran_on_current_inputs("evaluate") else None
        rows.append(row)
    groups = None if group is None else len(set(group))
    stale = out_of_date_runs((run for candidate in ranked for run in candidate.runs), "train")
    return {"reviews": len(truth), "groups": groups, "runs": rows, "left_out": left_out, "out_of_date": stale}


def differing_params(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The parameters that are not the same in all runs of a ranking."""
    keys = dict.fromkeys(key for row in rows for key in row["params"])
    return [key for key in keys if len({str(row["params"].get(key)) for row in rows}) > 1]


class _Candidate(NamedTuple):
    """A run to be ranked."""

    runs: list[Run]  # it under each of its names
    reviews: pd.DataFrame  # its scored validation reviews


def _scored(runs: Sequence[Run], left_out: dict[str, str]) -> list[_Candidate]:
    """The runs that have validation predictions, those that are the same in one; the others go to `left_out`, with the reason."""
    candidates: dict[Any, _Candidate] = {}
    for run in runs:
        try:
            reviews, params = run.scored_reviews("validation"), run.params
        except InputError as error:
            left_out[run.name] = str(error)
            continue
        same = str(params), reviews["probability"].to_numpy().tobytes()
        candidates.setdefault(same, _Candidate([], reviews)).runs.append(run)
    return list(candidates.values())


def _comparable(candidates: list[_Candidate], left_out: dict[str, str]) -> list[_Candidate]:
    """The candidates on those validation reviews that most have in common; the others go to `left_out`, with the reason."""
    by_data: dict[Any, list[_Candidate]] = {}
    for candidate in candidates:
        data = candidate.runs[0].locked_hash(PREPARED.format("validation")), tuple(candidate.reviews["id"])
        by_data.setdefault(data, []).append(candidate)
    chosen = max(by_data.values(), key=len, default=[])
    for candidate in (each for group in by_data.values() if group is not chosen for each in group):
        for run in candidate.runs:
            left_out[run.name] = (
                f"{run.name} was validated on other reviews ({len(candidate.reviews):,}) than {chosen[0].runs[0].name} "
                f"({len(chosen[0].reviews):,}): not comparable"
            )
    return chosen


def rank(right: np.ndarray, group: np.ndarray | None = None) -> Ranking:
    """Rank runs by paired bootstrap: every draw of reviews is the same for all runs.

    Args:
        right: whether each run is right about each review, shape (runs, reviews).
        group: what each review belongs to, shape (reviews,); drawn whole. None: each review by itself.
    """
    accuracy, drawn = right.mean(axis=1), bootstrap_means(right, group)
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
    # Of two runs that differ on a few reviews, t is far from normal: a tenth of the largest variance keeps it from deciding.
    variance += variance.max() / 10
    spread = np.sqrt(
        np.where(variance > 1e-15, variance, np.inf)
    )  # all runs right about the same reviews: t is 0
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
