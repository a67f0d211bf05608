"""Faulty datasets: each is prepared correctly, or refused in one line that names the file."""

import csv
import io
import json
import shutil
import string
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from sentiment.data import dataset
from sentiment.data.reader import Reader
from sentiment.data.text import normalise
from sentiment.errors import InputError
from stages import prepare
from tests.helpers.fuzzing import (
    PARAMS,
    TOKENS,
    VALUES,
    cases,
    check_refusal,
    explore,
    mutated,
    refusal,
    tried,
    yaml_of,
)

HEADER = ["text", "label", "split"]
ROWS = [
    [f"{'Good' if label else 'Bad'} film {number}, seen in a {split}", ["negative", "positive"][label], split]
    for split, count in (("train", 8), ("test", 4))
    for number in range(count)
    for label in [number % 2]
]
SOURCE = (
    "files: reviews.csv\ntext: text\nlabel: label\nsplit: split\ndescription: mine\n"
    "rows: {train: 8, test: 4}\n"
)
GOOD_PARAMS = PARAMS.replace("dataset: sample", "dataset: mine").replace("size: 0.1", "size: 0.3")
GOOD_PARAMS = GOOD_PARAMS.replace("also_test: [challenge]", "also_test: []")


@pytest.fixture(autouse=True)
def project(elsewhere: None) -> None:
    """A project as working directory: parameters, and a folder for a dataset."""
    Path("data/mine").mkdir(parents=True)
    Path("params.yaml").write_text(GOOD_PARAMS)


def as_csv(rows: list[Any], header: list[str] = HEADER) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return text.getvalue().encode()


def as_json_lines(rows: list[Any], header: list[str] = HEADER, ascii_only: bool = True) -> bytes:
    lines = [json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=ascii_only) + "\n" for row in rows]
    return "".join(lines).encode()


def as_parquet(rows: list[Any], header: list[str] = HEADER, **types: pa.DataType) -> bytes:
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    arrays = [pa.array(column, types.get(name)) for name, column in zip(header, columns, strict=True)]
    return parquet(pa.Table.from_arrays(arrays, header))


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def damaged_footer() -> bytes:
    good = as_parquet(ROWS)
    return good[:-40] + b"\xff" * 32 + good[-8:]


def not_utf8() -> bytes:
    text = pa.array([b"\xff"], pa.binary()).view(pa.string())
    return parquet(pa.table({"text": text, "label": ["1"], "split": ["train"]}))


SHUFFLED = pd.DataFrame(ROWS, columns=HEADER, index=range(24, 0, -2))
TABLES: dict[str, Callable[[], bytes]] = {
    "damaged footer": damaged_footer,
    "not UTF-8": not_utf8,
    "shuffled": SHUFFLED.to_parquet,
    "text as index": SHUFFLED.set_index("text").to_parquet,
}
WRITERS: dict[str, Callable[..., bytes]] = {"csv": as_csv, "jsonl": as_json_lines, "parquet": as_parquet}
DICTIONARIES = {
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "small dictionary": pa.dictionary(pa.int8(), pa.string()),
}


def file_of(case: dict[str, Any]) -> bytes:
    """The content of a file as a case of datasets.yaml describes it."""
    classes = dict(zip(["negative", "positive"], case.get("classes", ["negative", "positive"]), strict=True))
    rows = [ROWS[number] for number in case.get("keep", range(len(ROWS)))]
    rows = [[text, classes[label], split] for text, label, split in rows]
    for column, value in case.get("set", {}).items():
        rows = [
            [value if name == column else cell for name, cell in zip(HEADER, row, strict=True)]
            for row in rows
        ]
    more = case.get("columns", [])
    rows = [[*row, *(value for _, value in more)] for row in [*rows, *case.get("rows", [])]]
    types = {
        name: DICTIONARIES[kind] if kind in DICTIONARIES else pa.type_for_alias(kind)
        for name, kind in case.get("types", {}).items()
    }
    write = WRITERS[case.get("written_as", case["kind"])]
    data = (
        TABLES[case["table"]]()
        if "table" in case
        else write(rows, [*HEADER, *(name for name, _ in more)], **types)
    )
    if "encoding" in case:
        data = data.decode().encode(case["encoding"])
    data = latin(case["content"]) if "content" in case else data
    for old, new in case.get("replace", {}).items():
        data = data.replace(latin(old), latin(new))
    return latin(case.get("before", "")) + data[: case.get("end")] + latin(case.get("after", ""))


