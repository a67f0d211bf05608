"""Files of reviews: links, compressed and damaged files, shards, progress, and errors for missing files."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from sentiment.data import dataset, schema
from sentiment.data.layout import Layout
from sentiment.data.reader import Reader
from sentiment.errors import InputError
from tests.data.shapes import PACK

ROWS = [(f"Film {number}, at length. " * 20, number % 2) for number in range(3000)]
CSV = "text,label\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS)
LINES = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)
ARRAY = json.dumps([{"text": text, "label": label} for text, label in ROWS])


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder data/mine/; the working directory is above it."""
    monkeypatch.chdir(tmp_path)
    folder = Path("data/mine")
    folder.mkdir(parents=True)
    return folder


def fault(source: str) -> str:
    Path("data/mine/dataset.yaml").write_text(source)
    with pytest.raises(InputError) as refused:
        dataset.load("mine")
    assert str(refused.value).isprintable()
    return str(refused.value)


def test_files_may_be_links_to_elsewhere(mine: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "folder/pos").mkdir(parents=True)
    (disk / "reviews.csv").write_text("text,label\nA joy.,1\nA chore.,0\n")
    (disk / "folder/pos/1.txt").write_text("A treat.")
    (mine / "reviews.csv").symlink_to(disk / "reviews.csv")
    (mine / "texts").mkdir()
    (mine / "texts/pos").symlink_to(disk / "folder/pos")
    (mine / "texts/neg").mkdir()
    (mine / "texts/neg/1.txt").write_text("A bore.")
    (mine / "dataset.yaml").write_text("files: {train: reviews.csv, test: texts}")
    expected = ["A joy.", "A chore.", "A bore.", "A treat."]
    assert dataset.load("mine")[1]["text"].tolist() == expected
    mine.rename(tmp_path / "moved")
    mine.symlink_to(tmp_path / "moved")
    assert dataset.load("mine")[1]["text"].tolist() == expected


@pytest.mark.parametrize("packed", ["", *PACK])
@pytest.mark.parametrize(
    ("kind", "content"), [(".csv", CSV), (".jsonl", LINES), (".json", LINES), (".json", ARRAY)]
)
def test_progress_is_in_bytes_of_the_file_as_it_lies_there(kind: str, content: str, packed: str) -> None:
    path = Path(f"reviews{kind}{packed}")
    path.write_bytes(PACK.get(packed, bytes)(content.encode()))
    reader = Reader(path)
    assert reader.counts_bytes
    assert (reader.position(), reader.total) == (0, path.stat().st_size)
    positions = []
    for row, (text, label) in zip(reader, ROWS, strict=True):
        assert (row.text("text"), str(row.value("label"))) == (text.strip(), str(label))
        positions.append(reader.position())
    assert positions == sorted(positions)
    assert 0 < positions[0] <= path.stat().st_size
    assert reader.position() == reader.total


