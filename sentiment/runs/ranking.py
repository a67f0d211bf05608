"""Ranking of runs by validation accuracy, with the probability of being the best and a confidence set."""

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
    """Statistics of each run, all of shape (runs,), in the order of the input.

    Attributes:
        accuracy: accuracy on all reviews.
        low: lower bound of its 95 % interval.
        high: upper bound of its 95 % interval.
        probability_best: share of bootstrap draws in which the run has the highest accuracy; ties are shared.
        in_set: whether the run is in the confidence set, that is, does not differ significantly from the
            best.
    """

    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    probability_best: np.ndarray
    in_set: np.ndarray


def rank_runs(runs: Sequence[Run], test_of_all: bool = False) -> dict[str, Any]:
    """Rank runs by validation accuracy, the best first; the result is JSON. Ties are broken by lower loss.

    If runs have different validation reviews, only the largest set of comparable runs is ranked. A run with
    two names is ranked once. Only the first run has `test`, its test metrics, so that they do not influence
    the choice.

    Args:
        runs: the runs to rank.
        test_of_all: whether all runs have `test`.

    Raises:
        InputError: no run has validation predictions.
    """
    left_out: dict[str, str] = {}
    ranked = _comparable(_scored(runs, left_out), left_out)
    if not ranked:
        raise InputError(next(iter(left_out.values()), "there is no run to rank; `dvc repro` creates one"))
    truth, group = ranked[0].reviews["label"].to_numpy(), group_of(ranked[0].reviews)
    probabilities = [candidate.reviews["probability"].to_numpy() for candidate in ranked]
    ranking = rank((np.stack(probabilities) >= 0.5) == truth, group)
    losses = [compute(truth, probability)["loss"] for probability in probabilities]

    rows: list[dict[str, Any]] = []
    for index in np.lexsort((np.array(losses), -ranking.accuracy)):  # by accuracy, then by loss
        run, *others = ranked[index].runs
        row = {
            "run": run.name,
            "also": [other.name for other in others],
            "validation": {
                "accuracy": float(ranking.accuracy[index]),
                "accuracy_low": float(ranking.low[index]),
                "accuracy_high": float(ranking.high[index]),
                "loss": losses[index],
            },
            "probability_best": float(ranking.probability_best[index]),
            "in_set": bool(ranking.in_set[index]),
            "params": run.params,
        }
        if test_of_all or not rows:
            row["test"] = run.metrics("test") if run.ran_on_current_inputs("evaluate") else None
        rows.append(row)
    all_runs = [run for candidate in ranked for run in candidate.runs]
    return {
        "reviews": len(truth),
        "groups": None if group is None else len(set(group)),
        "validation_labels": "teachers" if _by_teachers(ranked[0]) else "dataset",
        "runs": rows,
        "left_out": left_out,
        "out_of_date": out_of_date_runs(all_runs, "train"),
    }