def latin(text: str) -> bytes:
    """Bytes, of which each is a character."""
    return text.encode("latin-1")


def prepared(source: str, **files: bytes) -> str | None:
    """Run prepare with this dataset.yaml and files; return the error, which leaves no output half-written."""
    shutil.rmtree("data/mine")
    Path("data/mine").mkdir()
    Path("data/mine/dataset.yaml").write_text(source)
    for kind, content in files.items():
        Path(f"data/mine/reviews.{kind}").write_bytes(content)
    before = {path: path.read_bytes() for path in Path("data/prepared").glob("*")}
    line = refusal(
        prepare.main, "data/mine", "params.yaml: max_train_reviews", "params.yaml: validation_size"
    )
    after = {path: path.read_bytes() for path in Path("data/prepared").glob("*")}
    if line is not None:
        assert before == after
    else:
        assert {path.stem for path in after} == {"train", "validation", "test", "unlabelled"}
    assert not list(Path("data").glob("*.partial"))
    return line


@cases("datasets")
def test_a_file(case: dict[str, Any]) -> None:
    line = prepared(f"files: reviews.{case['kind']}", **{case["kind"]: file_of(case)})
    check_refusal(line, case["error"])
    if line is None:
        check_prepared()


# Columns named like the pipeline's own, or as nobody would.
@pytest.mark.parametrize(
    "name", ["id", "group", "probability", "_where", "_row", "words", "{0}", "__index_level_0__"]
)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_column_of_another_name(name: str, kind: str) -> None:
    rows = [[*row, f"v{number}"] for number, row in enumerate(ROWS)]
    assert prepared(f"files: reviews.{kind}", **{kind: WRITERS[kind](rows, [*HEADER, name])}) is None
    check_prepared()


def check_prepared() -> None:
    train = pd.read_parquet("data/prepared/train.parquet")
    assert list(train.columns[:3]) == ["id", "text", "label"]
    assert not set(train.columns) & {"split", "group", "probability"}
    assert train["id"].str.fullmatch("train-[0-9]+").all()
    assert (train["text"].str.contains("Good film") <= train["label"]).all()


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_or_nothing_instead_of_a_file(kind: str) -> None:
    assert prepared(f"files: reviews.{kind}") == f"data/mine/reviews.{kind}: no such file"
    Path(f"data/mine/reviews.{kind}").mkdir()
    assert str(refusal(prepare.main, "data/mine")).startswith(
        f"data/mine/reviews.{kind}: contains no files of reviews"
    )


def test_a_validation_split_of_its_own_is_taken_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*ROWS, ["One more.", "positive", "val"], ["One less.", "negative", "validation"]]
    for own, given in ((False, ROWS), (True, rows)):
        assert prepared("files: reviews.csv", csv=as_csv(given)) is None
        assert ("validation_size is not used" in capsys.readouterr().out) == own
        validation = pd.read_parquet("data/prepared/validation.parquet")
        assert validation["id"].str.startswith("validation-").all() == own
    assert validation["text"].tolist() == ["One more.", "One less."]
    assert json.loads(Path("metrics/data.json").read_text())["rows"] == {
        "train": 8,
        "validation": 2,
        "test": 4,
    }


