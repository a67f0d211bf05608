"""Bad input in numbers: each case works, and rightly, or ends in one line that names the file.

Named cases come first in each part, then properties that hypothesis tries to break: a few examples, always the same,
in `make test`, and many more, always others, in `make test-all`.
"""

import csv
import datetime
import io
import itertools
import json
import shutil
import string
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from stages import check, checkpoints, parameters, prepare, reviews, scoring
from stages.errors import InputError
from tests.conftest import ROOT, Clone

PARAMS = (ROOT / "params.yaml").read_text()
SOURCE = "files: reviews.csv\ntext: text\nlabel: label\nsplit: split\ndescription: mine\nrows: {train: 8, test: 4}\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data/mine").mkdir(parents=True)


def refusal(run: Callable[[], object], *names: str) -> str | None:
    """The one line in which `run` ends, which begins with a name of these; None if it works."""
    try:
        run()
    except InputError as error:
        said = str(error)
        assert said.isprintable(), said
        assert len(said) <= 500, said
        assert said.startswith(names), said
        return said
    return None


def tried(fast: int, slow: int) -> Callable[..., Any]:
    """Run a test on examples of one strategy: `fast` ones, always the same, and under `slow` many others."""
    return pytest.mark.parametrize("examples", [fast, pytest.param(slow, marks=pytest.mark.slow)])


def explore(strategy: SearchStrategy[Any], examples: int, test: Callable[[Any], None]) -> None:
    repeatable = examples < 1000
    chosen = settings(
        max_examples=examples,
        derandomize=repeatable,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    chosen(given(strategy)(test))()


def mutated(good: bytes, insertions: list[bytes]) -> SearchStrategy[bytes]:
    """`good` with up to four faults: flipped bits, bytes cut out, put in or repeated, the end missing."""
    place = st.integers(0, len(good))

    @st.composite
    def faults(draw: DrawFn) -> bytes:
        data = good
        for _ in range(draw(st.integers(1, 4))):
            start, length = draw(place), draw(st.integers(1, 40))
            kind = draw(st.sampled_from(["flip", "cut", "insert", "repeat", "end"]))
            part = data[start : start + length]
            if kind == "flip" and part:
                data = data[:start] + bytes([part[0] ^ draw(st.integers(1, 255))]) + data[start + 1 :]
            elif kind == "cut":
                data = data[:start] + data[start + length :]
            elif kind == "insert":
                data = data[:start] + draw(st.sampled_from(insertions)) + data[start:]
            elif kind == "repeat":
                data = data[:start] + part * draw(st.integers(2, 5)) + data[start:]
            elif kind == "end":
                data = data[:start]
        return data

    return faults()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 600),
    st.sampled_from([-(2**63), 2**31, 2**32, 2**63, 10**30, 10**400]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "0", "1e-3", "auto", "../x", "x" * 300, "a\nb", "\u2028", "\u202eabc", "\x00", "{}", "{0}"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


# params.yaml

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefgh")
)
NAMED_PARAMS: dict[str, tuple[str | bytes, str | None]] = {
    "a key that is unknown": (PARAMS + "optimizer: adam\n", "unknown key 'optimizer'"),
    "an unknown key of 300 characters": (PARAMS + "k" * 300 + ": 1\n", "unknown key 'kkk"),
    "an unknown key with a line break": (PARAMS + '"a\\nb": 1\n', r"unknown key 'a\nb'"),
    "a key that is a number": (PARAMS + "7: 1\n", "unknown key '7'"),
    "a key that is a list": (PARAMS + "? [a, b]\n: 1\n", "unknown key"),
    "a key that is a mapping": (PARAMS + "? {a: b}\n: 1\n", "unhashable key"),
    "a key that stands twice": (PARAMS + "seed: 1\n", "duplicate key"),
    "nan that stands twice": (".nan: 1\n.nan: 2\n", "duplicate key"),
    "an anchor and an alias": (
        PARAMS.replace("split_seed: 0", "split_seed: &a 7").replace("seed: 42", "seed: *a"),
        None,
    ),
    "an alias before its anchor": (PARAMS.replace("seed: 42", "seed: *a"), "undefined alias"),
    "an anchor in itself": (PARAMS.replace("lr: 2e-4", "lr: &a [*a]"), "lr: [[[[...]]]] is not allowed"),
    "a mapping in itself": (PARAMS.replace("lr: 2e-4", "lr: &a {b: *a}"), "lr: {'b': {'b'"),
    "anchors that come to gigabytes": (LAUGHS + PARAMS, "unknown key 'a'"),
    "such anchors as the value": (
        PARAMS.replace("lr: 2e-4", "lr:\n" + "".join(f"  - {line[3:]}\n" for line in LAUGHS.splitlines())),
        "lr: [",
    ),
    "such anchors in an ordered map": (
        PARAMS.replace("lr: 2e-4", "lr: !!omap\n" + "".join(f"  - {line}\n" for line in LAUGHS.splitlines())),
        "lr: {'a': [",
    ),
    "a merge key": (PARAMS + "<<: {seed: 7}\n", None),
    "a merge key that is a number": (PARAMS + "<<: 3\n", "for merging"),
    "a Python object": (
        PARAMS.replace("seed: 42", "seed: !!python/object/apply:os.getcwd []"),
        "constructor for the tag",
    ),
    "a tag of no one's": (PARAMS.replace("seed: 42", "seed: !mine 42"), "constructor for the tag '!mine'"),
    "a tag that is right": (PARAMS.replace("seed: 42", "seed: !!int 42"), None),
    "a tag that is wrong": (PARAMS.replace("seed: 42", "seed: !!bool 42"), "not valid YAML: KeyError"),
    "a tagged empty number": (PARAMS.replace("seed: 42", "seed: !!int ''"), "not valid YAML: IndexError"),
    "a tag that is cut off": (PARAMS.replace("seed: 42", "seed: !<"), "not valid YAML"),
    "a set": (PARAMS.replace("seed: 42", "seed: !!set {a}"), "seed: {'a'} is not allowed"),
    "bytes": (PARAMS.replace("seed: 42", "seed: !!binary aGk="), "seed: b'hi' is not allowed"),
    "a date": (PARAMS.replace("seed: 42", "seed: 2024-01-01"), "seed: datetime.date(2024, 1, 1) is not allowed"),
    "a date that is none": (PARAMS.replace("seed: 42", "seed: 2024-13-01"), "month must be"),
    "another document": (PARAMS + "---\nseed: 1\n", "another document"),
    "a directive": ("%YAML 1.2\n---\n" + PARAMS, None),
    "a directive of another version": ("%YAML 3.0\n---\n" + PARAMS, "incompatible YAML"),
    "a number of 5,000 digits": (PARAMS.replace("seed: 42", "seed: " + "9" * 5000), "4300 digits"),
    "a number of 6,000 hexadecimal digits": (PARAMS.replace("seed: 42", "seed: 0x" + "f" * 6000), "24000 bits> is not"),
    "a seed of 2 to the 32nd": (PARAMS.replace("seed: 42", f"seed: {2**32}"), "seed: 4294967296 is not allowed"),
    "a huge batch": (PARAMS.replace("batch_size: 16", "batch_size: 1" + "0" * 30), "batch_size: 1000"),
    "a huge number of epochs": (PARAMS.replace("epochs: 2", "epochs: 1" + "0" * 30), "epochs: 1000"),
    "a huge length": (PARAMS.replace("max_length: 256", "max_length: 1" + "0" * 30), "max_length: 1000"),
    "a number beyond the floats": (PARAMS.replace("lr: 2e-4", "lr: 1e999"), "lr: inf is not allowed"),
    "an integer beyond the floats": (PARAMS.replace("lr: 2e-4", "lr: 1" + "0" * 400), "lr: <an integer of"),
    "minus zero": (PARAMS.replace("lr: 2e-4", "lr: -0.0"), "lr: -0.0 is not allowed"),
    "the smallest number": (PARAMS.replace("lr: 2e-4", "lr: 5e-324"), None),
    "NaN": (PARAMS.replace("validation_size: 0.1", "validation_size: .NaN"), "validation_size: nan is not allowed"),
    "infinity": (PARAMS.replace("weight_decay: 0.01", "weight_decay: -.inf"), "weight_decay: -inf is not allowed"),
    "hexadecimal": (PARAMS.replace("seed: 42", "seed: 0x2a"), None),
    "yes, which is text": (PARAMS.replace("lr: 2e-4", "lr: yes"), "lr: 'yes' is not allowed"),
    "a surrogate": (PARAMS.replace("model: sent", 'model: "\\ud800" # '), r"model: '\ud800' is not allowed"),
    "a model with a NUL": (PARAMS.replace("model: sent", 'model: "a\\0b" # '), r"model: 'a\x00b' is not allowed"),
    "a model of two lines": (PARAMS.replace("model: sent", 'model: "a\\nb" # '), r"model: 'a\nb' is not allowed"),
    "a dataset of two lines": (
        PARAMS.replace("dataset: sample", 'dataset: "a\\nb"'),
        r"dataset: 'a\nb' is not allowed",
    ),
    "a character that is none": (PARAMS.replace("model: sent", 'model: "\\Uffffffff" # '), "OverflowError"),
    "lists 1,000 deep": (PARAMS.replace("seed: 42", "seed: " + "[" * 1000), "nested too deeply"),
    "mappings 1,500 deep": ("\n".join(" " * depth + "a:" for depth in range(1500)), "nested too deeply"),
    "a tab": (PARAMS + "\tseed: 1\n", "not valid YAML"),
    "a byte order mark": ("\ufeff" + PARAMS, None),
    "Windows line ends": (PARAMS.replace("\n", "\r\n"), None),
    "UTF-16": (PARAMS.encode("utf-16"), "byte 0 is not UTF-8"),
    "a NUL": (PARAMS + "\0", "not valid YAML"),
    "nothing": ("", "holds NoneType"),
    "one word": ("seed", "holds str"),
    "comments alone": ("# seed: 1\n", "holds NoneType"),
}