def test_shards_are_one_stream(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    for number in range(3):
        part = frame[1000 * number : 1000 * (number + 1)]
        part.to_csv(f"train-{number}.csv", index=False)
        part.to_parquet(f"train-{number}.parquet")
    for kind in ("csv", "parquet"):
        reader = Reader(Path(f"train-*.{kind}"))
        rows = list(reader)
        assert [row.number for row in rows] == list(range(1, 3001))
        assert [row.text("text") for row in rows] == [text.strip() for text, _ in ROWS]
        assert rows[1500].place == f"train-1.{kind}: row 501"
        assert reader.position() == reader.total
    Path("train-1.csv").write_text("review,label\nx,1\n")
    with pytest.raises(InputError, match="^train-1.csv: no column 'text'; it has: review, label$"):
        Reader(Path("train-*.csv")).require("text")


@pytest.mark.parametrize("packed", PACK)
def test_a_packed_file_that_is_damaged_is_one_line(mine: Path, packed: str) -> None:
    whole = PACK[packed](CSV.encode())
    path = mine / f"reviews.csv{packed}"
    middle = len(whole) // 2
    for content in (whole[:middle], whole[:-1], CSV.encode()):
        path.write_bytes(content)
        line = fault(f"files: reviews.csv{packed}\ntest_size: 0.2")
        assert line.startswith(f"{path}: damaged, cut off or no {packed} file: ")
    path.write_bytes(whole[:middle] + bytes(20) + whole[middle + 20 :])
    assert fault(f"files: reviews.csv{packed}\ntest_size: 0.2").startswith(
        str(path)
    )  # some is unpacked, as nonsense


def test_an_array_is_refused_at_the_row_where_it_is_no_json(mine: Path) -> None:
    for content, line in {
        '[{"text": "a", "label": 1}, {"text": }]': "row 2: not JSON: Expecting value",
        '[{"text": "a", "label": 1}': "row 1: not JSON: Expecting ',' or ']' after it",
        '[{"text": "a", "label": 1}, 7]': "row 2: int; allowed: one JSON object per line, or "
        "in .json an array of them",
        '[{"text": "a", "text": 1}]': "row 1: key 'text' occurs twice",
        '[{"text": "\\ud800", "label": 1}]': r"row 1: '\ud800' is half a character",
        '[{"text": "a", "label": 1}] x': "row 1: not JSON: the file continues after the end of the array",
        '[{"text": "a", "label": ' + "[" * 100_000: "row 1: nested too deeply",
    }.items():
        (mine / "reviews.json").write_text(content)
        assert fault("files: reviews.json\ntest_size: 0.2") == f"data/mine/reviews.json: {line}"


def test_a_quote_that_never_closes_is_said_with_its_lines(mine: Path) -> None:
    (mine / "reviews.csv").write_text('text,label\n"a\nb",1\n"c,0\nd,1\ne,0\n')
    line = (
        "data/mine/reviews.csv: row 2: not CSV: unexpected end of data, in lines 4 to 6 "
        "(if quotes are ordinary characters, set `quoting` to none)"
    )
    assert fault("files: reviews.csv\ntest_size: 0.2") == line


@pytest.mark.parametrize("tracked", ["data/mine/reviews.csv", "data/mine", "data"])
def test_what_dvc_has_is_pulled(mine: Path, tracked: str) -> None:
    Path(f"{tracked}.dvc").write_text("outs: []")
    line = fault("files: reviews.csv")
    assert line == f"data/mine/reviews.csv: no such file; DVC tracks it: `dvc pull {tracked}.dvc`"


def test_a_folder_that_dvc_has_is_pulled(mine: Path) -> None:
    mine.rmdir()
    Path("data/mine.dvc").write_text("outs: []")
    with pytest.raises(
        InputError, match=r"no data/mine/dataset.yaml; DVC tracks it: `dvc pull data/mine.dvc`$"
    ):
        schema.read_source("mine")


def test_a_queued_run_asks_for_what_git_does_not_track(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    (place / "data/mine").mkdir(parents=True)
    monkeypatch.chdir(place)
    line = "queued or --temp run, which has only what Git tracks; `git add data/mine`"
    assert line in fault("files: reviews.csv")
    Path("data/mine/dataset.yaml").unlink()
    with pytest.raises(InputError, match=line):
        schema.read_source("mine")


def test_hidden_files_and_those_beside_reviews_are_no_reviews(mine: Path) -> None:
    for name in ("part-0.csv", ".part-0.csv", ".ipynb_checkpoints/part-0.csv", "__MACOSX/part-0.csv"):
        path = mine / "parts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text,label\nA joy.,1\nA chore.,0\n")
    (mine / "parts/_SUCCESS").touch()
    (mine / "parts/part-1.csv.gz").write_bytes(gzip.compress(b"text,label\nA treat.,1\n"))
    (mine / "dataset.yaml").write_text("files: parts\ntest_size: 0.2")
    assert dataset.load("mine")[1]["text"].tolist() == ["A joy.", "A chore.", "A treat."]


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n"
PARQUET = b"PAR1" + bytes(60) + b"PAR1"
OTHER_CONTENT = {
    "Git LFS": (LFS, "a Git LFS pointer and not the data; `git lfs pull` fetches the data"),
    "HTML": (b"\n <!doctype HTML><html>", "a page of HTML or XML and not the data; download it again"),
    "XML": (
        b'\xef\xbb\xbf<?xml version="1.0"?>',
        "a page of HTML or XML and not the data; download it again",
    ),
    "zip": (b"PK\x03\x04" + bytes(26) + b"reviews.csv", "a zip archive; unzip it"),
    "Excel": (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "a spreadsheet; save it as CSV UTF-8"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60), "a spreadsheet; save it as CSV UTF-8"),
    "gzip": (gzip.compress(b"text,label\n"), "compressed by gzip; add .gz to its name"),
    "bzip2": (PACK[".bz2"](b"text,label\n"), "compressed by bzip2; add .bz2 to its name"),
    "xz": (PACK[".xz"](b"text,label\n"), "compressed by xz; add .xz to its name"),
    "pickle": (b"\x80\x04\x95" + bytes(60), "a pickle, which can run code; write it as Parquet"),
    "tar": (b"reviews.csv".ljust(257, b"\0") + b"ustar" + bytes(60), "an archive; unpack it"),
}


@pytest.mark.parametrize(
    "name", ["reviews.csv", "reviews.jsonl", "reviews.parquet", "reviews.tsv.xz", "reviews.json.gz"]
)
@pytest.mark.parametrize("content", OTHER_CONTENT)
def test_what_a_file_is_shows_in_its_content(mine: Path, content: str, name: str) -> None:
    data, meaning = OTHER_CONTENT[content]
    path = mine / name
    path.write_bytes(PACK.get(path.suffix, bytes)(data))
    assert fault(f"files: {name}\ntest_size: 0.2") == f"{path}: is {meaning}"
    if path.suffix[1:] not in content and "compressed" not in meaning:
        path.write_bytes(data)  # not compressed, whatever its name says
        assert fault(f"files: {name}\ntest_size: 0.2") == f"{path}: is {meaning}"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_parquet_of_another_name_and_an_empty_file_are_told(mine: Path, kind: str) -> None:
    path = mine / f"reviews.{kind}"
    path.write_bytes(PARQUET)
    assert fault(f"files: reviews.{kind}\ntest_size: 0.2") == f"{path}: is Parquet; rename it to .parquet"
    for name in (path.name, f"{path.name}.gz"):
        (mine / name).write_bytes(b"" if name == path.name else gzip.compress(b""))
        assert fault(f"files: {name}\ntest_size: 0.2") == f"{mine / name}: is empty"


