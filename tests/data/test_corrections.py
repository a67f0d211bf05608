"""Corrections: verdicts are applied to training reviews, never to test labels; one line for each fault."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sentiment.data import corrections, dataset, splits
from sentiment.errors import InputError
from sentiment.params import PrepareParams

# Texts by label; in train, one text occurs twice, and another with both labels.
TRAIN = [(f"A calm film number {number}.", "positive") for number in range(20)]
TRAIN += [(f"A dull film number {number}.", "negative") for number in range(20)]
TRAIN += [("Twice.", "positive"), ("Twice.", "positive"), ("Both.", "positive"), ("Both.", "negative")]
TEST = [(f"Clever scene {number}.", "positive") for number in range(4)]
TEST += [(f"Clumsy scene {number}.", "negative") for number in range(4)]
SOURCE = "files: {train: train.csv, test: test.csv}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a dataset that names no corrections yet."""
    monkeypatch.chdir(tmp_path)
    folder = Path("data/mine")
    folder.mkdir(parents=True)
    for name, rows in {"train": TRAIN, "test": TEST}.items():
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / f"{name}.csv", index=False)
    (folder / "dataset.yaml").write_text(SOURCE)
    return folder


def decide(folder: Path, content: str) -> None:
    """Write corrections.csv, and name it in dataset.yaml."""
    (folder / "corrections.csv").write_text(content)
    (folder / "dataset.yaml").write_text(SOURCE + "corrections: corrections.csv\n")


def prepared() -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """The splits, and the counts of metrics/data.json."""
    params = PrepareParams(
        dataset="mine", validation_size=0.2, max_train_reviews=None, split_seed=0, also_test=[]
    )
    frames, counts, _ = splits.split_dataset(params, {})
    return frames, counts


def test_verdicts_change_train_and_validation_but_not_which_review_is_where(folder: Path) -> None:
    before, _ = prepared()
    in_validation = before["validation"]["id"].iloc[0]
    in_train, dropped = before["train"]["id"].iloc[0], before["train"]["id"].iloc[1]
    decide(folder, f"id,verdict\n{in_validation},flip\n{in_train},FLIP\n{dropped},drop\ntrain-43,flip\n")
    after, counts = prepared()
    assert counts["corrections"] == {
        "train": {"keep": 0, "flip": 2, "drop": 1},
        "validation": {"keep": 0, "flip": 1, "drop": 0},
        "test": {"keep": 0, "flip": 0, "drop": 0},
    }
    assert after["validation"]["id"].tolist() == before["validation"]["id"].tolist()
    # The flip of train-43 leaves two reviews with one text and one label, of which the first is kept.
    assert set(after["train"]["id"]) == set(before["train"]["id"]) - {dropped} | {"train-43"}
    assert counts["contradictory_dropped"] == 0
    for split, flipped in {"train": in_train, "validation": in_validation}.items():
        old, new = (frames[split].set_index("id")["label"] for frames in (before, after))
        common = old.index.intersection(new.index)
        assert old[common].index[old[common] != new[common]].tolist() == [flipped]
    assert list(after["train"].columns) == list(before["train"].columns)
    pd.testing.assert_frame_equal(after["test"], before["test"])


def test_a_verdict_covers_the_same_text_with_the_same_label(folder: Path) -> None:
    decide(folder, "id,verdict\ntrain-41,drop\n")
    frames, counts = prepared()
    assert "Twice." not in [*frames["train"]["text"], *frames["validation"]["text"]]
    assert counts["duplicates_dropped"] == 0


def test_test_labels_stay_and_corrected_ones_are_beside_them(folder: Path) -> None:
    original = prepared()[0]["test"]
    decide(folder, "id;verdict;who\ntest-1;flip;Ann\ntest-2;drop;Ann\ntest-5;keep;Ann\ntest-5;keep;Bob\n")
    test = prepared()[0]["test"]
    pd.testing.assert_frame_equal(test[original.columns], original)
    assert test["corrected_label"].tolist() == [0, pd.NA, 1, 1, 0, 0, 0, 0]
    assert test["verdict"].dropna().to_dict() == {
        test.index[0]: "flip",
        test.index[1]: "drop",
        test.index[4]: "keep",
    }


def test_the_hash_of_a_text_notices_a_change(folder: Path) -> None:
    text = TEST[0][0]
    decide(folder, f"id,verdict,text_hash\ntest-1,flip,{corrections.text_hash(text)}\ntest-2,flip,\n")
    assert dataset.load("mine").reviews["verdict"].notna().sum() == 2
    changed = pd.DataFrame([(text + " Or not.", "positive"), *TEST[1:]], columns=["text", "label"])
    changed.to_csv(folder / "test.csv", index=False)
    with pytest.raises(
        InputError, match=r"^data/mine/corrections.csv: row 1: the text of test-1 has changed"
    ):
        dataset.load("mine")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            "id,verdict\ntest-1,flip\ntest-99,keep\n",
            "row 2: there is no review 'test-99' with a label; allow",
        ),
        ("id,verdict\ntest-1,skip\n", "row 1: verdict 'skip' is not allowed; allowed: keep, flip, drop"),
        ("id,verdict\ntest-1,\n", "row 1: verdict '' is not allowed; allowed: keep, flip, drop"),
        (
            "id,verdict\ntest-1,flip\ntest-2,keep\ntest-1,keep\n",
            "row 3: the verdict on 'test-1' is keep, but flip in row 1; remove one of the two rows",
        ),
        ("id,verdict\n,flip\n", "row 1: the id is missing"),
        ("id,verdict\ntest-1,flip,x\n", "row 1: has 3 fields, the header 2"),
        ("id,label\ntest-1,1\n", "no column 'verdict'; it has: id, label"),
        ("", "is empty"),
        (None, "no such file"),
    ],
)
def test_a_fault_is_one_line(folder: Path, content: str | None, error: str) -> None:
    decide(folder, content or "")
    if content is None:
        (folder / "corrections.csv").unlink()
    with pytest.raises(InputError) as refused:
        dataset.load("mine")
    assert str(refused.value).startswith(f"data/mine/corrections.csv: {error}")
    assert "\n" not in str(refused.value)


def test_a_file_without_verdicts_changes_nothing(folder: Path) -> None:
    before, _ = prepared()
    decide(folder, "id,verdict,text_hash\n")
    after, _ = prepared()
    for name, rows in before.items():
        pd.testing.assert_frame_equal(after[name], rows)


def test_the_file_lies_in_the_folder_and_is_not_read_as_reviews(folder: Path) -> None:
    (folder / "dataset.yaml").write_text(SOURCE + "corrections: ../corrections.csv\n")
    with pytest.raises(InputError, match=r"corrections: '../corrections.csv' lies outside the folder"):
        dataset.load("mine")
    (folder / "train.csv").rename(folder / "reviews.csv")
    (folder / "test.csv").unlink()
    (folder / "corrections.csv").write_text("id,verdict\ntrain-1,flip\n")
    (folder / "dataset.yaml").write_text("files: '*.csv'\ntest_size: 0.2\ncorrections: corrections.csv\n")
    assert len(dataset.load("mine").reviews) == len(TRAIN)