@pytest.mark.parametrize("name", NAMED_PARAMS)
def test_params_yaml(name: str) -> None:
    content, said = NAMED_PARAMS[name]
    Path("params.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    line = refusal(lambda: parameters.load(parameters.TrainParams), "params.yaml")
    assert (said is None) == (line is None), line
    assert said is None or said in str(line), line


def test_params_yaml_that_is_a_folder() -> None:
    Path("params.yaml").mkdir()
    assert refusal(lambda: parameters.load(parameters.TrainParams), "params.yaml: Is a directory")


def yaml_of(good: str, tokens: list[str]) -> SearchStrategy[bytes]:
    """A YAML file of plain keys with some lines dropped, repeated or given other values, or with faults in its bytes."""
    lines = [line for line in good.splitlines() if line and not line.startswith("#")]
    value = st.sampled_from(tokens) | VALUES.map(json.dumps)

    @st.composite
    def edited(draw: DrawFn) -> bytes:
        kept = list(lines)
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(kept) - 1))
            key = kept[at].split(":")[0]
            kind = draw(st.sampled_from(["value", "value", "value", "drop", "add", "name"]))
            if kind == "value":
                kept[at] = f"{key}: {draw(value)}"
            elif kind == "drop" and len(kept) > 1:
                del kept[at]
            elif kind == "add":
                name = draw(st.sampled_from([key, key + "s", key.upper(), "<<", "? ", *tokens]))
                kept.insert(at, f"{name}: {draw(value)}")
            else:
                kept[at] = f"{json.dumps(draw(st.text(max_size=6)))}: {draw(value)}"
        return ("\n".join(kept) + "\n").encode(errors="surrogatepass")

    return edited() | mutated(good.encode(), [token.encode() for token in tokens])


TOKENS = [
    "null",
    "~",
    "true",
    ".nan",
    "-.inf",
    "1e-3",
    "0.5",
    "7",
    "-1",
    "0x10",
    "1_000",
    "'1'",
    "!!int",
    "!!float",
    "!!set",
    "!!binary",
    "!!omap",
    "&a",
    "*a",
    "<<:",
    "---",
    "...",
    "%YAML",
    "|",
    ">",
    "[",
    "]",
    "{",
    "}",
    "@",
    "`",
    "\\",
    "?",
    ":",
    "-",
    "\t",
    "#",
    "1:2",
    "=",
    "!!python/name:os.system",
    "2024-02-30",
    "\ufeff",
    "\x85",
    "\x00",
    "\ud7ff",
    "😀",
    "\u202e",
    "[[[[",
    "{{{{",
    "1e400",
]


@tried(150, 5_000)
def test_params_yaml_of_any_kind(examples: int) -> None:
    def test(content: bytes) -> None:
        Path("params.yaml").write_bytes(content)
        found: list[parameters.Params] = []
        if refusal(lambda: found.append(parameters.load(parameters.Params)), "params.yaml") is None:
            params = found[0]
            assert 0 < params.lr <= 1
            assert 0 < params.validation_size <= 0.5
            assert 0 <= params.weight_decay <= 1
            assert 0 <= params.warmup_ratio < 1
            assert min(params.batch_size, params.epochs, params.max_length - 7) >= 1
            assert max(params.seed, params.split_seed) < 2**32
            assert params.model.isprintable()

    explore(yaml_of(PARAMS, TOKENS), examples, test)


# datasets

Row = tuple[str, str, str]
ROWS: list[Row] = [
    (f"{'Good' if label else 'Bad'} film {number}, seen in a {split}", ["negative", "positive"][label], split)
    for split, count in (("train", 8), ("test", 4))
    for number in range(count)
    for label in [number % 2]
]


def as_csv(rows: list[Any], header: str = "text,label,split") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header.split(","), *rows])
    return text.getvalue().encode()


def as_json_lines(rows: list[Any], header: str = "text,label,split", ascii_only: bool = True) -> bytes:
    names = header.split(",")
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=ascii_only) + "\n" for row in rows]
    return "".join(lines).encode()


def as_parquet(rows: list[Any], header: str = "text,label,split", **types: pa.DataType) -> bytes:
    columns = zip(*rows, strict=True) if rows else [()] * len(header.split(","))
    names = header.split(",")
    arrays = [pa.array(column, types.get(name)) for name, column in zip(names, columns, strict=True)]
    return parquet(pa.Table.from_arrays(arrays, names))


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def prepared(source: str, **files: bytes) -> str | None:
    """Run prepare on data/mine/ with this dataset.yaml and files; what it says, and nothing half-written if it fails."""
    shutil.rmtree("data/mine")
    Path("data/mine").mkdir()
    Path("data/mine/dataset.yaml").write_text(source)
    for name, content in files.items():
        Path("data/mine", name.replace("_", ".")).write_bytes(content)
    if not Path("params.yaml").exists():
        Path("params.yaml").write_text(
            PARAMS.replace("dataset: sample", "dataset: mine").replace("size: 0.1", "size: 0.3")
        )
    before = {path: path.read_bytes() for path in Path("data/prepared").glob("*")}
    said = refusal(prepare.main, "data/mine", "params.yaml: max_train_reviews", "params.yaml: validation_size")
    after = {path: path.read_bytes() for path in Path("data/prepared").glob("*")}
    if said is not None:
        assert before == after
    else:
        assert {path.name for path in after} == {"train.parquet", "validation.parquet", "test.parquet"}
    assert not list(Path("data").glob("*.partial"))
    return said