def test_an_empty_shard_costs_no_other(mine: Path) -> None:
    (mine / "part-0.jsonl").write_text('{"text": "A joy.", "label": 1}\n{"text": "A chore.", "label": 0}\n')
    (mine / "part-1.jsonl").touch()
    (mine / "dataset.yaml").write_text("files: part-*.jsonl\ntest_size: 0.2")
    assert dataset.load("mine").reviews["text"].tolist() == ["A joy.", "A chore."]


def test_each_line_of_a_text_is_a_review_or_each_file(mine: Path) -> None:
    for name, text in {"neg/books": "A chore.\n\n A bore.\r\n", "pos/books": "\ufeffA joy.\n"}.items():
        path = mine / f"texts/{name}.txt"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8", newline="")
    (mine / "texts/README.txt").write_text("Reviews of books.")
    rows = list(Reader(mine / "texts", layout=Layout(lines=True)))
    assert [(row.value("id"), row.text("text"), row.value("label")) for row in rows] == [
        ("neg/books.txt:1", "A chore.", "neg"),
        ("neg/books.txt:3", "A bore.", "neg"),
        ("pos/books.txt:1", "A joy.", "pos"),
    ]
    assert rows[1].place == "data/mine/texts/neg/books.txt: row 3"
    (mine / "dataset.yaml").write_text("files: texts\nlines: false\ntest_size: 0.2")
    assert dataset.load("mine").reviews["text"].tolist() == ["A chore. A bore.", "A joy."]
    (mine / "texts/pos/books.txt").write_bytes(LFS)
    assert fault("files: texts\nlines: true\ntest_size: 0.2").startswith(
        "data/mine/texts/pos/books.txt: is a Git LFS pointer"
    )


ENCODED = "text,label\nCafé – “good”,1\nDéjà vu,0\n"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-32", "UTF8", "utf-8-sig"])
def test_an_encoding_is_read(mine: Path, encoding: str) -> None:
    (mine / "reviews.csv").write_bytes(ENCODED.encode(encoding))
    (mine / "dataset.yaml").write_text(f"files: reviews.csv\nencoding: {encoding}\ntest_size: 0.2")
    assert dataset.load("mine").reviews["text"].tolist() == ["Café – “good”", "Déjà vu"]
    objects = '{"text": "Café", "label": 1}\n{"text": "Déjà vu", "label": 0}\n'
    (mine / "reviews.jsonl.gz").write_bytes(gzip.compress(objects.encode(encoding)))
    (mine / "dataset.yaml").write_text(f"files: reviews.jsonl.gz\nencoding: {encoding}\ntest_size: 0.2")
    assert dataset.load("mine").reviews["text"].tolist() == ["Café", "Déjà vu"]


def test_a_byte_that_the_encoding_does_not_have_is_told(mine: Path) -> None:
    (mine / "reviews.csv").write_bytes(b"text,label\nx\x81,1\n")
    line = "row 1: byte 0x81 is not cp1252; set `encoding` to that of the file"
    assert line in fault("files: reviews.csv\nencoding: cp1252\ntest_size: 0.2")
    (mine / "reviews.csv").write_bytes("text,label\n".encode("utf-16") + b"\x00")
    assert "data/mine/reviews.csv: is not utf-16-le: truncated data" in fault(
        "files: reviews.csv\ntest_size: 0.2"
    )


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"data": [{"text": "a"}, {"text": "b", "label": 1}]}', "row 1: has no label; it has: text"),
        (
            '{"a": [{"text": "a"}], "b": [{"text": "a"}]}',
            "has the columns or lists a, b, and not one object per review",
        ),
        (
            '{"text": ["a", "b"], "label": [1, 0]}',
            "has the columns or lists text, label, and not one object per review",
        ),
        (
            '{\n"text": "a",\n"label": 1\n}\n{\n"text": "b" "label": 1}',
            "row 2: not JSON: Expecting ',' delimiter",
        ),
        (
            '{"data": [{"text": "a", "label": 1}, 7]}',
            "has the columns or lists data, and not one object per review",
        ),
    ],
)
def test_json_of_another_form_is_told(mine: Path, content: str, line: str) -> None:
    (mine / "reviews.json").write_text(content)
    assert fault("files: reviews.json\ntest_size: 0.2").startswith(f"data/mine/reviews.json: {line}")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("quoting: none", "reviews.jsonl"),
        ("encoding: cp1252", "reviews.parquet"),
        ("lines: true", "reviews.csv"),
    ],
)
def test_a_key_for_other_files_is_refused(mine: Path, key: str, name: str) -> None:
    (mine / name).write_bytes(PARQUET)
    assert fault(f"files: {name}\n{key}\ntest_size: 0.2").startswith(
        f"{mine / name}: `{key.split(':')[0]}` is for ."
    )
