"""Suspects: reviews with a label that models doubt, contradictions, and reviews that leak between splits."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

from sentiment.commands.audit.near_duplicates import across_splits
from sentiment.data import dataset
from sentiment.data.schema import DATA
from sentiment.errors import InputError
from sentiment.labels import LABELS
from sentiment.ngrams import regression
from sentiment.ngrams.regression import BaselineClassifier
from sentiment.progress import Advance, Progress
from sentiment.runs.run import Run
from sentiment.sampling import capped

FOLDS = 5
MAX_REVIEWS = 100_000  # that one model is fitted on; their features are in memory at the same time
# By reason, in words. A review with several reasons has the first of them.
REASONS = {
    "contradiction": "the same text has another label elsewhere",
    "label": "models that did not learn from the review expect the other label",
    "near-duplicate": "nearly the same text is in another split",
    "group": "the group of the review is in the test split too; the first review of each such group",
}
COLUMNS = ["id", "file", "row", "split", "label", "probability", "reason", "related", "text"]


def find_suspects(name: str) -> tuple[pd.DataFrame, int]:
    """Find the suspects of a dataset, and count all reviews with a label.

    Returns:
        The suspects, the most suspect first, with COLUMNS: `label` in words, `probability` of the other
        label, `related`: ids of contradicting or similar reviews, or the group. And the number of reviews.

    Raises:
        InputError: the dataset has a fault, or too few reviews or groups for cross-validation.
    """
    reviews = dataset.load(name, needed=("train",), places=True).reviews
    if "test" not in set(reviews["split"]):  # prepare holds a part of train out
        reviews["split"] = "train"
    with Progress("auditing", work(reviews), unit="") as bar:
        reviews["probability"] = probability_of_other_label(reviews, name, bar.update)
        near = across_splits(reviews, bar.update)
    contradicted = contradictions(reviews)
    reasons = {
        "contradiction": contradicted,
        "label": dict.fromkeys(reviews.loc[reviews["probability"] >= 0.5, "id"], ""),
        "near-duplicate": near,
        "group": first_of_shared_groups(reviews),
    }
    for reason in reversed(REASONS):  # the first reason is set last
        chosen = reviews["id"].isin(list(reasons[reason]))
        reviews.loc[chosen, "reason"] = reason
        reviews.loc[chosen, "related"] = reviews.loc[chosen, "id"].map(reasons[reason])
    suspects = reviews[reviews["reason"].notna()].sort_values("probability", ascending=False, kind="stable")
    words = suspects.assign(
        label=[LABELS[label] for label in suspects["label"]], row=suspects["row"].astype(int)
    )
    return words[COLUMNS], len(reviews)


def work(reviews: pd.DataFrame) -> float:
    """Duration of an audit, in units of scoring one review by n-grams, for the progress bar."""
    in_test = (reviews["split"] == "test").sum()
    return regression.work(reviews, reviews) * FOLDS + in_test + len(reviews)


def probability_of_other_label(reviews: pd.DataFrame, name: str, advance: Advance) -> np.ndarray:
    """The out-of-sample probability that the other label is right: float64 array of shape (reviews,).

    Reviews of train and validation are scored by n-grams in cross-validation, those of test by n-grams that
    were fitted on the others, or by the blend of the last run, if it is of this dataset.

    Raises:
        InputError: there are too few reviews or groups.
    """
    positive = np.empty(len(reviews))
    in_test = (reviews["split"] == "test").to_numpy()
    learned = np.flatnonzero(~in_test)
    folds = split_folds(reviews.iloc[learned], name)
    for number, scored in enumerate(folds):
        # Another fold chooses the regularisation.
        chooses = folds[(number + 1) % len(folds)]
        fitted = np.setdiff1d(np.arange(len(learned)), np.concatenate([scored, chooses]))
        ngrams = fit(reviews.iloc[learned[fitted]], reviews.iloc[learned[chooses]], name, advance)
        texts = reviews["text"].iloc[learned[scored]].tolist()
        positive[learned[scored]] = ngrams.probabilities(texts, advance)
    if in_test.any():
        fitted = np.setdiff1d(np.arange(len(learned)), folds[0])
        ngrams = fit(reviews.iloc[learned[fitted]], reviews.iloc[learned[folds[0]]], name, advance)
        positive[in_test] = ngrams.probabilities(reviews.loc[in_test, "text"].tolist(), advance)
        by_run = probabilities_of_run(name)
        known = reviews["id"].isin(by_run.index).to_numpy() & in_test
        positive[known] = by_run[reviews.loc[known, "id"]]
    is_positive = reviews["label"].to_numpy() == 1
    return np.where(is_positive, 1 - positive, positive)


def split_folds(reviews: pd.DataFrame, name: str) -> list[np.ndarray]:
    """Positions of the reviews in each fold; a group, or else a text, is in one fold only.

    Raises:
        InputError: there are too few reviews or groups.
    """
    unit = reviews["group" if "group" in reviews else "text"]
    if unit.nunique() < FOLDS:
        raise InputError(
            f"{DATA / name}: {unit.nunique()} groups of training reviews are too few for cross-validation; "
            f"at least {FOLDS} are needed"
        )
    splitter = GroupKFold(FOLDS, shuffle=True, random_state=0)
    return [scored for _, scored in splitter.split(reviews, groups=unit)]


def fit(train: pd.DataFrame, validation: pd.DataFrame, name: str, advance: Advance) -> BaselineClassifier:
    """Fit n-grams on at most MAX_REVIEWS of the reviews; see `regression.fit`.

    Raises:
        InputError: the reviews of one part have all the same label.
    """
    for rows in (train, validation):
        dataset.require_classes(
            rows["label"], f"{DATA / name}: in a part of the cross-validation, every review"
        )
    most = capped(train, MAX_REVIEWS, seed=0)
    advance(regression.work(train, validation) - regression.work(most, validation))
    return regression.fit(most, validation, advance)[0]


def probabilities_of_run(name: str) -> pd.Series:
    """Probabilities of POSITIVE that the blend of the last run gives test reviews, by id.

    Empty if that run is of another dataset, has no blend, or is out of date.
    """
    run = Run()
    nothing = pd.Series(dtype=float)
    if not run.has_file("dvc.lock") or run.params.get("dataset") != name or "blend" not in run.models:
        return nothing
    try:
        scored = run.scored_reviews("test", "blend")
    except InputError:  # not fetched, or of an earlier model
        return nothing
    return scored.set_index("id")["probability"]


def contradictions(reviews: pd.DataFrame) -> dict[str, str]:
    """Ids of reviews whose text has both labels, each with the ids of the others with this text."""
    by_text = reviews.groupby("text")
    both = reviews[by_text["label"].transform("nunique") > 1]
    found = {}
    for _, rows in both.groupby("text"):
        for id, label in zip(rows["id"], rows["label"], strict=True):
            found[id] = listed(rows.loc[rows["label"] != label, "id"])
    return found


def first_of_shared_groups(reviews: pd.DataFrame) -> dict[str, str]:
    """Ids of the first training review of each group that also occurs in the test split, with the group."""
    if "group" not in reviews:
        return {}
    in_test = set(reviews.loc[reviews["split"] == "test", "group"])
    shared = reviews[(reviews["split"] != "test") & reviews["group"].isin(in_test)]
    first = shared.drop_duplicates("group")
    return dict(zip(first["id"], first["group"], strict=True))


def listed(ids: Iterable[str]) -> str:
    """Ids in one cell."""
    return " ".join(ids)