def with_row(text: object = "One more.", label: object = "positive", split: object = "train") -> list[Any]:
    return [*ROWS, (text, label, split)]


ARABIC, HEBREW = "فيلم رائع", "סרט נהדר"
FILES: dict[str, tuple[str, bytes, str | None]] = {
    # encodings
    "CSV with a byte order mark": ("csv", b"\xef\xbb\xbf" + as_csv(ROWS), None),
    "JSON Lines with a byte order mark": ("jsonl", b"\xef\xbb\xbf" + as_json_lines(ROWS), None),
    "CSV in UTF-16": ("csv", as_csv(ROWS).decode().encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
    "CSV in UTF-16 without a mark": ("csv", as_csv(ROWS).decode().encode("utf-16-le"), "cannot be read: ParserError"),
    "CSV in Latin-1": ("csv", as_csv(with_row("Café")).decode().encode("latin-1"), "line 14: byte 0xe9 is not UTF-8"),
    "JSON Lines in Latin-1": ("jsonl", as_json_lines(ROWS) + b'{"text": "\xe9"}\n', "line 13: byte 0xe9 is not UTF-8"),
    "CSV with an encoded surrogate": ("csv", as_csv(ROWS) + b"\xed\xa0\x80,1,train\n", "line 14: byte 0xed"),
    "Parquet with text that is not UTF-8": (
        "parquet",
        parquet(
            pa.table(
                {
                    "text": pa.array([b"\xff"]).cast(pa.binary()).view(pa.string()),
                    "label": ["1"],
                    "split": ["train"],
                }
            )
        ),
        "column 'text': In chunk 0: Invalid: Invalid UTF8",
    ),
    "half a surrogate pair": ("jsonl", as_json_lines(with_row("\ud800")), r"line 13: '\ud800' is half a character"),
    "half a pair as the label": ("jsonl", as_json_lines(with_row(label="\udfff")), r"line 13: '\udfff' is half"),
    "half a pair in another column": (
        "jsonl",
        as_json_lines([(*row, "\ud83d") for row in ROWS], "text,label,split,genre"),
        r"line 1: '\ud83d' is half a character",
    ),
    "half a pair as a key": (
        "jsonl",
        as_json_lines(ROWS, "text,label,split").replace(b'"label"', b'"\\ud800"'),
        "line 1",
    ),
    "a whole pair": ("jsonl", as_json_lines(with_row("😀 fun")), None),
    # what a text may hold
    "a NUL in CSV": ("csv", as_csv(with_row("a\0b")), None),
    "a NUL in JSON Lines": ("jsonl", as_json_lines(with_row("a\0b")), None),
    "a NUL in Parquet": ("parquet", as_parquet(with_row("a\0b")), None),
    "quotes and line breaks in CSV": ("csv", as_csv(with_row('He said: "No",\r\nand\nleft.\r')), None),
    "quotes and line breaks in JSON Lines": ("jsonl", as_json_lines(with_row('He said: "No",\r\nand\nleft.\r')), None),
    "emoji": ("csv", as_csv(with_row("👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽")), None),
    "right to left": ("csv", as_csv(with_row(f"{ARABIC} {HEBREW} \u202eabc\u202c")), None),
    "1 MB of words in CSV": ("csv", as_csv(with_row("a fine film " * 87_382)), None),
    "1 MB of words in JSON Lines": ("jsonl", as_json_lines(with_row("a fine film " * 87_382)), None),
    "1 MB of words in Parquet": ("parquet", as_parquet(with_row("a fine film " * 87_382)), None),
    "1 MB without a space": ("csv", as_csv(with_row("x" * 2**20)), None),
    "1 MB of emoji": ("csv", as_csv(with_row("😀" * 2**18)), None),
    "1 MB of spaces after <br": ("csv", as_csv(with_row("<br" + " " * 2**20)), None),
    "1 MB of line breaks": ("csv", as_csv(with_row("<br />" * 174_763)), "row 13: the text is empty"),
    "an entity of 5,000 digits": ("csv", as_csv(with_row(f"good &#{'9' * 5000}; film")), None),
    "an entity that is a surrogate": ("csv", as_csv(with_row("good &#xD800; film")), None),
    "white space alone": ("csv", as_csv(with_row(" \t\u3000\u00a0")), "row 13: the text is empty"),
    "entities of spaces alone": ("csv", as_csv(with_row("&nbsp;&#32;")), "row 13: the text is empty"),
    "an empty text in JSON Lines": ("jsonl", as_json_lines(with_row("")), "row 13: the text is empty"),
    "an empty text in Parquet": ("parquet", as_parquet(with_row("")), "row 13: the text is empty"),
    "no text in JSON Lines": ("jsonl", as_json_lines(with_row(None)), "row 13: text nan is not text"),
    "no text in Parquet": ("parquet", as_parquet(with_row(None)), "row 13: text nan is not text"),
    "a number as the text": ("jsonl", as_json_lines(with_row(7)), "row 13: text 7 is not text"),
    "a list as the text": ("jsonl", as_json_lines(with_row(["a"])), "row 13: text ['a'] is not text"),
    "bytes as the text": ("parquet", as_parquet([(b"a", "1", "train")]), "row 1: text b'a' is not text"),
    # labels
    "labels of every spelling": (
        "csv",
        as_csv(
            [*ROWS, *((f"t{n}", label, "train") for n, label in enumerate(["NEG", " pos ", "0", "1", "True", "fAlSe"]))]
        ),
        None,
    ),
    "labels of every spelling in JSON": (
        "jsonl",
        as_json_lines([*ROWS, *((f"t{n}", label, "train") for n, label in enumerate(["Neg", "POS", 0, 1, True, 1.0]))]),
        None,
    ),
    "labels of -1": ("csv", as_csv(with_row(label="-1")), "row 13: label '-1' is not allowed; allowed: 0, false"),
    "a number of -1": ("jsonl", as_json_lines(with_row(label=-1)), "(-1 often means unlabelled: leave such rows out)"),
    "a label of 2": ("csv", as_csv(with_row(label="2")), "row 13: label '2' is not allowed"),
    "a label of 0.5": ("jsonl", as_json_lines(with_row(label=0.5)), "row 13: label 0.5 is not allowed"),
    "a label of NaN": ("jsonl", as_json_lines(with_row(label=float("nan"))), "row 13: label nan is not allowed"),
    "a label of 10 to the 400th": ("jsonl", as_json_lines(with_row(label=10**400)), "row 13: label <an integer of"),
    "no label in CSV": ("csv", as_csv(with_row(label="")), "row 13: label '' is not allowed"),
    "no label in JSON Lines": ("jsonl", as_json_lines(with_row(label=None)), "row 13: label nan is not allowed"),
    "a label of 1 MB": ("csv", as_csv(with_row(label="y" * 2**20)), "row 13: label 'yyy"),
    "a label with a line break": ("csv", as_csv(with_row(label="a\nb")), r"row 13: label 'a\nb' is not allowed"),
    "a split of another name": ("csv", as_csv(with_row(split="dev")), "row 13: split 'dev' is not allowed"),
    "a split in capitals": ("csv", as_csv(with_row(split=" TRAIN ")), None),
    "no split in JSON Lines": ("jsonl", as_json_lines(with_row(split=None)), "row 13: split nan is not allowed"),
    # the shape of CSV
    "an empty CSV": ("csv", b"", "cannot be read: EmptyDataError"),
    "a CSV of a mark alone": ("csv", b"\xef\xbb\xbf", "cannot be read: EmptyDataError"),
    "a CSV header alone": ("csv", b"text,label,split\n", "data/mine: there are no train reviews"),
    "blank lines in CSV": ("csv", b"\r\n" + as_csv(ROWS).replace(b"\r\n", b"\r\n\r\n"), None),
    "rows of empty cells": ("csv", as_csv(ROWS) + b",,\r\n", "row 13: split '' is not allowed"),
    "a CSV row too long": ("csv", as_csv(ROWS) + b"a,1,train,x\n", "Expected 3 fields in line 14, saw 4"),
    "CSV rows all too long": ("csv", b"text,label,split\nx,a,1,train\n", "Expected 3 fields in line 2, saw 4"),
    "CSV rows that end in a comma": ("csv", b"text,label,split\na,1,train,\n", "Expected 3 fields in line 2, saw 4"),
    "a CSV row too short": ("csv", as_csv(ROWS) + b"a,1\n", "row 13: split '' is not allowed"),
    "a CSV that ends within quotes": ("csv", as_csv(ROWS) + b'"a,1,train\n', "EOF inside string"),
    "empty columns at the end": ("csv", as_csv([(*row, "", "") for row in ROWS], "text,label,split,,"), None),
    "a CSV column twice": (
        "csv",
        as_csv([(*row, "x") for row in ROWS], "text,label,split,text"),
        "column 'text' stands",
    ),
    "semicolons": ("csv", as_csv(ROWS).replace(b",", b";"), "no column 'text'; it has: text;"),
    "tabs": ("csv", as_csv(ROWS).replace(b",", b"\t"), "no column 'text'"),
    "old Mac line ends": ("csv", as_csv(ROWS).replace(b"\r\n", b"\r"), None),
    "a header of two lines": (
        "csv",
        as_csv(ROWS).replace(b'"label"', b'"la\nbel"'),
        "no column 'label'; it has: text, la b",
    ),
    "a header of 1 MB": ("csv", as_csv(ROWS).replace(b'"label"', b"x" * 2**20), "no column 'label'"),
    "JSON Lines named .csv": ("csv", as_json_lines(ROWS), "no column 'text'"),
    "Parquet named .csv": ("csv", as_parquet(ROWS), "data/mine/reviews.csv"),
    # the shape of JSON Lines
    "an empty JSON Lines file": ("jsonl", b"", "no column 'text'; it has: none"),
    "a blank line in JSON Lines": ("jsonl", as_json_lines(ROWS) + b"\n", "line 13: not JSON"),
    "a JSON array": ("jsonl", b"[" + as_json_lines(ROWS[:1]).strip() + b"]", "line 1: list; allowed: one JSON object"),
    "JSON over many lines": ("jsonl", b'{\n"text": "a"\n}\n', "line 1: not JSON"),
    "a JSON key twice": (
        "jsonl",
        as_json_lines(ROWS) + b'{"text": "a", "text": "b"}',
        "line 13: key 'text' stands there",
    ),
    "JSON 100,000 deep": ("jsonl", as_json_lines(ROWS) + b"[" * 100_000, "line 13: nested too deeply"),
    "a JSON number of 5,000 digits": ("jsonl", b'{"text": ' + b"9" * 5000 + b"}", "line 1: Exceeds the limit (4300"),
    "JSON that is cut off": ("jsonl", as_json_lines(ROWS)[:-5], "line 12: not JSON"),
    "JSON keys that differ": ("jsonl", as_json_lines(ROWS) + b'{"review": "a"}', "row 13: split nan is not allowed"),
    "CSV named .jsonl": ("jsonl", as_csv(ROWS), "line 1: not JSON"),
    # the shape of Parquet
    "an empty Parquet file": ("parquet", b"", "cannot be read: ArrowInvalid"),
    "Parquet without rows": ("parquet", as_parquet([]), "data/mine: there are no train reviews"),
    "Parquet that is cut off": ("parquet", as_parquet(ROWS)[:-9], "cannot be read: ArrowInvalid"),
    "Parquet with a damaged footer": (
        "parquet",
        as_parquet(ROWS)[:-40] + b"\xff" * 32 + as_parquet(ROWS)[-8:],
        "cannot be",
    ),
    "CSV named .parquet": ("parquet", as_csv(ROWS), "cannot be read: ArrowInvalid"),
    "a Parquet column twice": (
        "parquet",
        as_parquet([(*row, "x") for row in ROWS], "text,label,split,text"),
        "column 'text' stands there twice",
    ),
    "Parquet labels as booleans": ("parquet", as_parquet([(t, label == "positive", s) for t, label, s in ROWS]), None),
    "Parquet labels as small integers": (
        "parquet",
        as_parquet([(t, int(label == "positive"), s) for t, label, s in ROWS], label=pa.int8()),
        None,
    ),
    "Parquet labels as floats": (
        "parquet",
        as_parquet([(t, float(label == "positive"), s) for t, label, s in ROWS]),
        None,
    ),
    "Parquet labels of which one is null": (
        "parquet",
        as_parquet([(t, int(label == "positive"), s) for t, label, s in ROWS] + [("a", None, "train")]),
        "row 13: label nan is not allowed",
    ),
    "Parquet labels that are all null": (
        "parquet",
        as_parquet([(t, None, s) for t, _, s in ROWS]),
        "row 1: label None is not allowed",
    ),
    "Parquet labels in a dictionary": (
        "parquet",
        as_parquet(ROWS, label=pa.dictionary(pa.int32(), pa.string()), split=pa.dictionary(pa.int8(), pa.string())),
        None,
    ),
    "Parquet texts in a dictionary": ("parquet", as_parquet(ROWS, text=pa.dictionary(pa.int32(), pa.string())), None),
    "Parquet texts that are large": ("parquet", as_parquet(ROWS, text=pa.large_string(), label=pa.string_view()), None),
    "Parquet labels as lists": (
        "parquet",
        as_parquet([(t, [1], s) for t, _, s in ROWS]),
        "row 1: label array([1]) is not",
    ),
    "Parquet labels as structures": (
        "parquet",
        as_parquet([(t, {"a": 1}, s) for t, _, s in ROWS]),
        "row 1: label {'a': 1} is not allowed",
    ),
    "Parquet labels as bytes": ("parquet", as_parquet([(t, b"1", s) for t, _, s in ROWS]), "row 1: label b'1' is not"),
    "Parquet with other columns of every kind": (
        "parquet",
        as_parquet(
            [(*row, {"a": [1]}, None, b"\xff", datetime.date(2024, 1, 1), [["x"]], 0.5) for row in ROWS],
            "text,label,split,a,b,c,d,e,f",
        ),
        None,
    ),
    "Parquet of a shuffled, filtered table": (
        "parquet",
        pd.DataFrame(ROWS, columns=["text", "label", "split"], index=range(24, 0, -2)).to_parquet(),
        None,
    ),
    "Parquet with the text as its index": (
        "parquet",
        pd.DataFrame(ROWS, columns=["text", "label", "split"]).set_index("text").to_parquet(),
        None,
    ),
    # columns named like the pipeline's own
    **{
        f"a column {name!r} in {kind}": (
            kind,
            write([(*row, f"v{n}") for n, row in enumerate(ROWS)], f"text,label,split,{name}"),
            None,
        )
        for name in ("id", "group", "probability", "_where", "_row", "words", "{0}", "__index_level_0__")
        for kind, write in (("csv", as_csv), ("jsonl", as_json_lines), ("parquet", as_parquet))
    },
    # numbers of rows
    "one review": ("csv", as_csv(ROWS[:1]), "data/mine: there are no test reviews"),
    "one review a split": ("csv", as_csv([ROWS[0], ROWS[8]]), "every test review is NEGATIVE; both classes are needed"),
    "one class": ("csv", as_csv([row for row in ROWS if row[1] == "positive"]), "every test review is POSITIVE"),
    "one class in training": (
        "csv",
        as_csv([row for row in ROWS if row[2] == "test" or row[1] == "positive"]),
        "every train review is POSITIVE",
    ),
    "two training reviews": (
        "csv",
        as_csv(ROWS[:2] + ROWS[8:]),
        "params.yaml: validation_size: 2 training reviews are too few",
    ),
    "all reviews identical": (
        "csv",
        as_csv([("same", label, s) for _, label, s in ROWS]),
        "validation_size: 0 training reviews are too few",
    ),
    "all training reviews contradictory": (
        "csv",
        as_csv([(t, label, "train") for t, _, s in ROWS if s == "train" for label in ("0", "1")] + ROWS[8:]),
        "validation_size: 0 training reviews are too few",
    ),
    "some training reviews contradictory": (
        "csv",
        as_csv(with_row(ROWS[0][0], "positive") + with_row("new")[-1:]),
        None,
    ),
    "every training review leaked": (
        "csv",
        as_csv([(t, label, split) for t, label, s in ROWS if s == "test" for split in ("train", "test")]),
        "validation_size: 0 training reviews are too few",
    ),
    "the same review a thousand times": ("csv", as_csv(ROWS + [("again", "1", "train")] * 1000), None),
}


@pytest.mark.parametrize("name", FILES)
def test_a_dataset(name: str) -> None:
    kind, content, said = FILES[name]
    line = prepared(f"files: reviews.{kind}", **{f"reviews_{kind}": content})
    assert (said is None) == (line is None), line
    assert said is None or said in str(line), line
    if line is None:
        train = pd.read_parquet("data/prepared/train.parquet")
        assert list(train.columns[:3]) == ["id", "text", "label"]
        assert not set(train.columns) & {"split", "group", "probability", "_where", "_row"}
        assert (train["text"].str.contains("Good film") <= train["label"]).all()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_folder_or_nothing_instead_of_a_file(kind: str) -> None:
    said = prepared(f"files: reviews.{kind}")
    assert said == f"data/mine/reviews.{kind}: no such file"
    Path(f"data/mine/reviews.{kind}").mkdir()
    said = refusal(prepare.main, "data/mine")
    assert said == f"data/mine/reviews.{kind}: is not a file"


def test_a_failure_leaves_what_was_prepared_before() -> None:
    assert prepared("files: reviews.csv", reviews_csv=as_csv(ROWS)) is None
    assert prepared("files: reviews.csv", reviews_csv=as_csv(with_row(label="2"))) is not None
    assert len(list(Path("data/prepared").glob("*.parquet"))) == 3  # `prepared` has compared their bytes


def test_rows_of_a_shuffled_table_stay_in_their_order() -> None:
    table = pd.DataFrame(ROWS, columns=["text", "label", "split"], index=range(24, 0, -2))
    assert prepared("files: reviews.parquet", reviews_parquet=table.to_parquet()) is None
    assert reviews.load("mine")[1]["text"].tolist() == [text for text, _, _ in ROWS]


NAMED_SOURCES = {
    "a label for both classes": ("labels: {negative: [1, 2], positive: ['2']}", "labels: '2' stands for both"),
    "labels of one class": ("labels: {negative: [1]}", "labels: both negative and positive need values"),
    "labels of a third class": ("labels: {neutral: [1]}", "labels.neutral"),
    "labels with a list among them": ("labels: {negative: [[0]], positive: [1]}", "labels.negative.0"),
    "a negative count": ("rows: {train: -1}", "rows.train: -1 is not allowed"),
    "a count of 30 digits": ("rows: {train: 1" + "0" * 30 + "}", "rows.train: 1000"),
    "a share of nothing": ("test_size: 0", "test_size: 0 is not allowed"),
    "a share of all": ("test_size: 1.0", "test_size: 1.0 is not allowed"),
    "the smallest share": ("test_size: 5e-324", "test_size: 12 training reviews are too few"),
    "the smallest share with groups": ("test_size: 5e-324\ngroup: split", "test_size: 12 training reviews are too few"),
    "a file with a NUL": ('files: "a\\0.csv"', r"files"),
    "a file of two lines": ('files: {train: "a\\nb.csv"}', r"files"),
    "a file of no name": ("files: ''", "files"),
    "no file": ("files: {}", "files"),
    "the folder itself": ("files: .", "unknown format ''"),
    "a file elsewhere": ("files: /etc/passwd", "lies outside data/mine"),
    "a file with a name of 300 characters": (f"files: {'x' * 300}.csv", "files"),
    "a third split": ("files: {train: reviews.csv, dev: reviews.csv}", "files"),
    "a column with braces": ("label: '{0}{x}'", "no column '{0}{x}'; it has: text, label, split"),
    "a column of two lines": ('text: "a\\nb"', r"no column 'a\nb'"),
    "a column of 1 MB": ("text: " + "y" * 2**20, "no column 'yyy"),
    "a key of two lines": ('"a\\nb": 1', r"unknown key 'a\nb'"),
    "a nested key of two lines": ('files: {"a\\nb": reviews.csv}', "files"),
}


@pytest.mark.parametrize("name", NAMED_SOURCES)
def test_dataset_yaml(name: str) -> None:
    source, said = NAMED_SOURCES[name]
    if "files:" not in source:
        source = f"files: reviews.csv\n{source}\n"
    assert said in str(prepared(source, reviews_csv=as_csv(ROWS)))


@tried(100, 3_000)
def test_dataset_yaml_of_any_kind(examples: int) -> None:
    tokens = [*TOKENS, "reviews.csv", "{train: reviews.csv, test: reviews.csv}", "{train: 8}", "{negative: [0]}", "0.5"]
    data = as_csv(ROWS)

    def test(content: bytes) -> None:
        shutil.rmtree("data/mine")
        Path("data/mine").mkdir()
        Path("data/mine/dataset.yaml").write_bytes(content)
        Path("data/mine/reviews.csv").write_bytes(data)
        found: list[pd.DataFrame] = []
        if refusal(lambda: found.append(reviews.load("mine")[1]), "data/mine") is None:
            assert len(found[0]) in (12, 24)

    explore(yaml_of(SOURCE, tokens), examples, test)


# Everything that Unicode has, and what has a meaning to HTML, to a format or to white space.
PIECES = (
    '<br />|<BR>|&amp;|&lt;br&gt;|&#39;|&#0;|"|""|\'|,|\r\n|\r|\t|\\|\\n|\0|\ufeff|\u200b|\u0301|e\u0301|\u00a0|\x85|\u2028|'
    f"\u202e|😀|\U0001f469\u200d\U0001f467|{ARABIC}|{HEBREW}|NA|null|#"
).split("|")
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
    def cases(draw: DrawFn) -> tuple[list[tuple[str, int, str]], dict[str, bytes]]:
        drawn = draw(st.lists(st.tuples(TEXT, st.integers(0, 1), st.sampled_from(["train", "test"])), max_size=6))
        whole = [("a", 0, "train"), ("b", 1, "train"), ("c", 0, "test"), ("d", 1, "test")]
        rows = draw(st.permutations(whole + drawn))
        spelled = {
            kind: [(text, draw(st.sampled_from(values[label])), split) for text, label, split in rows]
            for kind, values in SPELLED.items()
        }
        as_type = draw(st.sampled_from([str, int, bool, float]))
        files = {
            "csv": as_csv(spelled["csv"]),
            "jsonl": as_json_lines(spelled["jsonl"], ascii_only=draw(st.booleans())),
            "parquet": as_parquet([(text, as_type(label), split) for text, label, split in rows if as_type]),
        }
        if as_type is str:
            files["parquet"] = as_parquet([(text, SPELLED["csv"][label][0], split) for text, label, split in rows])
        return rows, {
            kind: draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) * (kind != "parquet") + data
            for kind, data in files.items()
        }

    def test(case: tuple[list[tuple[str, int, str]], dict[str, bytes]]) -> None:
        rows, files = case
        texts = [reviews.normalise(text) for text, _, _ in rows]
        for kind, content in files.items():
            Path("data/mine/dataset.yaml").write_text(f"files: reviews.{kind}")
            Path(f"data/mine/reviews.{kind}").write_bytes(content)
            found: list[pd.DataFrame] = []
            said = refusal(lambda: found.append(reviews.load("mine")[1]), f"data/mine/reviews.{kind}: row ")  # noqa: B023
            if "" in texts:
                where = f"data/mine/reviews.{kind}: row {texts.index('') + 1}"
                assert said == f"{where}: the text is empty; every review needs some"
                continue
            assert said is None
            assert found[0]["text"].tolist() == texts
            assert found[0]["label"].tolist() == [label for _, label, _ in rows]
            assert found[0]["split"].tolist() == [split for _, _, split in rows]
        for text in texts:
            assert text == " ".join(text.split())
            assert unicodedata.is_normalized("NFC", text)

    explore(cases(), examples, test)


