"""Splits a dataset into train, validation, test and unlabelled, and removes leaks between them.

No review of the test split is dropped or changed. Reviews that also occur in the test split, or in another
evaluation set, are dropped from train and validation. If the dataset has its own validation split, its
reviews are dropped from train too. Unlabelled reviews that also occur in another split or in an evaluation
set are dropped. Without labelled reviews for training and validation, some of the unlabelled ones are held
out: teachers label all of them, and those validate.
"""

import warnings
from collections.abc import Iterable, Mapping
from itertools import combinations

import pandas as pd

from sentiment.data import dataset
from sentiment.data.schema import SPLITS
from sentiment.errors import InputError, reason
from sentiment.labels import LABELS
from sentiment.params import PrepareParams
from sentiment.sampling import capped


def split_dataset(
    params: PrepareParams, also_test: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, pd.DataFrame], dict[str, int], dict[str, int]]:
    """Split the dataset that params.yaml names, and count the reviews that were dropped.

    A validation split of the dataset is used as it is; otherwise one is held out from the training reviews.

    Args:
        params: of prepare.
        also_test: the reviews of the other evaluation sets, by name.

    Returns:
        The rows of `train`, `validation`, `test` and `unlabelled`, with the columns that `dataset.load` gives
        them; by key of metrics/data.json, the number of reviews dropped; and by
        evaluation set, the number dropped because they occur there. If the dataset has no labelled reviews
        to train and validate on, `train` and `validation` are empty, and `unlabelled` has the column
        `held_out`: whether the review is for validation.

    Raises:
        InputError: the dataset has a fault, an evaluation set contains all its training reviews, or too few
            reviews remain for both classes in every split.
    """
    source, reviews, unlabelled, ignored, without_text = dataset.load(params.dataset)
    folder = f"data/{params.dataset}"
    train, validation, test = (reviews[reviews["split"] == split] for split in SPLITS)
    if source.test_size is not None:
        in_test = held_out(train, source.test_size, params.split_seed, f"{folder}/dataset.yaml: test_size")
        train, test = train[~in_test], train[in_test].assign(split="test")
    (train, validation, unlabelled), in_also_test = without_evaluated(
        (train, validation, unlabelled), also_test
    )
    if len(validation):
        validation, dropped = without_leaks(validation, test)
        train, dropped_from_train = without_leaks(train, pd.concat([validation, test]))
        for key, count in dropped_from_train.items():
            dropped[key] += count
    else:
        train, dropped = without_leaks(train, test)
        if source.labels_training:
            in_validation = held_out(train, params.validation_size, params.split_seed)
            train, validation = train[~in_validation], train[in_validation]
    dropped["test_duplicates_kept"] = int(test.duplicated("text").sum())
    dropped["ignored_dropped"] = ignored
    splits = {"train": train, "validation": validation, "test": test}
    for name, rows in splits.items():
        if source.labels_training or name in source.named_splits:
            reviews = f"{folder}: without leaks and duplicates, every {name} review"
            dataset.require_classes(rows["label"], reviews)
    unlabelled, dropped_unlabelled = without_labelled(unlabelled, splits)
    dropped |= dropped_unlabelled
    if source.empty_text:
        dropped["without_text_dropped"] = without_text
    if source.labels_training:
        splits["train"] = capped(train, params.max_train_reviews, params.split_seed)
    else:
        unlabelled = in_place_of_labelled(unlabelled, params, needs_validation=not source.labels_validation)
    return splits | {"unlabelled": unlabelled}, dropped, in_also_test


def shared_groups(splits: dict[str, pd.DataFrame]) -> dict[str, int]:
    """Count the groups that two splits share, such as {"groups_in_train_and_test": 3}; no key if none."""
    groups = {name: set(splits[name]["group"]) for name in SPLITS if "group" in splits[name]}
    counts = {}
    for one, other in combinations(groups, 2):
        shared = groups[one] & groups[other]
        if shared:
            counts[f"groups_in_{one}_and_{other}"] = len(shared)
    return counts


def without_evaluated(
    splits: Iterable[pd.DataFrame], also_test: Mapping[str, pd.DataFrame]
) -> tuple[list[pd.DataFrame], dict[str, int]]:
    """Drop reviews whose text occurs in an evaluation set beside the test split.

    Args:
        splits: the reviews to train and validate on, the training reviews first.
        also_test: the reviews of these sets, by name. A review that occurs in two counts for the first.

    Returns:
        The rest of each split, and the number of reviews dropped by set.

    Raises:
        InputError: a set contains all training reviews.
    """
    rest, counts = list(splits), {}
    for name, evaluated in also_test.items():
        before = sum(map(len, rest))
        had_training_reviews = not rest[0].empty
        rest = [rows[~rows["text"].isin(evaluated["text"])] for rows in rest]
        if had_training_reviews and rest[0].empty:
            raise InputError(
                f"params.yaml: also_test: data/{name} contains every training review; "
                "an evaluation set has reviews that training does not use"
            )
        counts[name] = before - sum(map(len, rest))
    return rest, counts


