"""The reader of review files: training and prediction read the same rows and refuse the same faults."""

import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.commands import predict
from sentiment.data import dataset
from sentiment.data.reader import Reader
from sentiment.errors import InputError
from sentiment.ngrams import regression
from tests.conftest import ROOT

CSV = b"text,label,split\nGood.,1,train\nBad.,0,train\nFine.,1,test\nPoor.,0,test\n"
JSON = b"".join(
    b'{"text": "%b", "label": %d, "split": "%b"}\n' % row
    for row in [
        (b"Good.", 1, b"train"),
        (b"Bad.", 0, b"train"),
        (b"Fine.", 1, b"test"),
        (b"Poor.", 0, b"test"),
    ]
)
EMPTY = "the text is empty; every review needs some"
MISSING = "the text is missing; every review needs some"
QUOTED = CSV + b'"Well, yes.",1,train\n'  # shows that quotes enclose fields
QUOTES = " (if quotes are ordinary characters, set `quoting` to none)"
ENCODING = "; set `encoding` to that of the file, such as cp1252 or latin-1"
FAULTS: dict[str, tuple[str, bytes, str]] = {
    "a short row": ("csv", CSV + b"x,1\n", "row 5: has 2 fields, the header 3"),
    "a long row": ("csv", CSV + b"x,1,train,y\n", "row 5: has 4 fields, the header 3"),
    "a comma too many": ("csv", CSV + b"x,1,train,\n", "row 5: has 4 fields, the header 3"),
    "a byte that is not UTF-8": (
        "csv",
        CSV + b"caf\xe9,1,train\n",
        f"row 5: byte 0xe9 is not UTF-8{ENCODING}",
    ),
    "such a byte in the header": (
        "csv",
        CSV.replace(b"text", b"t\xe9xt"),
        "no column 'text'; it has: t\ufffdxt, label, split (the header is not UTF-8; set `encoding` to that "
        "of the file, such as cp1252)",
    ),
    "quotes never closed": (
        "csv",
        QUOTED + b'"x,1,train\ny,1,train\n',
        f"row 6: not CSV: unexpected end of data, in lines 7 to 8{QUOTES}",
    ),
    "quotes that end too soon": (
        "csv",
        QUOTED + b'"x"y,1,train\n',
        f"row 6: not CSV: ',' expected after '\"'{QUOTES}",
    ),
    "quotes never closed in the header": ("csv", b'"' + CSV, "the header: not CSV: unexpected end of data"),
    "an empty text": ("csv", CSV + b" &nbsp;<br/> ,1,train\n", f"row 5: {EMPTY}"),
    "a row of empty fields": ("csv", CSV + b",1,train\n", f"row 5: {EMPTY}"),
    "a column twice": (
        "csv",
        b"text,label,split,text\nGood.,1,train,x\n",
        "column 'text' occurs twice; it has: text, label, split, text",
    ),
    "no column": ("csv", CSV.replace(b"text", b"review"), "no column 'text'; it has: review, label, split"),
    "nothing": ("csv", b"", "is empty"),
    "lines that are no rows are not counted": (
        "csv",
        CSV + b"\n \t\nx,1\n",
        "row 5: has 2 fields, the header 3",
    ),
    "half a character": (
        "jsonl",
        JSON + b'{"text": "\\ud800", "label": 1, "split": "train"}\n',
        r"row 5: '\ud800' is half a character",
    ),
    "a byte that is not UTF-8 in JSON Lines": (
        "jsonl",
        JSON + b'{"text": "caf\xe9", "label": 1, "split": "train"}\n',
        f"row 5: byte 0xe9 is not UTF-8{ENCODING}",
    ),
    "a number as text": (
        "jsonl",
        JSON + b'{"text": 7, "label": 1, "split": "train"}\n',
        "row 5: text 7 is not text",
    ),
    "null as text": ("jsonl", JSON + b'{"text": null, "label": 1, "split": "train"}', f"row 5: {MISSING}"),
    "an empty text in JSON Lines": (
        "jsonl",
        JSON + b'{"text": "", "label": 1, "split": "train"}\n',
        f"row 5: {EMPTY}",
    ),
    "a key that is missing": (
        "jsonl",
        JSON + b'{"label": 1, "split": "train"}\n',
        "row 5: has no text; it has: label, split",
    ),
    "a key twice": ("jsonl", JSON + b'{"text": "x", "text": "y"}\n', "row 5: key 'text' occurs twice"),
    "a list": (
        "jsonl",
        JSON + b"[1]\n",
        "row 5: list; allowed: one JSON object per line, or in .json an array of them",
    ),
    "no JSON": (
        "jsonl",
        JSON + b"{oops\n",
        "row 5: not JSON: Expecting property name enclosed in double quotes",
    ),
    "blank lines, which are counted": (
        "jsonl",
        JSON + b"\n \t\n[]\n",
        "row 7: list; allowed: one JSON object per line, or in .json an array of them",
    ),
    "too deep": ("jsonl", JSON + b"[" * 100_000, "row 5: nested too deeply"),
    "a byte that is not UTF-8 in Parquet": ("parquet", b"caf\xe9", "row 5: byte 0xe9 is not UTF-8"),
    "an empty text in Parquet": ("parquet", b" ", f"row 5: {EMPTY}"),
}
GOOD: dict[str, tuple[str, bytes]] = {
    "lines of white space": ("csv", b"\n" + CSV.replace(b"\n", b"\n\n \t\n")),
    "lines of white space in JSON Lines": ("jsonl", JSON.replace(b"\n", b"\n\n \t\r\n")),
    "an unused column twice": (
        "csv",
        CSV.replace(b",split", b",split,x,x").replace(b"t\n", b"t,1,2\n").replace(b"n\n", b"n,1,2\n"),
    ),
    "columns without a name": ("csv", CSV.replace(b"\n", b",,\n")),
    "a byte order mark": ("csv", b"\xef\xbb\xbf" + CSV),
    "a byte order mark in JSON Lines": ("jsonl", b"\xef\xbb\xbf" + JSON),
    "quotes and line breaks": ("csv", CSV + b'"He said: ""No"",\r\nand left.",1,train\r\n'),
    "keys that differ": ("jsonl", JSON + b'{"split": "train", "film": 7, "label": 1, "text": "x"}\n'),
    "no line break at the end": ("jsonl", JSON.rstrip()),
    "Parquet": ("parquet", b"Naive."),
    "a quote that encloses nothing": ("csv", CSV + b'"x"y,1,train\n'),
    "a quote never closed in a file without others": ("csv", CSV + b'"x,1,train\ny,1,train\n'),
    "a byte that is not UTF-8 in a column that is not used": (
        "csv",
        CSV.replace(b",split", b",split,film").replace(b"n\n", b"n,caf\xe9\n").replace(b"t\n", b"t,x\n"),
    ),
    "such a byte in JSON Lines": ("jsonl", JSON.replace(b'{"text"', b'{"film": "caf\xe9", "text"')),
    "such a byte in a name in JSON Lines": ("jsonl", JSON.replace(b'{"text"', b'{"f\xe9lm": "x", "text"')),
    "a line for Excel": ("csv", b"sep=;\r\n" + CSV.replace(b",", b";")),
    "spaces after commas": ("csv", CSV.replace(b",", b", ") + b'"Well, no.", 0, train\n'),
    "names with spaces": ("csv", CSV.replace(b"text,label", "\u200btext\u00a0,label ".encode())),
    "names with spaces in JSON Lines": ("jsonl", JSON.replace(b'"label"', b'" label"')),
    "UTF-16 with a byte order mark": ("csv", CSV.decode().encode("utf-16")),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A baseline classifier, which scores at once."""
    path = tmp_path_factory.mktemp("model") / "baseline.npz"
    reviews = pd.DataFrame({"text": ["good", "fine", "bad", "poor"], "label": [1, 1, 0, 0]})
    regression.save(regression.fit(reviews, reviews)[0], path)
    return path


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", ".")
    Path("data/mine").mkdir(parents=True)


def write(kind: str, content: bytes) -> str:
    """Write data/mine/, of which a Parquet file has one more review, `content`."""
    path = Path(f"data/mine/reviews.{kind}")
    if kind == "parquet":
        texts = pa.array([b"Good.", b"Bad.", b"Fine.", b"Poor.", content], pa.binary()).view(pa.string())
        splits = ["train", "train", "test", "test", "train"]
        pq.write_table(pa.table({"text": texts, "label": [1, 0, 1, 0, 1], "split": splits}), path)
    else:
        path.write_bytes(content)
    Path("data/mine/dataset.yaml").write_text(f"files: reviews.{kind}")
    return str(path)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_in_the_same_words(name: str, model: Path) -> None:
    kind, content, fault = FAULTS[name]
    path = write(kind, content)
    with pytest.raises(InputError) as training:
        dataset.load("mine")
    ignoring = (
        "; `empty_text: ignore` in dataset.yaml leaves such rows out"
        if fault.endswith("every review needs some")
        else ""
    )
    assert str(training.value) == f"{path}: {fault}{ignoring}"
    with pytest.raises(InputError) as prediction:
        predict.main(input=path, model=model)
    advice = " (to skip such rows: --on-error skip)" if fault.startswith("row") else ""
    assert str(prediction.value) == f"{path}: {fault}{advice}"


@pytest.mark.parametrize("name", GOOD)
def test_the_same_reviews_are_read(name: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(*GOOD[name])
    reviews = dataset.load("mine")[1]
    assert reviews["text"].tolist()[:4] == ["Good.", "Bad.", "Fine.", "Poor."]
    assert [row.text("text") for row in Reader(Path(path))] == reviews["text"].tolist()
    assert set(reviews.columns) <= {
        "id",
        "split",
        "text",
        "label",
        "film",
        "f\ufffdlm",
    }  # no column without a name, or one of two
    capsys.readouterr()
    predict.main(input=path, model=model)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(reviews)


def test_a_row_with_a_fault_costs_no_other() -> None:
    path = write(
        "csv",
        CSV + b'"a, b"c,1,train\n1,2\ncaf\xe9,1,train\n\n"Last, really.",1,train\n"never closed\n',
    )
    faults = {
        5: f"not CSV: ',' expected after '\"'{QUOTES}",
        6: "has 2 fields, the header 3",
        9: f"not CSV: unexpected end of data{QUOTES}",
    }
    rows = list(Reader(Path(path)))
    assert {row.number: row.fault for row in rows if row.fault} == faults
    with pytest.raises(InputError, match="byte 0xe9 is not UTF-8"):
        rows[6].text("text")
    assert [rows[at].text("text") for at in (0, 1, 2, 3, 7)] == [
        "Good.",
        "Bad.",
        "Fine.",
        "Poor.",
        "Last, really.",
    ]
