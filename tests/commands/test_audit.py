"""`sentiment audit`: suspects on screen and in data/<name>/suspects.csv."""

from pathlib import Path

import pandas as pd
import pytest

from sentiment.commands.audit import near_duplicates, summary
from sentiment.commands.audit.suspects import COLUMNS, contradictions, find_suspects
from sentiment.errors import InputError
from tests.conftest import ROOT, Clone

FLIPPED = 12


def write_dataset(rows: pd.DataFrame, keys: str = "") -> None:
    """Write data/mine/ in the working directory."""
    folder = Path("data/mine")
    folder.mkdir(parents=True)
    rows.to_csv(folder / "reviews.csv", index=False)
    (folder / "dataset.yaml").write_text(f"files: reviews.csv\n{keys}")


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    return pd.read_csv(ROOT / "data/sample/reviews.csv")


def test_wrong_labels_are_the_most_suspect(sample: pd.DataFrame) -> None:
    other = {"positive": "negative", "negative": "positive"}
    flipped = sample[sample["split"] == "train"].sample(FLIPPED, random_state=0).index
    sample.loc[flipped, "label"] = sample.loc[flipped, "label"].map(other)
    write_dataset(sample, "group: film\n")
    suspects, reviews = find_suspects("mine")
    assert reviews == len(sample)
    assert list(suspects) == COLUMNS
    assert suspects["probability"].is_monotonic_decreasing
    # `row` leads back to the file.
    assert (sample["split"] + sample["label"].str.upper())[suspects["row"] - 1].tolist() == (
        suspects["split"] + suspects["label"]
    ).tolist()
    found = set(suspects["row"].head(2 * FLIPPED) - 1) & set(flipped)
    assert len(found) >= FLIPPED * 3 / 4


def test_reviews_that_leak_between_splits_are_suspects(sample: pd.DataFrame) -> None:
    train = sample[sample["split"] == "train"]
    test = sample[sample["split"] == "test"]
    copied = test.iloc[:4].assign(split="train", film="Another film")
    copied.loc[copied.index[0], "text"] = copied["text"].iloc[0].upper()
    copied.loc[copied.index[1], "text"] = f"Well. {copied['text'].iloc[1]}"
    copied.loc[copied.index[2], "label"] = {"positive": "negative", "negative": "positive"}[
        copied["label"].iloc[2]
    ]
    first = train.head(300).copy()
    first.loc[first.index[0], "film"] = test["film"].iloc[5]  # a film of the test split
    write_dataset(pd.concat([first, copied, test]), "group: film\n")
    suspects = find_suspects("mine")[0].set_index("id")
    near = suspects[suspects["reason"] == "near-duplicate"]["related"].to_dict()
    labelled = suspects[suspects["reason"] == "label"].index
    expected = {"train-301": "test-1", "train-302": "test-2"}
    assert near == {id: other for id, other in expected.items() if id not in labelled}
    # An exact copy is not a near-duplicate, because prepare drops it; with another label it contradicts.
    assert suspects.loc["train-303", ["reason", "related"]].tolist() == ["contradiction", "test-3"]
    assert suspects.loc["test-3", ["reason", "related"]].tolist() == ["contradiction", "train-303"]
    assert "train-304" not in near
    assert "train-1" in suspects.index


def test_near_duplicates_share_most_of_their_words() -> None:
    text = "It rained all week and we went to see this twice, because the children asked for it."
    copies = {
        "train-1": text.upper(),
        "train-2": text.replace("twice", "twice or even more"),
        "train-3": text,
        "train-4": "We went to see this twice. " * 3,
        "train-5": "A dull film.",
        "train-6": "!",
    }
    rows = [
        ("test-1", "test", text),
        ("test-2", "test", "!?"),
        *((id, "train", t) for id, t in copies.items()),
    ]
    reviews = pd.DataFrame(rows, columns=["id", "split", "text"])
    done: list[float] = []
    found = near_duplicates.across_splits(reviews, done.append)
    assert found == {"train-1": "test-1", "train-2": "test-1"}
    assert sum(done) == len(reviews)


def test_contradictions_name_each_other() -> None:
    reviews = pd.DataFrame(
        {
            "id": ["train-1", "train-2", "train-3", "test-1"],
            "text": ["Fine.", "Fine.", "Dull.", "Fine."],
            "label": [1, 0, 0, 1],
        }
    )
    assert contradictions(reviews) == {
        "train-1": "train-2",
        "train-2": "train-1 test-1",
        "test-1": "train-2",
    }


def test_too_few_groups_are_refused(sample: pd.DataFrame) -> None:
    write_dataset(sample.assign(film=sample["split"]), "group: film\n")
    with pytest.raises(InputError, match=r"^data/mine: 1 groups of training reviews are too few"):
        find_suspects("mine")


def test_an_audit_changes_no_stage_and_shows_ten_suspects(copy: Clone) -> None:
    command = "sentiment audit 2>/dev/null"  # without the time left
    output = copy.run(command, COLUMNS="80")
    assert "suspects among" in output
    assert "models that did not learn from the review expect the other label" in output
    written = pd.read_csv(copy.folder / "data/sample/suspects.csv")
    assert list(written) == COLUMNS
    assert max(map(len, output.splitlines())) <= 110
    assert copy.run(command, COLUMNS="80") == output
    assert pd.read_csv(copy.folder / "data/sample/suspects.csv").equals(written)
    assert "up to date" in copy.run("dvc status")
    assert copy.run("git status --porcelain") == ""


def test_no_suspects_are_reported_in_one_line() -> None:
    nothing = pd.DataFrame(columns=COLUMNS)
    assert summary(nothing, 20, Path("suspects.csv")) == "no suspects among 20 reviews; suspects.csv is empty"