def test_groups_on_both_sides_and_rows_without_text_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    films = [[*row, f"film {number % 6}"] for number, row in enumerate(ROWS)] + [
        ["", None, "train", "film 0"]
    ]
    source = "files: reviews.csv\nempty_text: ignore\ngroup: film\n"
    assert prepared(source, csv=as_csv(films, [*HEADER, "film"])) is None
    counts = json.loads(Path("metrics/data.json").read_text())
    train, test = (
        set(pd.read_parquet(f"data/prepared/{name}.parquet")["group"]) for name in ("train", "test")
    )
    assert counts["groups_in_train_and_test"] == len(train & test) > 0
    assert "groups_in_train_and_validation" not in counts
    assert counts["without_text_dropped"] == 1
    assert f"warning: {len(train & test)} groups in train and test" in capsys.readouterr().out
    assert prepared("files: reviews.csv", csv=as_csv(ROWS)) is None
    counts = json.loads(Path("metrics/data.json").read_text())
    assert not [key for key in counts if "groups" in key or "without_text" in key]


def test_a_failure_leaves_what_was_prepared_before() -> None:
    assert prepared("files: reviews.csv", csv=as_csv(ROWS)) is None
    assert prepared("files: reviews.csv", csv=as_csv([*ROWS, ["One more.", "2", "train"]])) is not None
    assert len(list(Path("data/prepared").glob("*.parquet"))) == 4  # `prepared` has compared their bytes


def test_rows_of_a_shuffled_table_stay_in_their_order() -> None:
    assert prepared("files: reviews.parquet", parquet=SHUFFLED.to_parquet()) is None
    assert dataset.load("mine")[1]["text"].tolist() == [text for text, _, _ in ROWS]


@cases("dataset_yaml")
def test_dataset_yaml(case: dict[str, str]) -> None:
    named = "" if "files:" in case["source"] else "files: reviews.csv\n"
    check_refusal(prepared(named + case["source"], csv=as_csv(ROWS)), case["error"])


@tried(100, 3_000)
def test_dataset_yaml_of_any_kind(examples: int) -> None:
    tokens = [
        *TOKENS,
        "reviews.csv",
        "{train: reviews.csv, test: reviews.csv}",
        "{train: 8}",
        "{negative: [0]}",
        "0.5",
    ]
    Path("data/mine/reviews.csv").write_bytes(as_csv(ROWS))

    def test(content: bytes) -> None:
        Path("data/mine/dataset.yaml").write_bytes(content)
        loaded: list[pd.DataFrame] = []
        if refusal(lambda: loaded.append(dataset.load("mine")[1]), "data/mine") is None:
            assert len(loaded[0]) in (12, 24)

    explore(yaml_of(SOURCE, tokens), examples, test)


# Everything that Unicode has, and what has a meaning to HTML, to a format or to white space.
PIECES = [
    "<br />",
    "<BR>",
    "&amp;",
    "&lt;br&gt;",
    "&#39;",
    "&#0;",
    '"',
    '""',
    "'",
    ",",
    "\r\n",
    "\r",
    "\t",
    "\\",
    "\\n",
    "\0",
    "\ufeff",
    "\u200b",
    "\u0301",
    "e\u0301",
    "\u00a0",
    "\x85",
    "\u2028",
    "\u202e",
    "😀",
    "\U0001f469\u200d\U0001f467",
    "فيلم رائع",
    "סרט נהדר",
    "NA",
    "null",
    "#",
]
TEXT = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(PIECES), max_size=6
).map("".join)
SPELLED: dict[str, list[list[Any]]] = {
    "csv": [["negative", "NEG", " neg ", "0", "False"], ["positive", "Pos", "1", "TRUE"]],
    "jsonl": [["Negative", "0", 0, False, 0.0], ["pos", "1", 1, True, 1.0]],
}