@tried(60, 2_000)
def test_prepared_splits_share_no_text_and_no_group(examples: int) -> None:
    @st.composite
    def cases(draw: DrawFn) -> tuple[list[tuple[str, int, str, str]], dict[str, Any], dict[str, Any]]:
        texts = st.sampled_from(string.ascii_letters[: draw(st.integers(2, 52))])  # few, so that many repeat
        row = st.tuples(
            texts, st.integers(0, 1), st.sampled_from(["train", "train", "test"]), st.sampled_from("uvwxyz")
        )
        source: dict[str, Any] = {"files": "reviews.jsonl"}
        if draw(st.booleans()):
            source["test_size"] = draw(st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.9]))
        if draw(st.booleans()):
            source["group"] = "film"
        params = {
            "validation_size": draw(st.sampled_from([0.01, 0.1, 0.3, 0.5])),
            "max_train_reviews": draw(st.none() | st.integers(2, 40)),
            "split_seed": draw(st.integers(0, 3)),
        }
        return draw(st.lists(row, min_size=1, max_size=80)), source, params

    def test(case: tuple[list[tuple[str, int, str, str]], dict[str, Any], dict[str, Any]]) -> None:
        rows, source, params = case
        lines = [line for line in PARAMS.splitlines() if line.split(":")[0] not in {*params, "dataset"}]
        settings_of = [f"{key}: {json.dumps(value)}" for key, value in params.items()]
        Path("params.yaml").write_text("\n".join([*lines, *settings_of, "dataset: mine"]))
        content = as_json_lines(rows, "text,label,split,film")
        if prepared(json.dumps(source), reviews_jsonl=content) is not None:
            return
        parts = {name: pd.read_parquet(f"data/prepared/{name}.parquet") for name in ("train", "validation", "test")}
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
                (t, label) for t, label, s, _ in rows if s == "test"
            ]

    explore(cases(), examples, test)


