"""Splits: no leaks into the test split, no group in two splits, and both classes in every split."""

import pandas as pd
import pytest

from sentiment import sampling
from sentiment.data import splits
from sentiment.errors import InputError
from sentiment.params import PrepareParams


def frame(*rows: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["text", "label"])


def test_leaks_duplicates_and_contradictions_are_dropped_from_training_only() -> None:
    train = frame(("a", 1), ("a", 1), ("b", 0), ("c", 1), ("c", 0), ("d", 1))
    test = frame(("b", 0), ("b", 0), ("e", 1))
    kept, dropped = splits.without_leaks(train, test)
    assert kept["text"].tolist() == ["a", "d"]
    assert dropped == {
        "leaked_dropped": 1,
        "contradictory_dropped": 2,
        "duplicates_dropped": 1,
    }


def test_an_unlabelled_review_occurs_once_and_in_no_other_split() -> None:
    kept = {
        "test": frame(("a", 1)).assign(group="x"),
        "validation": frame(("b", 0)).assign(group="y"),
        "train": frame(("c", 0)).assign(group="z"),
    }
    unlabelled = pd.DataFrame({"text": list("abcddefg"), "group": list("wwwwwxyz")})
    rest, dropped = splits.without_labelled(unlabelled, kept)
    assert rest["text"].tolist() == ["d", "g"]
    assert dropped == {
        "unlabelled_in_test_dropped": 2,
        "unlabelled_in_validation_dropped": 2,
        "unlabelled_in_train_dropped": 1,
        "unlabelled_duplicates_dropped": 1,
    }
    assert splits.without_labelled(unlabelled.head(0), kept)[1] == {}


def params(most: int | None = None, seed: int = 0) -> PrepareParams:
    return PrepareParams(
        dataset="mine", validation_size=0.2, max_train_reviews=most, split_seed=seed, also_test=[]
    )


def without_labels(most: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Unlabelled reviews of ten films, as they are prepared with these parameters."""
    rows = pd.DataFrame({"id": [f"unlabelled-{number}" for number in range(40)]})
    rows["group"] = rows.index // 4
    return splits.in_place_of_labelled(rows[2:], params(most, seed), needs_validation=True)


def test_without_labels_some_of_the_unlabelled_reviews_validate() -> None:
    rows = without_labels()
    assert not set(rows["group"][rows["held_out"]]) & set(rows["group"][~rows["held_out"]])
    assert rows["group"][rows["held_out"]].nunique() == 2
    assert rows.equals(without_labels())
    assert not rows["held_out"].equals(without_labels(seed=1)["held_out"])
    capped = without_labels(most=10)
    assert (~capped["held_out"]).sum() == 10
    assert rows[rows["held_out"]].equals(capped[capped["held_out"]])
    assert capped.index.is_monotonic_increasing
    one = rows.head(1).drop(columns=["group", "held_out"])
    with pytest.raises(InputError, match="validation_size: 1 unlabelled reviews are too few to hold out 20%"):
        splits.in_place_of_labelled(one, params(), needs_validation=True)


def test_held_out_is_stratified_and_keeps_groups_together() -> None:
    rows = pd.DataFrame({"label": [0, 1] * 100, "group": [number // 5 for number in range(200)]})
    mask = splits.held_out(rows, 0.2, seed=0)
    assert not set(rows["group"][mask]) & set(rows["group"][~mask])
    assert 30 <= mask.sum() <= 50
    assert mask.equals(splits.held_out(rows, 0.2, seed=0))
    plain = splits.held_out(rows.drop(columns="group"), 0.2, seed=0)
    assert plain.sum() == 40
    assert rows["label"][plain].mean() == 0.5


def test_groups_in_several_splits_of_the_data_are_counted() -> None:
    films = {
        "train": ["a", "b", "c"],
        "validation": ["c", "d"],
        "test": ["a", "a", "b", "e"],
        "unlabelled": ["a"],
    }
    prepared = {name: pd.DataFrame({"group": group}) for name, group in films.items()}
    assert splits.shared_groups(prepared) == {
        "groups_in_train_and_validation": 1,
        "groups_in_train_and_test": 2,
    }
    assert splits.shared_groups({name: rows.drop(columns="group") for name, rows in prepared.items()}) == {}


@pytest.mark.parametrize("columns", [["label"], ["label", "group"]])
def test_too_few_reviews_to_hold_some_out(columns: list[str]) -> None:
    rows = pd.DataFrame({"label": [0, 1], "group": ["a", "b"]})[columns]
    with pytest.raises(InputError, match="2 training reviews are too few to hold out 50%"):
        splits.held_out(rows, 0.5, seed=0)


def test_a_cap_is_stratified_and_seeded() -> None:
    rows = pd.DataFrame({"label": [0, 1] * 50})
    kept = sampling.capped(rows, 10, seed=1)
    assert kept["label"].sum() == 5
    assert (
        kept.index.tolist()
        == sampling.capped(rows, 10, seed=1).index.tolist()
        != sampling.capped(rows, 10, seed=2).index.tolist()
    )


def test_too_few_reviews_of_a_class_to_draw_some() -> None:
    rows = pd.DataFrame({"label": [0] * 99 + [1]})
    with pytest.raises(
        InputError,
        match="max_train_reviews: cannot draw 50 of 100 reviews, stratified by class: ValueError",
    ):
        sampling.capped(rows, 50, seed=0)
    with pytest.raises(
        InputError,
        match="max_train_reviews: cannot draw 1 of 2 reviews, stratified by class: all would be of",
    ):
        sampling.capped(rows.tail(2), 1, seed=0)
