"""Evaluation sets beside the test split: which are accepted, and one line for each fault."""

from pathlib import Path

import pandas as pd
import pytest

from sentiment.data import also_test, splits
from sentiment.errors import InputError

BOTH = "text,label\nA calm and clever film.,positive\nA dull and clumsy film.,negative\n"


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets in the working directory: `mine` to train on, and some evaluation sets."""
    monkeypatch.chdir(tmp_path)
    sets = {
        "mine": ("files: {train: reviews.csv}\ntest_size: 0.5", BOTH),
        "hard": ("files: {test: reviews.csv}", BOTH),
        "one_class": ("files: {test: reviews.csv}", BOTH.replace("negative", "positive")),
        "training_only": ("files: {train: reviews.csv}", BOTH),
        "test": ("files: {test: reviews.csv}", BOTH),
    }
    for name, (source, reviews) in sets.items():
        folder = Path("data", name)
        folder.mkdir(parents=True)
        (folder / "dataset.yaml").write_text(source)
        (folder / "reviews.csv").write_text(reviews)


def checked_and_loaded(name: str, trained_on: str) -> pd.DataFrame:
    """What the stages check and also_test do with a name."""
    also_test.check_names([name], trained_on)
    return also_test.load(name)


def fault(name: str, trained_on: str = "mine") -> str:
    with pytest.raises(InputError) as refused:
        checked_and_loaded(name, trained_on)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_corrections_of_a_set_are_beside_its_labels() -> None:
    Path("data/hard/dataset.yaml").write_text("files: {test: reviews.csv}\ncorrections: mine.csv")
    Path("data/hard/mine.csv").write_text("id,verdict\ntest-2,flip\n")
    reviews = checked_and_loaded("hard", "mine")
    assert reviews["label"].tolist() == [1, 0]
    assert reviews["corrected_label"].tolist() == [1, 1]


def test_a_set_has_the_columns_of_a_test_split() -> None:
    also_test.check_names(["hard"], "mine")
    reviews = also_test.load("hard")
    assert reviews["id"].tolist() == ["test-1", "test-2"]
    assert reviews["label"].tolist() == [1, 0]


def test_sets_that_cannot_be_evaluated_are_refused() -> None:
    assert fault("nosuch").startswith("params.yaml: also_test: no data/nosuch/dataset.yaml; allowed: hard, ")
    assert fault("one_class") == ("data/one_class: every test review is POSITIVE; both classes are needed")
    assert fault("training_only") == "data/training_only: there are no test reviews"
    assert fault("test") == "params.yaml: also_test: 'test' has another meaning; rename data/test"
    assert fault("hard", trained_on="hard") == (
        "params.yaml: also_test: 'hard' is the dataset itself, whose test split is always evaluated; "
        "name another dataset"
    )
    assert fault("mine", trained_on="hard") == (
        "params.yaml: also_test: data/mine has no test split of its own; "
        "files: {test: file} in data/mine/dataset.yaml names one, instead of test_size"
    )


def test_the_training_data_itself_is_refused_and_reviews_in_a_set_are_dropped() -> None:
    train = pd.DataFrame({"text": ["a", "b", "c"], "label": [0, 1, 0]})
    unlabelled = pd.DataFrame({"text": ["b", "d"]})
    sets = {"hard": pd.DataFrame({"text": ["b", "x"]}), "easy": pd.DataFrame({"text": ["b", "c"]})}
    (rest, others), counts = splits.without_evaluated([train, unlabelled], sets)
    assert rest["text"].tolist() == ["a"]
    assert others["text"].tolist() == ["d"]
    assert counts == {"hard": 2, "easy": 1}
    with pytest.raises(InputError, match="also_test: data/copy contains every training review; "):
        splits.without_evaluated([train, unlabelled], {"copy": train})


def test_files_of_other_sets_are_removed() -> None:
    also_test.FOLDER.mkdir()
    for name in ("hard", "easy"):
        also_test.path(name).touch()
    also_test.remove_others(["easy"])
    assert list(also_test.FOLDER.iterdir()) == [also_test.path("easy")]