@tried(60, 3_000)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_with_faults_in_its_bytes(kind: str, examples: int) -> None:
    good = {"csv": as_csv, "jsonl": as_json_lines, "parquet": as_parquet}[kind](ROWS)
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

    def test(content: bytes) -> None:
        if prepared(f"files: reviews.{kind}", **{f"reviews_{kind}": content}) is None:
            train = pd.read_parquet("data/prepared/train.parquet")
            assert set(train["label"]) == {0, 1}
            assert (train["text"].str.len() > 0).all()

    explore(mutated(good, insertions), examples, test)


@tried(60, 2_000)
def test_json_lines_of_any_values(examples: int) -> None:
    keys = st.sampled_from(["text", "label", "split", "id", "group", "_row", "é", ""]) | st.text(max_size=3)
    row = st.dictionaries(keys, VALUES, max_size=5) | st.fixed_dictionaries(
        {"text": VALUES, "label": VALUES, "split": VALUES}
    )

    def test(rows: list[dict[str, Any]]) -> None:
        base = [dict(zip(["text", "label", "split"], row, strict=True)) for row in ROWS]
        lines = "".join(json.dumps(row) + "\n" for row in [*base, *rows])
        prepared("files: reviews.jsonl", reviews_jsonl=lines.encode())

    complete = row.map(lambda row: {"text": "t", "label": 1, "split": "train"} | row)
    explore(st.lists(row | complete, min_size=1, max_size=4), examples, test)


