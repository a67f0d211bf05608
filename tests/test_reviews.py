"""Datasets: every format read, every fault named with its place, and nothing leaks between splits."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from stages import reviews, splits
from stages.errors import InputError
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
    with pytest.raises(InputError) as error:
        reviews.load(name)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_csv_is_read_and_normalised(make: Make) -> None:
    make(reviews_csv=b"\xef\xbb\xbf" + csv().encode())  # with a byte order mark, as spreadsheets write it
    _, rows = reviews.load("mine")
    assert rows["id"].tolist() == ["train-1", "train-2", "test-1", "test-2"]
    assert rows["text"].tolist() == ["A fine film.", "Dull & slow. Avoid.", "I loved it", "Caf\u00e9 scenes drag"]
    assert rows["label"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_formats_give_the_same(make: Make, kind: str) -> None:
    frame = pd.DataFrame(ROWS, columns=["text", "label", "split"])
    make(reviews_csv=csv())
    expected = reviews.load("mine")[1]
    make(f"files: reviews.{kind}", reviews_jsonl=frame.to_json(orient="records", lines=True))
    frame.to_parquet("data/mine/reviews.parquet")
    pd.testing.assert_frame_equal(reviews.load("mine")[1], expected)


def test_one_file_a_split_with_columns_of_other_names(make: Make) -> None:
    make(
        "files: {train: a.csv, test: b.csv}\ntext: body\nlabel: stars\nlabels: {negative: [1, 2], positive: [4, 5]}",
        a_csv="body,stars\ngood,5\nbad,1\n",
        b_csv="body,stars\nnice,4\nawful,2\n",
    )
    assert reviews.load("mine")[1]["label"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text,label\nx,1\n", "data/mine/reviews.csv: no column 'split'; it has: text, label"),
        ("review,label,split\nx,1,train\n", "data/mine/reviews.csv: no column 'text'; it has: review, label, split"),
        (
            csv([*ROWS, ("x", "meh", "train")]),
            "data/mine/reviews.csv: row 5: label 'meh' is not allowed; allowed: 0, false",
        ),
        (
            csv([*ROWS, ("x", "1", "dev")]),
            "data/mine/reviews.csv: row 5: split 'dev' is not allowed; allowed: train, test",
        ),
        (csv([*ROWS, (" <br/> ", "1", "test")]), "data/mine/reviews.csv: row 5: the text is empty"),
        (csv([*ROWS, ("", "1", "test")]), "data/mine/reviews.csv: row 5: the text is empty"),
        (
            csv([row for row in ROWS if row[1] != "Pos"]),
            "data/mine: every test review is NEGATIVE; both classes are needed",
        ),
        (csv([row for row in ROWS if row[2] == "train"]), "data/mine: there are no test reviews"),
        (csv().encode() + b"caf\xe9,1,train\n", "data/mine/reviews.csv: line 6: byte 0xe9 is not UTF-8; only UTF-8"),
        (csv() + "a,b,c,d,e\n", "data/mine/reviews.csv: cannot be read: "),
        ("", "data/mine/reviews.csv: cannot be read: "),
        ("text,label,split\n", "data/mine: there are no train reviews"),
    ],
)
def test_a_fault_in_a_csv_file_is_named_with_its_row(make: Make, content: str | bytes, said: str) -> None:
    make(reviews_csv=content)
    assert fault().startswith(said)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "data/mine/dataset.yaml: holds NoneType"),
        ("file: reviews.csv", "data/mine/dataset.yaml: unknown key 'file' (did you mean 'files'?)"),
        ("description: x", "data/mine/dataset.yaml: needs either hub (with revision) or files"),
        ("hub: a/b", "data/mine/dataset.yaml: hub needs a revision"),
        ("hub: a/b\nrevision: main", "data/mine/dataset.yaml: revision: 'main' is not allowed; allowed: a commit"),
        ("files: none.csv", "data/mine/none.csv: no such file"),
        ("files: dataset.yaml", "data/mine/dataset.yaml: unknown format '.yaml'; allowed: .csv, .jsonl, .parquet"),
        ("files: ../../secret.csv", "data/mine/dataset.yaml: files: '../../secret.csv' lies outside data/mine"),
        ("files: reviews.csv\ngroup: film", "data/mine/reviews.csv: no column 'film'"),
        ("files: reviews.csv\nrows: {train: 3}", "data/mine: train has 2 rows; dataset.yaml says 3"),
        ("files: reviews.csv\ntext_bytes: {test: 3}", "data/mine: test has 30 text_bytes; dataset.yaml says 3"),
    ],
)
def test_a_fault_in_dataset_yaml_is_named(make: Make, source: str, said: str) -> None:
    make(source, reviews_csv=csv())
    assert fault().startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [("{}\n[1]\n", "line 2: list; allowed: one JSON object a line"), ("{}\n{oops\n", "line 2: not JSON")],
)
def test_a_fault_in_json_lines_is_named_with_its_line(make: Make, content: str, said: str) -> None:
    make("files: reviews.jsonl", reviews_jsonl=content)
    assert said in fault()


def test_a_text_that_is_a_number_is_refused(make: Make) -> None:
    make("files: reviews.jsonl", reviews_jsonl=json.dumps({"text": 7, "label": 1, "split": "train"}))
    assert fault() == "data/mine/reviews.jsonl: row 1: text 7 is not text"


def test_an_unknown_dataset_lists_those_there_are(make: Make) -> None:
    make(reviews_csv=csv())
    assert fault("yours") == "params.yaml: dataset: no data/yours/dataset.yaml; allowed: mine, or a new folder with one"


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
        "test_duplicates_kept": 1,
    }


def test_held_out_keeps_groups_whole_and_classes_alike() -> None:
    rows = pd.DataFrame({"label": [0, 1] * 100, "group": [number // 5 for number in range(200)]})
    mask = splits.held_out(rows, 0.2, seed=0)
    assert not set(rows["group"][mask]) & set(rows["group"][~mask])
    assert 30 <= mask.sum() <= 50
    assert mask.equals(splits.held_out(rows, 0.2, seed=0))
    plain = splits.held_out(rows.drop(columns="group"), 0.2, seed=0)
    assert plain.sum() == 40
    assert rows["label"][plain].mean() == 0.5


@pytest.mark.parametrize("columns", [["label"], ["label", "group"]])
def test_too_few_reviews_to_hold_some_out(columns: list[str]) -> None:
    rows = pd.DataFrame({"label": [0, 1], "group": ["a", "b"]})[columns]
    with pytest.raises(InputError, match="2 training reviews are too few to hold out 50%"):
        splits.held_out(rows, 0.5, seed=0)


def test_a_cap_is_stratified_and_seeded() -> None:
    rows = pd.DataFrame({"label": [0, 1] * 50})
    kept = reviews.capped(rows, 10, seed=1)
    assert kept["label"].sum() == 5
    assert (
        kept.index.tolist()
        == reviews.capped(rows, 10, seed=1).index.tolist()
        != reviews.capped(rows, 10, seed=2).index.tolist()
    )


def test_the_challenge_is_for_evaluation_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert fault("challenge") == "data/challenge: there are no train reviews"
    _, challenge = reviews.load("challenge", needed=["test"])
    _, sample = reviews.load("sample")
    assert len(challenge) == 1680
    assert not set(challenge["text"]) & set(sample["text"])


def test_the_sample_is_what_it_says_and_no_film_straddles_its_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    _, rows = reviews.load("sample")
    films = rows.groupby("split")["group"].agg(set)
    assert len(rows) == 1680
    assert len(films["train"] | films["test"]) == 334
    assert not films["train"] & films["test"]