def without_leaks(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop training rows whose text occurs in `test`, and duplicates; return the rest and counts by reason.

    The first of identical texts is kept; if their labels differ, none is.
    """
    leaked = train["text"].isin(test["text"])
    rest = train[~leaked]
    contradictory = rest.groupby("text")["label"].transform("nunique") > 1
    repeated = ~contradictory & rest.duplicated("text")
    counts = {
        "leaked_dropped": int(leaked.sum()),
        "contradictory_dropped": int(contradictory.sum()),
        "duplicates_dropped": int(repeated.sum()),
    }
    return rest[~contradictory & ~repeated], counts


def without_labelled(
    unlabelled: pd.DataFrame, splits: dict[str, pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop unlabelled reviews whose text occurs in a split with labels, and duplicates.

    If reviews have groups, those of groups in test or validation are dropped too. Returns the rest, and
    counts by reason; no counts if there are no unlabelled reviews.
    """
    if unlabelled.empty:
        return unlabelled, {}
    counts = {}
    for name in ("test", "validation", "train"):
        leaked = unlabelled["text"].isin(splits[name]["text"])
        if "group" in unlabelled and name != "train":
            leaked |= unlabelled["group"].isin(splits[name]["group"])
        counts[f"unlabelled_in_{name}_dropped"] = int(leaked.sum())
        unlabelled = unlabelled[~leaked]
    repeated = unlabelled.duplicated("text")
    counts["unlabelled_duplicates_dropped"] = int(repeated.sum())
    return unlabelled[~repeated], counts


def in_place_of_labelled(
    unlabelled: pd.DataFrame, params: PrepareParams, needs_validation: bool
) -> pd.DataFrame:
    """Choose the unlabelled reviews to train and validate on, if there are no labelled training reviews.

    Args:
        unlabelled: the result of `without_labelled`.
        params: of prepare. They apply to these reviews as they otherwise do to labelled ones.
        needs_validation: whether some are held out for validation; each group stays on one side.

    Returns:
        The reviews, with the column `held_out`: whether a review is for validation.

    Raises:
        InputError: there are too few reviews or groups.
    """
    held = pd.Series(data=False, index=unlabelled.index)
    if needs_validation:
        unit = unlabelled["group" if "group" in unlabelled else "id"]
        units = unit.drop_duplicates()
        count = max(1, round(params.validation_size * len(units)))
        if count >= len(units):
            raise InputError(
                f"params.yaml: validation_size: {len(unlabelled)} unlabelled reviews are too few to hold out "
                f"{params.validation_size:.0%}"
            )
        held = unit.isin(units.sample(count, random_state=params.split_seed))
    train = unlabelled[~held]
    if params.max_train_reviews is not None and params.max_train_reviews < len(train):
        train = train.sample(params.max_train_reviews, random_state=params.split_seed)
    used = held | held.index.isin(train.index)
    return unlabelled.assign(held_out=held)[used]


def held_out(
    rows: pd.DataFrame, share: float, seed: int, key: str = "params.yaml: validation_size"
) -> pd.Series:
    """A mask that holds out about `share` of the rows, stratified by class, and keeps each group on one side.

    `key` is the parameter that sets the share, for errors.

    Raises:
        InputError: there are too few reviews or groups for both classes on both sides.
    """
    # Late: this takes as long as all else, and a dataset with a fault is refused without it.
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split

    fault = f"{key}: {len(rows)} training reviews are too few to hold out {share:.0%}"
    try:
        if "group" not in rows:
            _, held = train_test_split(rows.index, test_size=share, stratify=rows["label"], random_state=seed)
        else:
            folds = StratifiedGroupKFold(n_splits=max(2, round(1 / share)), shuffle=True, random_state=seed)
            with warnings.catch_warnings(
                action="ignore"
            ):  # about a class with few rows, which is checked below
                _, positions = next(folds.split(rows, rows["label"], rows["group"]))
            held = rows.index[positions]
    except (ValueError, OverflowError) as error:
        raise InputError(f"{fault}: {reason(error)}") from None
    mask = pd.Series(rows.index.isin(held), index=rows.index)
    if min(rows.loc[mask, "label"].nunique(), rows.loc[~mask, "label"].nunique()) < len(LABELS):
        raise InputError(f"{fault} with both classes")
    return mask