@tried(30, 2_000)
def test_every_format_gives_the_same_reviews(examples: int) -> None:
    @st.composite
    def examples_of(draw: DrawFn) -> tuple[list[tuple[str, int, str]], dict[str, bytes]]:
        drawn = draw(
            st.lists(st.tuples(TEXT, st.integers(0, 1), st.sampled_from(["train", "test"])), max_size=6)
        )
        complete = [("a", 0, "train"), ("b", 1, "train"), ("c", 0, "test"), ("d", 1, "test")]
        rows = draw(st.permutations(complete + drawn))
        spelled = {
            kind: [(text, draw(st.sampled_from(values[label])), split) for text, label, split in rows]
            for kind, values in SPELLED.items()
        }
        as_type = draw(st.sampled_from([None, int, bool, float]))
        typed = [
            (text, as_type(label) if as_type else SPELLED["csv"][label][0], split)
            for text, label, split in rows
        ]
        mark = st.sampled_from([b"", b"\xef\xbb\xbf"])
        return rows, {
            "csv": draw(mark) + as_csv(spelled["csv"]),
            "jsonl": draw(mark) + as_json_lines(spelled["jsonl"], ascii_only=draw(st.booleans())),
            "parquet": as_parquet(typed),
        }

    def test(example: tuple[list[tuple[str, int, str]], dict[str, bytes]]) -> None:
        rows, files = example
        texts = [normalise(text) for text, _, _ in rows]
        for kind, content in files.items():
            Path("data/mine/dataset.yaml").write_text(f"files: reviews.{kind}")
            Path(f"data/mine/reviews.{kind}").write_bytes(content)
            loaded: list[pd.DataFrame] = []
            line = refusal(lambda: loaded.append(dataset.load("mine")[1]), f"data/mine/reviews.{kind}: row ")  # noqa: B023
            if "" in texts:
                where = f"data/mine/reviews.{kind}: row {texts.index('') + 1}"
                assert line is not None
                assert line.startswith(
                    f"{where}: the text is empty; every review needs some; `empty_text: ignore` in"
                )
                continue
            assert line is None
            assert loaded[0]["text"].tolist() == texts
            assert loaded[0]["label"].tolist() == [label for _, label, _ in rows]
            assert loaded[0]["split"].tolist() == [split for _, _, split in rows]
        for text in texts:
            assert text == " ".join(text.split())
            assert unicodedata.is_normalized("NFC", text)

    explore(examples_of(), examples, test)


@tried(60, 2_000)
def test_prepared_splits_share_no_text_and_no_group(examples: int) -> None:
    @st.composite
    def examples_of(draw: DrawFn) -> tuple[list[tuple[str, int, str, str]], dict[str, Any], dict[str, Any]]:
        texts = st.sampled_from(string.ascii_letters[: draw(st.integers(2, 52))])  # few, so that many repeat
        row = st.tuples(
            texts, st.integers(0, 1), st.sampled_from(["train", "train", "test"]), st.sampled_from("uvwxyz")
        )
        source: dict[str, Any] = {"files": "reviews.jsonl"}
        if draw(st.booleans()):
            source["test_size"] = draw(st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.9]))
            row = st.tuples(texts, st.integers(0, 1), st.just("train"), st.sampled_from("uvwxyz"))
        if draw(st.booleans()):
            source["group"] = "film"
        params = {
            "validation_size": draw(st.sampled_from([0.01, 0.1, 0.3, 0.5])),
            "max_train_reviews": draw(st.none() | st.integers(2, 40)),
            "split_seed": draw(st.integers(0, 3)),
        }
        return draw(st.lists(row, min_size=1, max_size=80)), source, params

    def test(example: tuple[list[tuple[str, int, str, str]], dict[str, Any], dict[str, Any]]) -> None:
        rows, source, params = example
        lines = [line for line in GOOD_PARAMS.splitlines() if line.split(":")[0] not in params]
        Path("params.yaml").write_text(
            "\n".join([*lines, *(f"{key}: {json.dumps(params[key])}" for key in params)])
        )
        content = as_json_lines(rows, [*HEADER, "film"])
        if prepared(json.dumps(source), jsonl=content) is not None:
            return
        parts = {
            name: pd.read_parquet(f"data/prepared/{name}.parquet") for name in ("train", "validation", "test")
        }
        train, validation, test = parts.values()
        everything = {(text, label) for text, label, _, _ in rows}
        for part in parts.values():
            assert set(part["label"]) == {0, 1}
            assert set(zip(part["text"], part["label"], strict=True)) <= everything
        fitted = pd.concat([train, validation])
        assert not set(fitted["text"]) & set(test["text"])
        assert fitted["text"].is_unique
        assert fitted["id"].is_unique
        assert len(train) <= (params["max_train_reviews"] or len(rows))
        if "group" in source:
            assert not set(train["group"]) & set(validation["group"])
            assert "test_size" not in source or not set(fitted["group"]) & set(test["group"])
        if "test_size" not in source:
            assert list(zip(test["text"], test["label"], strict=True)) == [
                (text, label) for text, label, split, _ in rows if split == "test"
            ]

    explore(examples_of(), examples, test)


