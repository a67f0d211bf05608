"""Prediction as people type it: the scores of evaluate, from and to every format, rows with faults, and interruptions."""

import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pandas as pd
import pytest

from sentiment.cli import main
from sentiment.commands import predict
from sentiment.commands.predict.scorer import Score
from sentiment.commands.predict.scores import ScoreFile
from sentiment.data.reader import Reader
from tests.conftest import Clone
from tests.helpers.terminal import Terminal

TEXTS = ["Great fun, and moving.", 'Dull, "so" dull.', "Naïve — but\twarm<br />and kind."]


@pytest.fixture
def call(ran: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """The command, run in the clone: its standard output, or the line that it ends with."""
    monkeypatch.chdir(ran.folder)

    def call(*arguments: object, stdin: bytes = b"", fails: bool = False) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["sentiment", "predict", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        if not fails:
            assert not ended.value.code
            return capsys.readouterr().out
        assert str(ended.value.code).startswith("error: ")
        assert "\n" not in str(ended.value.code)
        return str(ended.value.code)

    return call


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".jsonl":
        return pd.DataFrame(map(json.loads, path.read_text().splitlines()))
    return pd.read_csv(path, dtype={"id": str})


def write(folder: Path, kind: str, frame: pd.DataFrame) -> Path:
    path = folder / f"reviews{kind}"
    if kind.startswith(".csv"):
        frame.to_csv(path, index=False)
    elif kind.startswith(".jsonl"):
        frame.to_json(path, orient="records", lines=True)
    elif kind == ".parquet":
        frame.to_parquet(path)
    else:
        path.mkdir()
        for row in frame.itertuples():
            (path / f"{row.id}.txt").write_text(str(row.text))
    return path


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_the_scores_are_those_of_evaluate_to_the_bit(ran: Clone, call, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    call("--input", "data/prepared/test.parquet", "--output", tmp_path / f"scores{kind}")
    found = read(tmp_path / f"scores{kind}")
    expected = pd.read_parquet(ran.folder / "metrics/predictions/test.parquet")
    assert found["id"].tolist() == expected["id"].tolist()
    assert found["probability"].tolist() == expected["probability"].tolist()
    assert ((found["label"] == "POSITIVE") == (expected["probability"] >= 0.5)).all()
    assert not list(tmp_path.glob("*.parts"))


def test_every_input_comes_to_the_same(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    given = call(*TEXTS)
    assert [row.split(",")[0] for row in given.splitlines()] == ["id", "1", "2", "3"]
    assert call(stdin="\n".join(TEXTS).encode()) == given
    assert call(stdin="".join(text + "\r\n" for text in TEXTS).encode()) == given
    frame = pd.DataFrame({"id": ["1", "2", "3"], "text": TEXTS, "other": 1})
    for kind in (".csv", ".jsonl", ".parquet", ""):
        assert call("--input", write(tmp_path, kind, frame)).replace(".txt", "") == given
    rows = [json.loads(line) for line in call("--format", "jsonl", *TEXTS).splitlines()]
    assert pd.DataFrame(rows).equals(pd.read_csv(io.StringIO(given), dtype={"id": str}))


def test_lines_go_to_a_file_whole_or_not_at_all(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    scores = tmp_path / "scores.csv"
    assert "row 2: the text is empty" in call("--window", 1, "--output", scores, stdin=b"good\n\n", fails=True)
    assert not scores.exists()
    call("--output", scores, stdin=b"")
    assert scores.read_text() == "id,label,probability\n"
    call("--output", scores, stdin=b"good\nbad\n")
    assert read(scores)["id"].tolist() == ["1", "2"]
    assert list(tmp_path.iterdir()) == [scores]


def test_columns_may_have_other_names(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    frame = pd.DataFrame({"review": TEXTS, "film": [7, 8, 9]})
    for kind in (".csv", ".jsonl", ".parquet"):
        path = write(tmp_path, kind, frame)
        rows = call("--input", path, "--text", "review", "--id", "film").splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == ["7", "8", "9"]
        if kind != ".jsonl":
            assert "no column 'text'; it has: review, film" in call("--input", path, fails=True)


def test_shards_packed_files_and_several_columns_come_to_the_same(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    given = call("Great fun, and moving.", "Dull.")
    (tmp_path / "a.csv").write_text("title;content\nGreat fun,;and moving.\n")
    (tmp_path / "b.csv").write_text("content,title\nDull.,\n")
    both = ["--text", "title", "--text", "content"]
    assert call("--input", tmp_path / "*.csv", *both) == given
    assert call("--input", tmp_path, *both) == given
    (tmp_path / "c.tsv.gz").write_bytes(gzip.compress(b"Great fun, and moving.\t1\nDull.\t0\n"))
    assert call("--input", tmp_path / "c.tsv.gz", "--columns", "text,label") == given
    (tmp_path / "d.txt").write_text("Great fun, and moving.^1\nDull.^0\n")
    (tmp_path / "d.txt").rename(tmp_path / "d.csv")
    assert call("--input", tmp_path / "d.csv", "--columns", "text,label", "--delimiter", "^") == given
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines/e.txt").write_text("Great fun, and moving.\nDull.\n", encoding="utf-16-be")
    rows = call("--input", tmp_path / "lines", "--lines", "--encoding", "utf-16-be")
    assert rows.replace("e.txt:", "") == given
    (tmp_path / "f.csv").write_text('"Great fun|1\nDull"|0\n')
    quotes = ["--input", tmp_path / "f.csv", "--columns", "text,label", "--quoting"]
    assert [len(call(*quotes, quoting).splitlines()) - 1 for quoting in ("double", "none")] == [1, 2]


FAULTS = {
    ".csv": (
        b"id,text\na,good\nb\nc,bad,worse\nd,\xff\ne,\nf,<br />\n\ng,fine\n",
        {2: "has 1 fields, the header 2", 3: "has 3 fields", 4: "byte 0xff is not UTF-8", 5: "is empty", 6: "is empty"},
    ),
    ".jsonl": (
        b'{"id": "a", "text": "good"}\n{"id": 1}\n{\n[]\n{"text": "\xff"}\n{"text": null}\n{"id": "g", "text": "fine"}\n',
        {2: "has no text", 3: "not JSON", 4: "list", 5: "is not UTF-8", 6: "is missing"},
    ),
    "": (b"good\n\n \n\xff\nfine\n", {2: "is empty", 3: "is empty", 4: "is not UTF-8"}),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_row_with_a_fault_is_named_and_skipped_or_ends_it(  # type: ignore[no-untyped-def]
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    content, faults = FAULTS[kind]
    (tmp_path / f"reviews{kind}").write_bytes(content)
    source = ["--input", tmp_path / f"reviews{kind}"] if kind else []
    first, what = next(iter(faults.items()))
    line = call(*source, stdin=content, fails=True)
    assert f": row {first}: " in line
    assert what in line
    errs = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errs)
    assert len(call(*source, "--on-error", "skip", stdin=content).splitlines()) == 3
    told = errs.getvalue().splitlines()
    assert told.pop() == f"{len(faults)} of the rows skipped"
    for told_line, (number, what) in zip(told, faults.items(), strict=True):
        assert f": row {number}: " in told_line
        assert what in told_line


def test_a_parquet_row_that_is_not_utf8_costs_no_other(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([b"good", b"\xff\xfe", None, b"fine"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": texts}), tmp_path / "reviews.parquet")
    assert "row 2: byte 0xff is not UTF-8" in call("--input", tmp_path / "reviews.parquet", fails=True)
    rows = call("--input", tmp_path / "reviews.parquet", "--on-error", "skip").splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["1", "4"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--input", "nothing.csv"], "nothing.csv: no such file"),
        (
            ["--input", "params.yaml"],
            "params.yaml: unknown format '.yaml'; allowed: .csv, .tsv, .json, .jsonl, .ndjson, .parquet, all but Parquet",
        ),
        (["--input", "stages"], "stages: there are no files of reviews in it"),
        (["text", "--model", "models"], "models: no classifier there"),
        (["text", "--workers", 2], "--workers is for --ray"),
        (["--input", "data/sample/reviews.csv", "--delimiter", ";;"], "--delimiter ';;': allowed: one character"),
        (
            ["--input", "data/sample/reviews.csv", "--encoding", "latin-99"],
            "--encoding 'latin-99': allowed: the encoding",
        ),
        (["--input", "data/sample/reviews.csv", "--no-lines"], "data/sample/reviews.csv: `lines` is for .txt files"),
        (["text", "--quoting", "none"], "--quoting is for --input"),
        (["--input", "data/sample/*.csv", "--text", "title", "--text", "text"], "no column 'title'; it has: "),
        (["text", "--ray"], "--ray needs --input and --output"),
        (["text", "--output", "scores.xlsx"], "scores.xlsx: unknown format '.xlsx'; allowed: .csv, .jsonl, .parquet"),
        (["--input", "metrics/predictions/test.parquet"], "no column 'text'; it has: id, label, probability"),
    ],
)
def test_what_cannot_be_is_one_line(call, arguments: list[str], line: str) -> None:  # type: ignore[no-untyped-def]
    assert line in call(*arguments, fails=True)


def test_a_killed_run_goes_on_to_the_same_bytes(ran: Clone, call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments = ["--input", "data/prepared/test.parquet", "--window", 1, "--output"]
    scores, parts = tmp_path / "scores.csv", tmp_path / "scores.csv.parts"
    command = f"sentiment predict {' '.join(map(str, arguments))} {scores} --resume"
    for number, how in enumerate([signal.SIGINT, signal.SIGKILL], start=1):
        running = ran.start(command)
        while len(list(parts.glob("*.csv"))) < 3 * number:
            assert running.poll() is None
            time.sleep(0.01)
        os.killpg(running.pid, how)
        output = running.communicate()[0]
        assert not scores.exists()
        if how == signal.SIGINT:
            assert "rows are kept, and the same command with --resume goes on" in output
            assert output.count("\n") == 1
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("*.csv")}
    assert "holds an unfinished run: --resume goes on, or remove it" in call(*arguments, scores, fails=True)
    shutil.copytree(ran.folder / "models/classifier", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/config.json").open("a").write(" ")
    other = [*arguments, scores, "--resume", "--model", tmp_path / "elsewhere"]
    assert "is of a run with another model; remove it" in call(*other, fails=True)
    assert {path: path.stat().st_mtime_ns for path in parts.glob("*.csv")} == kept
    assert re.fullmatch(r"(scoring: .* left\n)*", ran.run(command))  # and no progress bar in a pipe
    call(*arguments, tmp_path / "whole.csv")
    assert scores.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not parts.exists()


def test_a_terminal_shows_progress_and_head_may_go(ran: Clone, tmp_path: Path) -> None:
    command = "sentiment predict --input data/prepared/test.parquet --window 16"
    assert len(ran.run(f"{command} | head -n 3").splitlines()) == 3
    at_once = "from sentiment import cli, progress; progress.QUICK = 1e-9; cli.main()"
    terminal = Terminal()
    subprocess.run(
        [sys.executable, "-c", at_once, *command.split()[1:], "--output", tmp_path / "scores.csv"],
        cwd=ran.folder, env=ran.environment, stdout=terminal.file, stderr=terminal.file, check=True,
    )  # fmt: skip
    scored, _ = terminal.screen()
    assert scored.startswith("scoring: 100%|")
    assert "| 100/100 [" in scored


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"id": range(200_000), "text": "It was a film of some length, and of some charm too. " * 10})
    peaks = []
    for rows in (20_000, 200_000):
        path = write(tmp_path, kind, frame.head(rows))
        tracemalloc.start()
        scored = tmp_path / f"scores{kind.removesuffix('.gz')}"
        file = ScoreFile(scored, {})
        for block in predict.blocks(Reader(path), 8192, 0):
            scores = [Score(str(row.number), "POSITIVE", 0.5) for row in block]
            file.add(block[-1].number, scores)
        file.finish()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(read(scored)) == rows
    assert peaks[1] < 1.3 * peaks[0]


def test_the_baseline_answers_too(ran: Clone, call) -> None:  # type: ignore[no-untyped-def]
    rows = call("--input", "data/prepared/test.parquet", "--model", "models/baseline.npz")
    scores = pd.read_csv(io.StringIO(rows))
    right = (
        (scores["probability"] >= 0.5) == pd.read_parquet(ran.folder / "data/prepared/test.parquet")["label"]
    ).mean()
    assert right == pytest.approx(json.loads((ran.folder / "metrics/baseline.json").read_text())["accuracy"], abs=1e-6)
