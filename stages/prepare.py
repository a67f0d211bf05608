"""Turn the dataset that params.yaml names into data/prepared/{train,validation,test}.parquet.

No review of the test split is dropped or changed in place; whatever would leak into it is dropped from training.
"""

import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from stages import errors, outputs, parameters, reviews
from stages.errors import InputError
from stages.labels import LABELS


def main() -> None:
    """Prepare the dataset and write metrics/data.json."""
    params = parameters.load(parameters.PrepareParams)
    source, rows = reviews.load(params.dataset)
    if source.test_size is not None:
        test = held_out(rows, source.test_size, params.split_seed)
        rows.loc[test, "split"] = "test"
    test = rows[rows["split"] == "test"]
    train, dropped = without_leaks(rows[rows["split"] == "train"], test)
    validation = held_out(train, params.validation_size, params.split_seed)
    splits = {"train": train[~validation], "validation": train[validation], "test": test}
    splits["train"] = reviews.capped(splits["train"], params.max_train_reviews, params.split_seed)

    with outputs.whole("data/prepared") as folder:
        folder.mkdir()
        for name, split in splits.items():
            split.drop(columns="split").to_parquet(folder / f"{name}.parquet", index=False)
    outputs.write_json("metrics/data.json", summary(splits) | dropped)
    print(", ".join(f"{name} {len(split):,}" for name, split in splits.items()), "reviews in data/prepared/")


def without_leaks(train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Training rows whose text is not in the test split and stands there once, and the counts of what was dropped.

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


def held_out(rows: pd.DataFrame, share: float, seed: int) -> pd.Series:
    """A mask over `rows` that holds out about `share` of them, both classes alike, no group on both sides.

    Raises:
        InputError: there are too few reviews, or too few groups, to have both classes on both sides.
    """
    try:
        if "group" not in rows:
            _, chosen = train_test_split(rows.index, test_size=share, stratify=rows["label"], random_state=seed)
        else:
            folds = StratifiedGroupKFold(n_splits=max(2, round(1 / share)), shuffle=True, random_state=seed)
            _, positions = next(folds.split(rows, rows["label"], rows["group"]))
            chosen = rows.index[positions]
    except ValueError as error:
        raise InputError(f"{len(rows)} training reviews are too few to hold out {share:.0%}: {error}") from None
    mask = pd.Series(rows.index.isin(chosen), index=rows.index)
    if rows.groupby(mask)["label"].nunique().reindex([False, True], fill_value=0).min() < len(LABELS):
        raise InputError(f"{len(rows)} training reviews are too few to hold out {share:.0%} with both classes")
    return mask


def summary(splits: dict[str, pd.DataFrame]) -> dict[str, object]:
    """Rows, share of positive reviews, and words a review (median, 95th percentile), for each split."""
    words = {name: pd.Series([len(text.split()) for text in split["text"]]) for name, split in splits.items()}
    return {
        "rows": {name: len(split) for name, split in splits.items()},
        "positive_share": {name: float(split["label"].mean()) for name, split in splits.items()},
        "words_median": {name: float(count.median()) for name, count in words.items()},
        "words_p95": {name: float(count.quantile(0.95)) for name, count in words.items()},
    }


if __name__ == "__main__":
    errors.run(main)