@tried(60, 3_000)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_with_faults_in_its_bytes(kind: str, examples: int) -> None:
    insertions = [
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b'"',
        b"\n",
        b"\r",
        b",",
        b"\\ud800",
        b"{",
        b"[" * 3000,
        b"\\u0000",
    ]

    def predicted_texts() -> list[str]:
        return [row.text("text") for row in Reader(Path(f"data/mine/reviews.{kind}"), only=["text"])]

    def test(content: bytes) -> None:
        if prepared(f"files: reviews.{kind}", **{kind: content}) is not None:
            with suppress(InputError):  # and nothing else
                predicted_texts()
            return
        train = pd.read_parquet("data/prepared/train.parquet")
        assert set(train["label"]) == {0, 1}
        assert (train["text"].str.len() > 0).all()
        assert predicted_texts() == dataset.load("mine")[1]["text"].tolist()

    explore(mutated(WRITERS[kind](ROWS), insertions), examples, test)


@tried(60, 2_000)
def test_json_lines_of_any_values(examples: int) -> None:
    keys = st.sampled_from(["text", "label", "split", "id", "group", "_row", "é", ""]) | st.text(max_size=3)
    row = st.dictionaries(keys, VALUES, max_size=5) | st.fixed_dictionaries(dict.fromkeys(HEADER, VALUES))
    complete = row.map(lambda row: {"text": "t", "label": 1, "split": "train"} | row)

    def test(rows: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        prepared("files: reviews.jsonl", jsonl=as_json_lines(ROWS) + lines.encode())

    explore(st.lists(row | complete, min_size=1, max_size=4), examples, test)


TYPES = [
    *map(
        pa.type_for_alias,
        [
            "null",
            "bool",
            "int8",
            "uint64",
            "float16",
            "float64",
            "string",
            "large_string",
            "string_view",
            "binary",
            "date32",
            "time64[us]",
            "timestamp[us]",
            "duration[s]",
        ],
    ),
    pa.decimal128(5, 2),
    pa.binary(2),
    pa.dictionary(pa.int8(), pa.string()),
]


@tried(60, 2_000)
def test_parquet_of_any_types(examples: int) -> None:
    plain = st.sampled_from(TYPES)
    nested = plain | plain.map(pa.list_) | plain.map(lambda kind: pa.struct([("a", kind)]))
    names = st.lists(st.sampled_from([*HEADER, "id", "x", "", "\0"]), min_size=1, max_size=3)

    @st.composite
    def tables(draw: DrawFn) -> bytes:
        columns = list(zip(HEADER, map(pa.array, zip(*ROWS, strict=True)), strict=True))
        for name in draw(names):
            kind = draw(nested)
            array = pa.nulls(len(ROWS), kind)
            if kind != TYPES[-1] and draw(st.booleans()):
                with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    array = pa.array(np.zeros(len(ROWS), dtype="int64")).cast(kind)
            columns = [column for column in columns if column[0] != name or draw(st.booleans())] + [
                (name, array)
            ]
        return parquet(pa.Table.from_arrays([array for _, array in columns], [name for name, _ in columns]))

    def test(content: bytes) -> None:
        prepared("files: reviews.parquet", parquet=content)

    explore(tables(), examples, test)
