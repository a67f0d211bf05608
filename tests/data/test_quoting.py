"""Quotes in CSV: whether they enclose fields is detected, or the file is refused."""

import csv
import io
import random
from pathlib import Path

import pytest

from sentiment.data import dataset
from sentiment.data.layout import Layout
from sentiment.data.quoting import Quoting
from sentiment.data.reader import Reader
from sentiment.data.text import normalise
from sentiment.errors import InputError

WORDS = ["a", "bold", "film", "with", "no", "plot", "and", "much", "heart"]
REVIEWS = [" ".join([*WORDS[number % 7 :], str(number)]) for number in range(12)]


def plain(delimiter: str, text_first: bool, changes: dict[int, str], header: bool = True) -> str:
    """A file in which quotes are ordinary characters, with some reviews replaced; % is the review itself."""
    texts = [changes.get(number, "%").replace("%", text) for number, text in enumerate(REVIEWS)]
    rows = [(text, str(number % 2)) for number, text in enumerate(texts)]
    if header:
        rows.insert(0, ("text", "label"))
    return "".join(delimiter.join(row if text_first else row[::-1]) + "\n" for row in rows)


def read(
    content: str, columns: list[str] | None = None, quoting: Quoting | None = None
) -> list[tuple[str, str]]:
    """The texts and labels in a file with this content."""
    Path("reviews.csv").write_text(content, encoding="utf-8", newline="")
    rows = Reader(Path("reviews.csv"), layout=Layout(columns=columns, quoting=quoting))
    return [(row.text("text"), str(row.value("label"))) for row in rows]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


STRAY = {
    "a pair around several rows": {3: '"%', 7: '%"'},
    "two pairs": {1: '"%', 3: '%"', 5: '"%', 11: '%"'},
    "a pair around two rows": {4: '"%', 5: '%"'},
    "an opening quote at the end of the file": {11: '"%'},
    "an opening quote alone": {2: '"%'},
    "an opening quote, and quotes within a text": {2: '"%', 4: 'they call it "art", I do not'},
    "a quote within a text": {2: 'they say "%', 6: 'so "good'},
    "quotes around the first words": {2: '"Bold" is what % is', 7: '"No" is no word'},
    "a pair whose lines are not all rows": {2: '"%', 4: "%{}%", 5: '%"'},
}


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("text_first", [True, False])
@pytest.mark.parametrize("delimiter", ["\t", ";", "|"])
@pytest.mark.parametrize("name", STRAY)
def test_quotes_that_enclose_nothing_merge_no_rows(
    name: str, delimiter: str, text_first: bool, header: bool
) -> None:
    changes = {number: text.replace("{}", delimiter) for number, text in STRAY[name].items()}
    content = plain(delimiter, text_first, changes, header)
    columns = None if header else ["text", "label"][:: 1 if text_first else -1]
    expected = [changes.get(number, "%").replace("%", text) for number, text in enumerate(REVIEWS)]
    Path("reviews.csv").write_text(content, encoding="utf-8")
    rows = list(Reader(Path("reviews.csv"), layout=Layout(delimiter=delimiter, columns=columns)))
    assert [row.values.get("text") for row in rows if not row.fault] == [
        text for text in expected if delimiter not in text
    ]
    assert [row.fault for row in rows if row.fault] == [
        f"has 3 fields, {'the header' if header else '`columns`'} 2" for text in expected if delimiter in text
    ]


def written(quoting: int, delimiter: str = ",", **options: object) -> tuple[str, list[tuple[str, str]]]:
    """A file that the csv module writes, and its rows, with quotes, commas, line breaks and backslashes."""
    generator = random.Random(7)
    rows = []
    for number, text in enumerate(REVIEWS):
        parts = text.split()
        for mark in generator.sample([", ", '"', "\n", '" ', ' "so', "\n\n", "\\"], 3):
            parts.insert(generator.randrange(len(parts)), mark)
        rows.append((" ".join(parts), str(number % 2)))
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=quoting, **options).writerows([("text", "label"), *rows])  # type: ignore[arg-type]
    return file.getvalue(), rows


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
def test_quotes_that_enclose_fields_of_several_lines_are_read(quoting: int, delimiter: str) -> None:
    for options in ({}, {"escapechar": "\\", "doublequote": False}):
        content, rows = written(quoting, delimiter, **options)
        assert read(content) == [(normalise(text), label) for text, label in rows]


def test_backslashes_that_escape_no_quote_stay() -> None:
    content = 'id\tlabel\ttext\n"7_8"\t1\t"\\"Bold\\" \\ it\'s 10\\/10"\n"7_1"\t0\t"No \\"plot\\""\n'
    assert read(content) == [('"Bold" \\ it\'s 10\\/10', "1"), ('No "plot"', "0")]


UNCLEAR: dict[str, tuple[str, str]] = {
    "a field of two lines, or two rows": (
        'text,label\n"Bold, warm\nand good",1\nDull,0\n',
        "lines 2 to 3: quotes may enclose one field here, or be ordinary characters in rows of their own; "
        "set `quoting` to double (one field) or to none (rows)",
    ),
    "rows of their own beside fields in quotes": (
        'text,label\n"Well, yes",1\n"Bold,1\nDull,0\nWarm,1\nno",0\nGood,1\nPoor,0\n',
        "lines 3 to 6: quotes may enclose one field here",
    ),
    "a field that ends at a backslash, or goes on": (
        'text;label\n"one\n\\"";0\ntwo\\";1\n"three\n3";0\n',
        "a quote after a backslash may end a field or be part of it; set `quoting` to double",
    ),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_may_mean_two_things_is_refused(name: str) -> None:
    content, line = UNCLEAR[name]
    with pytest.raises(InputError) as refused:
        read(content)
    assert str(refused.value).startswith(f"reviews.csv: {line}")


def test_the_key_decides() -> None:
    content = UNCLEAR["a field of two lines, or two rows"][0]
    assert read(content, quoting="double") == [("Bold, warm and good", "1"), ("Dull", "0")]
    assert read(content, quoting="none") == [('"Bold', "warm"), ('and good"', "1"), ("Dull", "0")]
    assert read('text,label\n"a \\"b\\"",1\n', quoting="backslash") == [('a "b"', "1")]


def test_dataset_yaml_has_the_key() -> None:
    Path("data/mine").mkdir(parents=True)
    content = 'text,label\n"Bold,1\nwarm",1\nDull,0\n'
    Path("data/mine/reviews.csv").write_text(content)
    source = "files: reviews.csv\ntest_size: 0.5\n"
    counts = {}
    for quoting in ("double", "none"):
        Path("data/mine/dataset.yaml").write_text(f"{source}quoting: {quoting}\n")
        counts[quoting] = len(dataset.load("mine").reviews)
    assert counts == {"double": 2, "none": 3}


def test_a_review_that_repeats_a_line_is_one_row() -> None:
    song = "I sang it, twice\nand then\nI sang it, twice\nand left"
    rows = [(text, str(number % 2)) for number, text in enumerate(REVIEWS * 3)] + [
        ("Well, yes", "1"),
        (song, "0"),
    ]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("text", "label"), *rows])
    assert read(file.getvalue()) == [(normalise(text), label) for text, label in rows]