@tried(60, 2_000)
def test_parquet_of_any_types(examples: int) -> None:
    names_of_types = [
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
    ]
    others = [pa.decimal128(5, 2), pa.binary(2), pa.dictionary(pa.int8(), pa.string())]
    plain = st.sampled_from([*map(pa.type_for_alias, names_of_types), *others])
    nested = plain | plain.map(pa.list_) | plain.map(lambda kind: pa.struct([("a", kind)]))
    names = st.lists(st.sampled_from(["text", "label", "split", "id", "x", "", "\0"]), min_size=1, max_size=3)

    @st.composite
    def tables(draw: DrawFn) -> bytes:
        columns = dict(
            zip(["text", "label", "split"], (pa.array(column) for column in zip(*ROWS, strict=True)), strict=True)
        )
        named = list(columns.items())
        for name in draw(names):
            kind = draw(nested)
            if kind == pa.dictionary(pa.int8(), pa.string()) or not draw(st.booleans()):
                array = pa.nulls(len(ROWS), kind)
            else:
                zeros = pa.array(np.zeros(len(ROWS), dtype="int64"))
                try:
                    array = zeros.cast(kind)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    array = pa.nulls(len(ROWS), kind)
            named = [pair for pair in named if pair[0] != name or draw(st.booleans())] + [(name, array)]
        return parquet(pa.Table.from_arrays([array for _, array in named], [name for name, _ in named]))

    def test(content: bytes) -> None:
        prepared("files: reviews.parquet", reviews_parquet=content)

    explore(tables(), examples, test)


# checkpoints

