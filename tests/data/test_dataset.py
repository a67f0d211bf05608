"""Datasets: every format is read, and every fault is named with its place."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from sentiment.data import dataset, schema
from sentiment.errors import InputError
from tests.conftest import ROOT

ROWS = [
    ("A fine film.", "positive", "train"),
    ("Dull &amp; slow.<br /><br />Avoid.", "negative", "train"),
    ("I   loved\tit", "Pos", "test"),
    ("Cafe\u0301 scenes drag", "0", "test"),
]
Make = Callable[..., None]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Write data/mine/ with a dataset.yaml and files; the working directory is above it."""
    monkeypatch.chdir(tmp_path)
    Path("data/mine").mkdir(parents=True)

    def write(source: str = "files: reviews.csv", **files: str | bytes) -> None:
        Path("data/mine/dataset.yaml").write_text(source)
        for name, content in files.items():
            path = Path("data/mine") / name.replace("_", ".")
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def csv(rows: Sequence[tuple[str, ...]] = ROWS, header: str = "text,label,split") -> str:
    return pd.DataFrame(rows, columns=header.split(",")).to_csv(index=False)


def fault(name: str = "mine") -> str:
    with pytest.raises(InputError) as refused:
        dataset.load(name)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_csv_is_read_and_normalised(make: Make) -> None:
    make(reviews_csv=b"\xef\xbb\xbf" + csv().encode())  # with a byte order mark, as spreadsheets write it
    rows = dataset.load("mine").reviews
    assert rows["id"].tolist() == ["train-1", "train-2", "test-1", "test-2"]
    assert rows["text"].tolist() == [
        "A fine film.",
        "Dull & slow. Avoid.",
        "I loved it",
        "Caf\u00e9 scenes drag",
    ]
    assert rows["label"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_formats_give_the_same(make: Make, kind: str) -> None:
    frame = pd.DataFrame(ROWS, columns=["text", "label", "split"])
    make(reviews_csv=csv())
    expected = dataset.load("mine")[1]
    make(f"files: reviews.{kind}", reviews_jsonl=frame.to_json(orient="records", lines=True))
    frame.to_parquet("data/mine/reviews.parquet")
    pd.testing.assert_frame_equal(dataset.load("mine")[1], expected)


def test_one_file_a_split_with_columns_of_other_names(make: Make) -> None:
    make(
        "files: {train: a.csv, test: b.csv}\ntext: body\nlabel: stars\nlabels: "
        "{negative: [1, 2], positive: [4, 5]}",
        a_csv="body,stars\ngood,5\nbad,1\n",
        b_csv="body,stars\nnice,4\nawful,2\n",
    )
    assert dataset.load("mine")[1]["label"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("text,label\nx,1\n", "no column 'split'; it has: text, label"),
        (
            csv([*ROWS, ("x", "meh", "train")]),
            "row 5: label 'meh' is not allowed; allowed: 0, false, neg, negative, 1, ",
        ),
        (
            csv([*ROWS, ("x", "1", "holdout")]),
            "row 5: split 'holdout' is not allowed; allowed: train, validation, test; `splits: ",
        ),
    ],
)
def test_a_fault_that_only_training_has_is_named_with_its_row(make: Make, content: str, error: str) -> None:
    make(reviews_csv=content)
    assert fault().startswith(f"data/mine/reviews.csv: {error}")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("", "data/mine/dataset.yaml: contains NoneType"),
        ("file: reviews.csv", "data/mine/dataset.yaml: unknown key 'file' (did you mean 'files'?)"),
        ("description: x", "data/mine/dataset.yaml: needs either hub (with revision) or files"),
        ("hub: a/b", "data/mine/dataset.yaml: hub needs a revision"),
        (
            "hub: a/b\nrevision: main",
            "data/mine/dataset.yaml: revision: 'main' is not allowed; allowed: a commit",
        ),
        ("files: none.csv", "data/mine/none.csv: no such file"),
        (
            "files: dataset.yaml",
            "data/mine/dataset.yaml: unknown format '.yaml'; allowed: .csv, .tsv, .json, .jsonl, .ndjson, ",
        ),
        (
            "files: ../../secret.csv",
            "data/mine/dataset.yaml: files: '../../secret.csv' lies outside data/mine",
        ),
        ("files: reviews.csv\ngroup: film", "data/mine/reviews.csv: no column 'film'"),
        ("files: reviews.csv\nrows: {train: 3}", "data/mine: train has 2 rows; dataset.yaml says 3"),
        (
            "files: reviews.csv\ntext_bytes: {test: 3}",
            "data/mine: test has 30 text_bytes; dataset.yaml says 3",
        ),
    ],
)
def test_a_fault_in_dataset_yaml_is_named(make: Make, source: str, error: str) -> None:
    make(source, reviews_csv=csv())
    assert fault().startswith(error)


