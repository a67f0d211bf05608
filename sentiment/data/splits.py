"""Training, validation and test split of a dataset, and its reviews without labels.

No review of the test split is dropped or changed in place; whatever would leak into it is dropped from training and
validation, and what would leak into a validation split that the dataset has, from training. Of reviews without labels,
all that stand in another split are dropped.
"""

import warnings
from itertools import combinations

import pandas as pd

from sentiment.data import dataset
from sentiment.data.schema import SPLITS
from sentiment.errors import InputError, reason
from sentiment.labels import LABELS
from sentiment.params import PrepareParams
from sentiment.sampling import capped


def split_dataset(params: PrepareParams) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """The rows of `train`, `validation` and `test`, as `dataset.load` has them, those of `unlabelled`, as
    `dataset.load_unlabelled` has them, and the counts of what was dropped.

    A validation split that the dataset has is taken; else one is held out of the training reviews.

    Raises:
        InputError: the dataset has a fault, or too few reviews are left for both classes in every split.
    """
    source, reviews, unlabelled, ignored, without_text = dataset.load(params.dataset)
    folder = f"data/{params.dataset}"
    train, validation, test = (reviews[reviews["split"] == split] for split in SPLITS)
    if source.test_size is not None:
        chosen = held_out(train, source.test_size, params.split_seed, f"{folder}/dataset.yaml: test_size")
        train, test = train[~chosen], train[chosen].assign(split="test")
    if len(validation):
        validation, dropped = without_leaks(validation, test)
        train, more = without_leaks(train, pd.concat([validation, test]))
        dropped = {name: count + more[name] for name, count in dropped.items()}
        dropped["test_duplicates_kept"] = int(test.duplicated("text").sum())
    else:
        train, dropped = without_leaks(train, test)
        chosen = held_out(train, params.validation_size, params.split_seed)
        train, validation = train[~chosen], train[chosen]
    splits = {"train": train, "validation": validation, "test": test}
    for name, kept in splits.items():
        dataset.require_classes(kept["label"], f"{folder}: leaks and duplicates dropped, every {name} review")
    unlabelled, more = without_known(unlabelled, splits)
    if source.empty_text:
        more["without_text_dropped"] = without_text
    splits["train"] = capped(train, params.max_train_reviews, params.split_seed)
    return splits | {"unlabelled": unlabelled}, {**dropped, "ignored_dropped": ignored, **more}


def shared_groups(splits: dict[str, pd.DataFrame]) -> dict[str, int]:
    """How many groups two splits share, for each two that share any, such as {"groups_in_train_and_test": 3}."""
    groups = {name: set(splits[name]["group"]) for name in SPLITS if "group" in splits[name]}
    shared = {
        f"groups_in_{one}_and_{other}": len(groups[one] & groups[other])
        for one, other in combinations(groups, 2)
    }
    return {key: count for key, count in shared.items() if count}


def without_leaks(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows whose text is not in the test split and stands there once, and the counts of what was dropped.

    Of identical texts the first is kept; where they disagree on the label, none is.
    """
    leaked = train["text"].isin(test["text"])
    rest = train[~leaked]
    contradictory = rest.groupby("text")["label"].transform("nunique") > 1
    repeated = ~contradictory & rest.duplicated("text")
    counts = {
        "leaked_dropped": int(leaked.sum()),
        "contradictory_dropped": int(contradictory.sum()),
        "duplicates_dropped": int(repeated.sum()),
        "test_duplicates_kept": int(test.duplicated("text").sum()),
    }
    return rest[~contradictory & ~repeated], counts


def without_known(
    unlabelled: pd.DataFrame, splits: dict[str, pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Unlabelled reviews whose text stands in no split, once each, and the counts of what was dropped, if there are any.

    Where reviews have groups, those of the groups of test and validation are dropped too.
    """
    if unlabelled.empty:
        return unlabelled, {}
    counts = {}
    for name in ("test", "validation", "train"):
        known = unlabelled["text"].isin(splits[name]["text"])
        if "group" in unlabelled and name != "train":
            known |= unlabelled["group"].isin(splits[name]["group"])
        counts[f"unlabelled_in_{name}_dropped"] = int(known.sum())
        unlabelled = unlabelled[~known]
    repeated = unlabelled.duplicated("text")
    return unlabelled[~repeated], {**counts, "unlabelled_duplicates_dropped": int(repeated.sum())}


def held_out(
    rows: pd.DataFrame, share: float, seed: int, key: str = "params.yaml: validation_size"
) -> pd.Series:
    """A mask over `rows` that holds out about `share` of them, both classes alike, no group on both sides.

    `key` is where the share stands, which an error names.

    Raises:
        InputError: there are too few reviews, or too few groups, to have both classes on both sides.
    """
    # Late: it takes as long as all else, and a dataset with a fault is refused without.
    from sklearn.model_selection import StratifiedGroupKFold, train_test_split

    few = f"{key}: {len(rows)} training reviews are too few to hold out {share:.0%}"
    try:
        if "group" not in rows:
            _, chosen = train_test_split(
                rows.index, test_size=share, stratify=rows["label"], random_state=seed
            )
        else:
            folds = StratifiedGroupKFold(n_splits=max(2, round(1 / share)), shuffle=True, random_state=seed)
            with warnings.catch_warnings(action="ignore"):  # of a class with few rows: both are counted below
                _, positions = next(folds.split(rows, rows["label"], rows["group"]))
            chosen = rows.index[positions]
    except (ValueError, OverflowError) as error:
        raise InputError(f"{few}: {reason(error)}") from None
    mask = pd.Series(rows.index.isin(chosen), index=rows.index)
    if rows.groupby(mask)["label"].nunique().reindex([False, True], fill_value=0).min() < len(LABELS):
        raise InputError(f"{few} with both classes")
    return mask