def differing_params(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The names of the parameters that differ between the runs of a ranking."""
    keys = dict.fromkeys(key for row in rows for key in row["params"])
    return [key for key in keys if len({str(row["params"].get(key)) for row in rows}) > 1]


class _Candidate(NamedTuple):
    """A run to rank.

    Attributes:
        runs: the run under each of its names.
        reviews: its scored validation reviews.
    """

    runs: list[Run]
    reviews: pd.DataFrame


def _by_teachers(candidate: _Candidate) -> bool:
    """Whether teachers labelled the validation reviews, so that accuracy is agreement with them."""
    return "held_out" in candidate.reviews


def _scored(runs: Sequence[Run], left_out: dict[str, str]) -> list[_Candidate]:
    """The runs with validation predictions, identical runs as one; adds the others to `left_out`."""
    candidates: dict[Any, _Candidate] = {}
    for run in runs:
        try:
            reviews, params = run.scored_reviews("validation"), run.params
        except InputError as error:
            left_out[run.name] = str(error)
            continue
        identity = str(params), reviews["probability"].to_numpy().tobytes()
        candidates.setdefault(identity, _Candidate([], reviews)).runs.append(run)
    return list(candidates.values())


def _comparable(candidates: list[_Candidate], left_out: dict[str, str]) -> list[_Candidate]:
    """The largest set of candidates with the same validation reviews; adds the others to `left_out`."""
    by_reviews: dict[Any, list[_Candidate]] = {}
    for candidate in candidates:
        digest = candidate.runs[0].locked_hash(PREPARED.format("validation"))
        # Teachers may have labelled them, and other teachers give other labels.
        labelled = zip(candidate.reviews["id"], candidate.reviews["label"], strict=True)
        by_reviews.setdefault((digest, tuple(labelled)), []).append(candidate)
    chosen = max(by_reviews.values(), key=len, default=[])
    for others in by_reviews.values():
        if others is chosen:
            continue
        for candidate in others:
            for run in candidate.runs:
                what = "other reviews or labels" if _by_teachers(candidate) else "other reviews"
                left_out[run.name] = (
                    f"{run.name} was validated on {what} ({len(candidate.reviews):,}) "
                    f"than {chosen[0].runs[0].name} ({len(chosen[0].reviews):,}): not comparable"
                )
    return chosen


def rank(right: np.ndarray, group: np.ndarray | None = None) -> Ranking:
    """Rank runs by paired bootstrap: all runs share the draws of reviews.

    Args:
        right: whether each run classifies each review correctly, shape (runs, reviews).
        group: the group of each review, shape (reviews,), to resample whole groups. None: no groups.
    """
    accuracy, drawn = right.mean(axis=1), bootstrap_means(right, group)
    low, high = np.percentile(drawn, (2.5, 97.5), axis=1)
    best = drawn == drawn.max(axis=0)
    probability_best = (best / best.sum(axis=0)).mean(axis=1)
    return Ranking(accuracy, low, high, probability_best, confidence_set(accuracy, drawn))


def confidence_set(accuracy: np.ndarray, drawn: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Model confidence set, which contains all of the best runs with probability `level`.

    Source: Hansen, Lunde and Nason 2011, doi 10.3982/ECTA5771. The procedure removes the worst run as long as
    the range statistic T_R exceeds its bootstrap quantile. T_R is the largest |t| of the difference between
    two runs. The paper's other statistic, T_max, leaves far more runs in the set if one run is better than
    all others.

    Args:
        accuracy: accuracy of each run, shape (runs,).
        drawn: accuracies on bootstrap draws that all runs share, shape (runs, draws).
        level: confidence level.

    Returns:
        Whether each run is in the set, shape (runs,).
    """
    error = drawn - accuracy[:, None]
    products = error @ error.T / error.shape[1]
    variance = np.diag(products)[:, None] + np.diag(products) - 2 * products
    # The t of two runs that differ on a few reviews is far from normal. Adding a tenth of the largest
    # variance keeps it from dominating.
    variance += variance.max() / 10
    # If all runs are right about the same reviews, every t is 0.
    spread = np.sqrt(np.where(variance > 1e-15, variance, np.inf))
    behind = (accuracy[None] - accuracy[:, None]) / spread  # t of how far each run is behind each other run

    # Remove the worst run until one remains, and record the range statistic of each step.
    remaining, removed, statistics = list(range(len(accuracy))), [], []
    while len(remaining) > 1:
        t = behind[np.ix_(remaining, remaining)]
        statistics.append(t.max())
        removed.append(remaining.pop(int(t.max(axis=1).argmax())))

    # Go back from the last two runs to all of them, so that each pair is compared once.
    largest, added, kept = np.zeros(error.shape[1]), remaining, list(remaining)
    for run, statistic in zip(reversed(removed), reversed(statistics), strict=True):
        for other in added:
            np.maximum(largest, np.abs(error[run] - error[other]) / spread[run, other], out=largest)
        added.append(run)
        p = (largest >= statistic - 1e-9).mean()  # the tolerance keeps rounding from separating equal runs
        if p >= 1 - level:
            kept = list(added)
    return np.isin(np.arange(len(accuracy)), kept)