def test_unlabelled_reviews_are_a_split_of_the_same_pass(make: Make) -> None:
    rows = [*ROWS, ("Well.", "unsup", "train"), ("", "unsup", "train")]
    source = "files: reviews.csv\nunlabelled: more.csv\nlabels: {unlabelled: [unsup]}\nempty_text: ignore\n"
    make(source, reviews_csv=csv(rows), more_csv="text\nSo.\n")
    read = dataset.load("mine")
    assert read.unlabelled.to_dict("list") == {
        "id": ["unlabelled-1", "unlabelled-2"],
        "text": ["So.", "Well."],
    }
    assert len(read.reviews) == 4
    assert read.without_text == 1


def test_an_unknown_dataset_lists_those_there_are(make: Make) -> None:
    make(reviews_csv=csv())
    assert (
        fault("yours")
        == "params.yaml: dataset: no data/yours/dataset.yaml; allowed: mine, or a new folder with one"
    )


def test_the_challenge_is_for_evaluation_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert fault("challenge") == "data/challenge: there are no train reviews"
    challenge = dataset.load("challenge", needed=["test"]).reviews
    sample = dataset.load("sample").reviews
    assert len(challenge) == 1024
    assert not set(challenge["text"]) & set(sample["text"])


def test_the_sample_is_what_it_says_and_no_film_straddles_its_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    rows = dataset.load("sample").reviews
    films = rows.groupby("split")["group"].agg(set)
    assert len(rows) == 1680
    assert len(films["train"] | films["test"]) == 334
    assert not films["train"] & films["test"]


ONLY_TEST = "files: {test: test.csv}\nunlabelled: more.csv\n"


@pytest.mark.parametrize(
    ("source", "labels_training", "labels_validation"),
    [
        ("files: reviews.csv\n", True, True),
        ("files: reviews.csv\nunlabelled: more.csv\n", True, True),
        ("files: reviews.csv\nsplits: {test: test}\n", True, True),  # nothing could be trained on
        ("files: reviews.csv\nsplits: {validation: dev}\ntest_size: 0.2\nunlabelled: more.csv\n", True, True),
        (ONLY_TEST, False, False),
        ("files: reviews.csv\nsplits: {test: test}\nlabels: {unlabelled: [unsup]}\n", False, False),
        ("files: {validation: dev.csv, test: test.csv}\nunlabelled: more.csv\n", False, True),
    ],
)
def test_dataset_yaml_says_whether_training_reviews_have_labels(
    make: Make, source: str, labels_training: bool, labels_validation: bool
) -> None:
    make(source)
    read = schema.read_source("mine")
    assert (read.labels_training, read.labels_validation) == (labels_training, labels_validation)


def test_without_labelled_training_reviews_teachers_are_needed_that_need_none(make: Make) -> None:
    make(ONLY_TEST)
    source = schema.read_source("mine")
    schema.check_teachers(source, "mine", [1], 0)
    with pytest.raises(InputError, match="teachers: data/mine/dataset.yaml names no labelled training"):
        schema.check_teachers(source, "mine", [], 0)
    with pytest.raises(InputError, match="teacher_epochs: 2 is not allowed: .* allowed: 0, which uses"):
        schema.check_teachers(source, "mine", [1], 2)
    make("files: reviews.csv")
    schema.check_teachers(schema.read_source("mine"), "mine", [], 2)