Edit = Callable[[Path], object]
LETTERS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    *string.ascii_lowercase,
    *(f"##{c}" for c in string.ascii_lowercase),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers whose tokenizer knows letters, with no head."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "vocab.txt").write_text("\n".join(LETTERS) + "\n")
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    BertModel(config()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def headed(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a trained head, whose labels stand the other way round."""
    folder = tmp_path_factory.mktemp("headed") / "headed"
    shutil.copytree(plain, folder)
    labels = {0: "POSITIVE", 1: "NEGATIVE"}
    model = BertForSequenceClassification(
        config(id2label=labels, label2id={name: index for index, name in labels.items()})
    )
    model.classifier.bias.data = torch.tensor([9.0, -9.0])  # it finds all positive
    model.save_pretrained(folder)
    return folder


def config(**values: Any) -> BertConfig:
    size: dict[str, Any] = {
        "vocab_size": len(LETTERS),
        "hidden_size": 8,
        "intermediate_size": 16,
        "max_position_embeddings": 32,
    }
    return BertConfig(**size, num_hidden_layers=2, num_attention_heads=2, **values)


def checked(max_length: int = 32) -> str | None:
    """What check_params says of the checkpoint in the folder `model`."""

    def run() -> None:
        checkpoint = checkpoints.fetch("model")
        checkpoint.check_length(max_length=max_length)
        check.score(checkpoint, PARSED.model_copy(update={"max_length": max_length}))

    return refusal(run, "model model: ", "model: ", "params.yaml: max_length: ")


PARSED = parameters.Params.model_validate(parameters.parse_yaml(PARAMS, "params.yaml"))


def put(**values: Any) -> Edit:
    """Set values of config.json; `...` takes one out."""

    def edit(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text()) | values
        content = {key: value for key, value in content.items() if value is not ...}
        (folder / "config.json").write_text(json.dumps(content))

    return edit


def write(name: str, content: str | bytes) -> Edit:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def cut(name: str, size: int) -> Edit:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def without(*patterns: str) -> Edit:
    def edit(folder: Path) -> None:
        for path in [path for pattern in patterns for path in folder.glob(pattern)]:
            path.unlink()

    return edit


def tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "model.safetensors"
        save_file(change(load_file(path)), path, {"format": "pt"})

    return edit


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


HUGE_HEADER = (2**40).to_bytes(8, "little")
REMOTE = {"AutoConfig": "configuration_mine.Config", "AutoModelForSequenceClassification": "modeling_mine.Model"}
NAMED_CHECKPOINTS: dict[str, tuple[Edit, str | None]] = {
    "as it is": (put(), None),
    # files
    "no config": (without("config.json"), "has no config.json; a transformers checkpoint is needed"),
    "no weights": (without("*.safetensors"), "has no *.safetensors weights"),
    "nothing at all": (without("*"), "has no config.json"),
    "pickled weights alone": (pickled, "has no *.safetensors weights, and no other format is loaded"),
    "no tokenizer": (without("tokenizer*", "vocab.txt"), "the tokenizer's files are missing or incomplete"),
    "a tokenizer without its vocabulary": (without("tokenizer.json", "vocab.txt"), "missing or incomplete"),
    "a vocabulary alone": (without("tokenizer*"), None),
    "weights of another name": (
        lambda folder: (folder / "model.safetensors").rename(folder / "adapter.safetensors"),
        "cannot be loaded: OSError",
    ),
    # weights
    "weights cut off by a byte": (
        lambda folder: cut("model.safetensors", (folder / "model.safetensors").stat().st_size - 1)(folder),
        "model.safetensors: cannot be loaded: SafetensorError",
    ),
    "weights cut off in the header": (cut("model.safetensors", 100), "model.safetensors: cannot be loaded"),
    "weights cut off before the header": (cut("model.safetensors", 4), "model.safetensors: cannot be loaded"),
    "weights of no bytes": (cut("model.safetensors", 0), "model.safetensors: cannot be loaded"),
    "weights with a huge header": (
        write("model.safetensors", HUGE_HEADER + b"{}"),
        "model.safetensors: cannot be loaded",
    ),
    "weights that are a text": (write("model.safetensors", "version https://git-lfs"), "model.safetensors: cannot be"),
    "weights that are a pickle": (
        lambda folder: torch.save({}, folder / "model.safetensors"),
        "model.safetensors: cannot be loaded: SafetensorError",
    ),
    "no weights within": (tensors(lambda _: {}), "of the model's weights, such as"),
    "a layer missing": (
        tensors(lambda found: {key: value for key, value in found.items() if "layer.1." not in key}),
        "lacks 16 of the model's weights, such as bert.encoder.layer.1.",
    ),
    "embeddings missing": (
        tensors(lambda found: {key: value for key, value in found.items() if "word_embeddings" not in key}),
        "lacks 1 of the model's weights, such as bert.embeddings.word_embeddings.weight",
    ),
    "a pooler missing": (
        tensors(lambda found: {key: value for key, value in found.items() if "pooler" not in key}),
        None,
    ),
    "other names": (
        tensors(lambda found: {f"x.{key}": value for key, value in found.items()}),
        "of the model's weights, such as",
    ),
    "another shape": (
        tensors(lambda found: {key: value[:-1].clone() for key, value in found.items()}),
        "has the shape [7], and by config.json it has [8]",
    ),
    "a head of another task": (
        tensors(lambda found: found | {"classifier.weight": torch.zeros(9, 8), "classifier.bias": torch.zeros(9)}),
        None,
    ),
    "NaN among the weights": (
        tensors(lambda found: {key: value * float("nan") for key, value in found.items()}),
        "holds values that are no numbers",
    ),
    "weights in float16": (tensors(lambda found: {key: value.half() for key, value in found.items()}), None),
    "an index of parts that are missing": (
        lambda folder: (
            (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors"),
            write("model.safetensors.index.json", '{"weight_map": {"a": "model-00002-of-00002.safetensors"}}')(folder),
        ),
        "cannot be loaded",
    ),
    # config.json
    "an empty config": (write("config.json", ""), "config.json is not JSON"),
    "a config cut off": (cut("config.json", 50), "config.json is not JSON"),
    "a config in UTF-16": (write("config.json", '{"model_type": "bert"}'.encode("utf-16")), "config.json is not JSON"),
    "a config 100,000 deep": (write("config.json", "[" * 100_000), "config.json is not JSON: RecursionError"),
    "a list as config": (write("config.json", "[]"), "config.json: holds list; allowed: a JSON object"),
    "null as config": (write("config.json", "null"), "config.json: holds NoneType"),
    "a config of nothing": (write("config.json", "{}"), "config.json: model_type is missing"),
    "no model type": (put(model_type=...), "config.json: model_type is missing"),
    "a model type that is a list": (put(model_type=["bert"]), "config.json: model_type: ['bert'] is not allowed"),
    "an unknown model type": (put(model_type="mine"), "transformers has no architecture 'mine'"),
    "a model type of 1 MB": (put(model_type="m" * 2**20), "transformers has no architecture 'mmm"),
    "code of its own": (put(model_type="mine", auto_map=REMOTE), "and code that comes with a model is never run"),
    "code of its own for a known model": (put(auto_map=REMOTE), None),
    "a model that reads no text": (put(model_type="vit"), "cannot be loaded"),
    "an architecture of another type": (put(model_type="electra"), "has the shape"),
    "labels as a list": (put(id2label=["a", "b"]), "config.json: id2label: ['a', 'b'] is not allowed"),
    "labels by name": (put(id2label={"a": "NEGATIVE", "b": "POSITIVE"}), "config.json: id2label.a"),
    "labels that are numbers": (put(id2label={"0": 1, "1": 2}), "config.json: id2label.0: 1 is not allowed"),
    "architectures as text": (put(architectures="BertModel"), "config.json: architectures: 'BertModel' is not allowed"),
    "architectures as numbers": (put(architectures=[1]), "config.json: architectures.0: 1 is not allowed"),
    "a length as text": (
        put(max_position_embeddings="32"),
        "config.json: max_position_embeddings: '32' is not allowed",
    ),
    "a length too short": (put(max_position_embeddings=16), "max_length: 32 is not allowed; model reads at most 16"),
    "more positions than weights": (put(max_position_embeddings=64), "has the shape [32, 8], and by"),
    "another width": (put(hidden_size=12), "has the shape [8], and by config.json it has [12]"),
    "a width that the heads do not divide": (put(num_attention_heads=3), "cannot be loaded: ValueError"),
    "a width as text": (put(hidden_size="wide"), "cannot be loaded"),
    "a huge width": (put(hidden_size=2**40), "cannot be loaded"),
    "a negative width": (put(hidden_size=-8), "cannot be loaded"),
    "more layers than weights": (
        put(num_hidden_layers=3),
        "lacks 16 of the model's weights, such as bert.encoder.layer.2.",
    ),
    "a billion layers": (put(num_hidden_layers=10**9), "config.json: num_hidden_layers: 1000000000 is not allowed"),
    "an unknown activation": (put(hidden_act="mine"), "cannot be loaded: KeyError"),
    "an epsilon as text": (put(layer_norm_eps="small"), "cannot be loaded"),
    "fewer tokens than the tokenizer has": (
        lambda folder: (
            put(vocab_size=20)(folder),
            tensors(
                lambda found: (
                    found
                    | {"embeddings.word_embeddings.weight": found["embeddings.word_embeddings.weight"][:20].clone()}
                )
            )(folder),
        ),
        f"the tokenizer has {len(LETTERS)} tokens, the model 20",
    ),
    # the tokenizer
    "a tokenizer cut off": (cut("tokenizer.json", 200), "the tokenizer: cannot be loaded: JSONDecodeError"),
    "a tokenizer of nothing": (write("tokenizer.json", "{}"), "the tokenizer: cannot be loaded"),
    "a tokenizer that is a list": (write("tokenizer.json", "[]"), "the tokenizer: cannot be loaded"),
    "a tokenizer's config that is a list": (write("tokenizer_config.json", "[]"), "the tokenizer: cannot be loaded"),
    "a tokenizer of no class": (write("tokenizer_config.json", '{"tokenizer_class": "Mine"}'), "has no padding token"),
    "a tokenizer of its own code": (
        write("tokenizer_config.json", '{"auto_map": {"AutoTokenizer": ["mine.Tokenizer", null]}}'),
        None,
    ),
    "a vocabulary without letters": (
        lambda folder: (without("tokenizer.json")(folder), write("vocab.txt", "\n".join(LETTERS[:6]))(folder)),
        "missing or incomplete",
    ),
}
NAMED_HEADS: dict[str, tuple[Edit, str | None]] = {
    "as it is": (put(), None),
    "three labels": (
        put(id2label={"0": "NEGATIVE", "1": "NEUTRAL", "2": "POSITIVE"}),
        "its head has the labels NEGATIVE, NEU",
    ),
    "one label": (put(id2label={"0": "POSITIVE"}), "its head has the labels POSITIVE; allowed"),
    "one label twice": (put(id2label={"0": "POSITIVE", "1": "positive"}), "its head has the labels POSITIVE, POSITIVE"),
    "labels of no name": (put(id2label={"0": "LABEL_0", "1": "LABEL_1"}), "its head has the labels LABEL_0, LABEL_1"),
    "no labels": (put(id2label=...), "its head has the labels none"),
    "labels of 1 MB": (put(id2label={"0": "y" * 2**20}), "its head has the labels YYY"),
    "labels of two lines": (put(id2label={"0": "a\nb"}), "its head has the labels A B"),
    "a head missing": (
        tensors(lambda found: {key: value for key, value in found.items() if "classifier" not in key}),
        "lacks 2 of the model's weights, such as classifier.bias",
    ),
    "a head of three": (
        tensors(lambda found: found | {"classifier.weight": torch.zeros(3, 8), "classifier.bias": torch.zeros(3)}),
        "weight classifier.bias has the shape [3], and by config.json it has [2]",
    ),
    "a pooler missing": (
        tensors(lambda found: {key: value for key, value in found.items() if "pooler" not in key}),
        "lacks 2 of the model's weights, such as bert.pooler",
    ),
}


@pytest.mark.parametrize("name", NAMED_CHECKPOINTS)
def test_a_checkpoint(name: str, plain: Path) -> None:
    edit, said = NAMED_CHECKPOINTS[name]
    shutil.copytree(plain, "model")
    edit(Path("model"))
    line = checked()
    assert (said is None) == (line is None), line
    assert said is None or said in str(line), line


@pytest.mark.parametrize("name", NAMED_HEADS)
def test_a_checkpoint_with_a_head(name: str, headed: Path) -> None:
    edit, said = NAMED_HEADS[name]
    shutil.copytree(headed, "model")
    edit(Path("model"))
    line = checked()
    assert (said is None) == (line is None), line
    assert said is None or said in str(line), line
    trained = refusal(lambda: check_trained("model"), "model: ")  # as evaluate would load it
    assert trained is not None  # it does not say how reviews are to be cut


def check_trained(folder: str) -> None:
    scoring.load(folder)


def test_labels_that_stand_the_other_way_round_are_read_as_they_stand(headed: Path) -> None:
    shutil.copytree(headed, "model")
    put(review_max_length=32, review_truncation="head")(Path("model"))
    model, encoder = scoring.load("model")
    assert (scoring.probabilities(model, encoder, ["good", "bad"]) > 0.9).all()


def test_weights_are_trained_in_float32_whatever_they_came_in(plain: Path) -> None:
    shutil.copytree(plain, "model")
    tensors(lambda found: {key: value.half() for key, value in found.items()})(Path("model"))
    put(dtype="float16")(Path("model"))
    assert scoring.classifier("model", new_head=True).dtype == torch.float32


@pytest.mark.parametrize("model", ["x" * 5000, "a/b/c", "a b", "org/" + "x" * 300, "../nowhere", "😀", "/nowhere", "~"])
def test_a_model_that_is_no_name(model: str) -> None:
    assert refusal(lambda: checkpoints.fetch(model), "params.yaml: model: ", "model ") is not None


def test_reviews_of_any_size_are_encoded(plain: Path) -> None:
    from stages.encoding import Encoder

    encoder = Encoder(plain, 32, "head_tail")
    ids, cut_off = encoder(["a fine film " * 87_382, "x" * 2**20, "😀" * 2**18, "\0", "", ARABIC, "\u202eabc"])
    assert [len(review) for review in ids[:1]] == [32]
    assert all(2 <= len(review) <= 32 for review in ids)
    assert cut_off == 1


@tried(60, 2_000)
@pytest.mark.parametrize("which", ["plain", "headed"])
def test_a_config_of_any_values(which: str, examples: int, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(which)
    keys = sorted(json.loads((folder / "config.json").read_text()))
    extra = [
        "id2label",
        "label2id",
        "auto_map",
        "torch_dtype",
        "quantization_config",
        "problem_type",
        "num_labels",
        "tie_word_embeddings",
    ]
    small = VALUES.filter(lambda value: not (isinstance(value, int) and value > 1000))  # a million layers take minutes

    def test(values: dict[str, Any]) -> None:
        shutil.rmtree("model", ignore_errors=True)
        shutil.copytree(folder, "model")
        put(**values)(Path("model"))
        checked()

    explore(
        st.dictionaries(st.sampled_from(keys + extra), small | st.just(...), min_size=1, max_size=3), examples, test
    )


@tried(25, 1_000)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_a_checkpoint_with_faults_in_its_bytes(name: str, examples: int, plain: Path) -> None:
    insertions = [b"\0", b"\xff", b'"', b"{", b"}", b"[" * 3000, b"null", b"1e999", b",", b"\xed\xa0\x80", b"\\ud800"]

    def test(content: bytes) -> None:
        shutil.rmtree("model", ignore_errors=True)
        shutil.copytree(plain, "model")
        Path("model", name).write_bytes(content)
        checked()

    explore(mutated((plain / name).read_bytes(), insertions), examples, test)


@pytest.mark.slow
def test_what_the_checks_refuse_costs_no_earlier_output(copy: Clone, plain: Path) -> None:
    before = copy.bytes_of("data/prepared", "models", "metrics")
    shutil.copytree(plain, copy.folder / "model")
    without("tokenizer*", "vocab.txt")(copy.folder / "model")
    for values, said in [
        ({"model": "model", "max_length": "32"}, "error: model: the tokenizer's files are missing or incomplete"),
        ({"validation_size": "0.0001"}, "error: params.yaml: validation_size: 1275 training reviews are too few"),
    ]:
        params = (copy.folder / "params.yaml").read_bytes()
        copy.set(**values)
        output = copy.run("dvc repro", fails=True)
        assert said in output
        assert "Traceback" not in output
        (copy.folder / "params.yaml").write_bytes(params)
    assert copy.bytes_of("data/prepared", "models", "metrics") == before
