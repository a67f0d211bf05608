"""`sentiment predict` as users call it: every input and output format, invalid rows, and interruptions."""

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
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from sentiment.cli import main
from sentiment.commands.predict.output import ScoreFile
from sentiment.commands.predict.scorer import Score
from sentiment.commands.predict.steps import FIRST_ROWS, MAX_ROWS, LineStream, Pace, steps
from sentiment.data.reader import Reader
from tests.conftest import Clone
from tests.helpers.terminal import Terminal

TEXTS = ["Great fun, and moving.", 'Dull, "so" dull.', "Naïve — but\twarm<br />and kind."]


@pytest.fixture
def call(ran: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Run the command in the clone; return its standard output, or the error that ends it."""
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


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The standard output of a call that failed."""
    return lambda: capsys.readouterr().out


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
def test_scores_equal_those_of_evaluate_to_the_bit(ran: Clone, call, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    call("--input", "data/prepared/test.parquet", "--output", tmp_path / f"scores{kind}")
    scores = read(tmp_path / f"scores{kind}")
    expected = pd.read_parquet(ran.folder / "metrics/predictions/classifier/test.parquet")
    assert scores["id"].tolist() == expected["id"].tolist()
    assert scores["probability"].tolist() == expected["probability"].tolist()
    assert ((scores["label"] == "POSITIVE") == (expected["probability"] >= 0.5)).all()
    assert not list(tmp_path.glob("*.parts"))


def test_every_input_format_gives_the_same_scores(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    given = call(*TEXTS)
    assert [row.split(",")[0] for row in given.splitlines()] == ["id", "1", "2", "3"]
    assert call(stdin="\n".join(TEXTS).encode()) == given
    assert call(stdin="".join(text + "\r\n" for text in TEXTS).encode()) == given
    frame = pd.DataFrame({"id": ["1", "2", "3"], "text": TEXTS, "other": 1})
    for kind in (".csv", ".jsonl", ".parquet", ""):
        assert call("--input", write(tmp_path, kind, frame)).replace(".txt", "") == given
    rows = [json.loads(line) for line in call("--format", "jsonl", *TEXTS).splitlines()]
    assert pd.DataFrame(rows).equals(pd.read_csv(io.StringIO(given), dtype={"id": str}))


def test_standard_input_gives_a_complete_file_or_saved_parts(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    scores, parts = tmp_path / "scores.csv", tmp_path / "scores.csv.parts"
    line = call("--output", scores, stdin=b"good\n\n", fails=True)
    assert "row 2: the text is empty" in line
    assert line.endswith(f"; 1 row is saved in {parts}/, in files without a header")
    assert not scores.exists()
    (part,) = parts.glob("*.csv")
    assert part.read_text() == call("good").splitlines(keepends=True)[1]
    for retry in ([], ["--input", write(tmp_path, ".csv", pd.DataFrame({"text": TEXTS})), "--resume"]):
        refused = call("--output", scores, *retry, stdin=b"other\n", fails=True)
        assert "contains an unfinished run on standard input, which this one cannot resume" in refused
    assert part.exists()
    shutil.rmtree(parts)
    (tmp_path / "reviews.csv").unlink()
    call("--output", scores, stdin=b"")
    assert scores.read_text() == "id,label,probability\n"
    call("--output", scores, stdin=b"good\nbad\n")
    assert read(scores)["id"].tolist() == ["1", "2"]
    assert list(tmp_path.iterdir()) == [scores]


def test_columns_can_have_other_names(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    frame = pd.DataFrame({"review": TEXTS, "film": [7, 8, 9]})
    for kind in (".csv", ".jsonl", ".parquet"):
        path = write(tmp_path, kind, frame)
        rows = call("--input", path, "--text", "review", "--id", "film").splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == ["7", "8", "9"]
        if kind != ".jsonl":
            assert "no column 'text'; it has: review, film" in call("--input", path, fails=True)


def test_shards_compressed_files_and_joined_columns_give_the_same_scores(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
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
        {
            2: "has 1 fields, the header 2",
            3: "has 3 fields",
            4: "byte 0xff is not UTF-8",
            5: "is empty",
            6: "is empty",
        },
    ),
    ".jsonl": (
        b'{"id": "a", "text": "good"}\n{"id": 1}\n{\n[]\n{"text": "\xff"}\n{"text": null}\n'
        b'{"id": "g", "text": "fine"}\n',
        {2: "has no text", 3: "not JSON", 4: "list", 5: "is not UTF-8", 6: "is missing"},
    ),
    "": (b"good\n\n \n\xff\nfine\n", {2: "is empty", 3: "is empty", 4: "is not UTF-8"}),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_an_invalid_row_is_named_and_ends_the_run_or_is_skipped(  # type: ignore[no-untyped-def]
    call, printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    content, faults = FAULTS[kind]
    (tmp_path / f"reviews{kind}").write_bytes(content)
    source = ["--input", tmp_path / f"reviews{kind}"] if kind else []
    first, what = next(iter(faults.items()))
    line = call(*source, stdin=content, fails=True)
    assert f": row {first}: " in line
    assert what in line
    assert len(printed().splitlines()) == first  # the header, and the rows before the invalid one
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    assert len(call(*source, "--on-error", "skip", stdin=content).splitlines()) == 3
    reported = errors.getvalue().splitlines()
    assert reported.pop() == f"rows skipped: {len(faults)}"
    for reported_line, (number, what) in zip(reported, faults.items(), strict=True):
        assert f": row {number}: " in reported_line
        assert what in reported_line


def test_a_parquet_row_that_is_not_utf8_affects_no_other_row(call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
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
            "params.yaml: unknown format '.yaml'; allowed: .csv, .tsv, .json, .jsonl, .ndjson, .parquet, ",
        ),
        (["--input", "stages"], "stages: contains no files of reviews"),
        (["text", "--model", "models"], "models: no classifier there"),
        (["text", "--workers", 2], "--workers needs --ray"),
        (
            ["--input", "data/sample/reviews.csv", "--delimiter", ";;"],
            "--delimiter ';;': allowed: one character",
        ),
        (
            ["--input", "data/sample/reviews.csv", "--encoding", "latin-99"],
            "--encoding 'latin-99': allowed: the encoding",
        ),
        (
            ["--input", "data/sample/reviews.csv", "--no-lines"],
            "data/sample/reviews.csv: `lines` is for .txt files",
        ),
        (["text", "--quoting", "none"], "--quoting needs --input"),
        (
            ["--input", "data/sample/*.csv", "--text", "title", "--text", "text"],
            "no column 'title'; it has: ",
        ),
        (["text", "--ray"], "--ray needs --input and --output"),
        (
            ["text", "--output", "scores.xlsx"],
            "scores.xlsx: unknown format '.xlsx'; allowed: .csv, .jsonl, .parquet",
        ),
        (
            ["--input", "metrics/predictions/classifier/test.parquet"],
            "no column 'text'; it has: id, label, probability",
        ),
        ([""], "the arguments: row 1: the text is empty"),
        (["good", " <br /> "], "the arguments: row 2: the text is empty"),
        (["data"], "data is a file or a folder: --input data"),
        (["text", "--output", "/dev/null"], "--output /dev/null: is not a regular file; without --output"),
        (["text", "--output", "data"], "--output data: is a folder"),
        (["--input", "data/sample", "--output", "data/sample/s.csv"], "is in the folder that --input reads"),
        (
            ["--input", "data/sample/*.csv", "--output", "data/sample/s.csv"],
            "matches the pattern that --input reads",
        ),
        (
            ["--input", "data/sample/reviews.csv", "--output", "data/sample/reviews.csv"],
            "--output is --input",
        ),
    ],
)
def test_invalid_arguments_are_one_line(call, arguments: list[str], line: str) -> None:  # type: ignore[no-untyped-def]
    assert line in call(*arguments, fails=True)


def test_a_killed_run_resumes_to_the_same_bytes(ran: Clone, call, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments = ["--input", "data/prepared/test.parquet", "--window", 1, "--output"]
    scores, parts = tmp_path / "scores.csv", tmp_path / "scores.csv.parts"
    command = f"sentiment predict {' '.join(map(str, arguments))} {scores} --resume"
    for number, how in enumerate([signal.SIGINT, signal.SIGTERM, signal.SIGKILL], start=1):
        running = ran.start(command)
        while len(list(parts.glob("*.csv"))) < 3 * number:
            assert running.poll() is None
            time.sleep(0.01)
        os.killpg(running.pid, how)
        output = running.communicate()[0]
        assert not scores.exists()
        if how != signal.SIGKILL:
            assert "rows are saved; to continue, add --resume to the same command" in output
            assert output.count("\n") == 1
    saved = {path: path.stat().st_mtime_ns for path in parts.glob("*.csv")}
    assert "contains an unfinished run; add --resume, or remove it" in call(*arguments, scores, fails=True)
    shutil.copytree(ran.folder / "models/classifier", tmp_path / "elsewhere")
    (tmp_path / "elsewhere/config.json").open("a").write(" ")
    other = [*arguments, scores, "--resume", "--model", tmp_path / "elsewhere"]
    assert "belongs to a run with another model; remove it" in call(*other, fails=True)
    assert {path: path.stat().st_mtime_ns for path in parts.glob("*.csv")} == saved
    assert re.fullmatch(r"(scoring: .* left\n)*", ran.run(command))  # no progress bar in a pipe
    call(*arguments, tmp_path / "whole.csv")
    assert scores.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not parts.exists()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_run_killed_during_cleanup_leaves_nothing_to_resume(tmp_path: Path, suffix: str) -> None:
    path, run = tmp_path / f"scores{suffix}", {"model": "1"}
    first = ScoreFile(path, run)
    first.start()
    for last in (3, 5):
        first.add(last, [Score(str(last), "POSITIVE", 0.5)])
    resumed = ScoreFile(path, run, resume=True)
    resumed.start()
    assert resumed.scored == 5
    resumed.add(9, [Score("9", "NEGATIVE", 0.25)])
    (first.parts / "run.json").unlink()  # as finish does before it deletes the parts
    again = ScoreFile(path, run, resume=True)
    again.start()
    assert again.scored == 0
    again.add(9, [Score("1", "POSITIVE", 0.5)])
    again.finish()
    assert read(path)["id"].astype(str).tolist() == ["1"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_the_file_does_not_depend_on_the_sizes_of_its_parts(tmp_path: Path, suffix: str) -> None:
    scores = [
        Score(str(number), "POSITIVE" if number % 3 else "NEGATIVE", number / 20_000)
        for number in range(20_000)
    ]
    written = []
    for rows in (20_000, 999, 8192, 12_000):
        file = ScoreFile(tmp_path / f"{rows}{suffix}", {})
        file.start()
        for start in range(0, len(scores), rows):
            part = scores[start : start + rows]
            file.add(start + len(part), part)
        file.finish()
        written.append(file.path.read_bytes())
    assert len(set(written)) == 1
    assert read(file.path)["probability"].tolist() == [score.probability for score in scores]


def test_a_slow_producer_is_answered_line_by_line(ran: Clone) -> None:
    command = "exec sentiment predict --model models/baseline.npz"
    running = subprocess.Popen(
        command,
        shell=True,
        cwd=ran.folder,
        env=ran.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert running.stdin
    assert running.stdout
    assert running.stdout.readline() == b"id,label,probability\n"
    for number, text in enumerate([b"good\n", b"bad\r\n", "na\u00efve\n".encode()], start=1):
        running.stdin.write(text[:2])  # an incomplete line is not scored yet
        running.stdin.flush()
        running.stdin.write(text[2:])
        running.stdin.flush()
        assert running.stdout.readline().startswith(f"{number},".encode())  # otherwise it hangs here
    rest, _ = running.communicate(b"the last, without a line feed")
    assert [line[:2] for line in rest.splitlines()] == [b"4,"]
    assert running.returncode == 0


@pytest.mark.parametrize(
    "content", [b"", b"a", b"a\n", b"\n\na", b"\xef\xbb\xbfa\nb", b"x" * 200_000 + b"\ny\n"]
)
def test_a_stream_has_the_lines_of_its_content(content: bytes) -> None:
    stream = LineStream(io.BytesIO(content))
    assert list(stream) == content.removeprefix(b"\xef\xbb\xbf").splitlines()
    assert stream.ready()  # for the end


def test_steps_adapt_to_the_speed() -> None:
    pace = Pace()
    for seconds_a_row, rows in ((1e-4, MAX_ROWS), (0.5, 4), (10, 1), (0.01, 200)):
        for _ in range(10):
            pace.record(pace.rows, pace.rows * seconds_a_row)
        assert pace.rows == rows
    pace = Pace()
    pace.record(FIRST_ROWS, 1e-9)
    assert pace.rows == 4 * FIRST_ROWS
    fixed = Pace(3)
    fixed.record(3, 1e-9)
    assert fixed.rows == 3


def test_the_rows_before_the_end_of_a_truncated_file_are_scored(call, printed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = "".join(f"{number},a film about {number * number}\n" for number in range(5000))
    (tmp_path / "reviews.csv.gz").write_bytes(gzip.compress(f"id,text\n{rows}".encode())[:-2000])
    source = ["--model", "models/baseline.npz", "--input", tmp_path / "reviews.csv.gz"]
    assert "damaged, cut off" in call(*source, fails=True)
    scored = printed().splitlines()
    assert len(scored) > 100
    line = call(*source, "--output", tmp_path / "scores.csv", fails=True)
    assert line.endswith(
        f"; {len(scored) - 1:,} rows are saved; to continue, add --resume to the same command"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_and_closed_streams_are_one_line(ran: Clone) -> None:
    command = "sentiment predict --model models/baseline.npz good"
    full = "error: standard output: No space left on device\n"
    assert ran.run(f"{command} 2>&1 > /dev/full", fails=True) == full
    assert ran.run(f"{command} 2>&1 >&-", fails=True) == "error: standard output is closed; give --output\n"
    closed = "error: standard input is closed; give texts or --input\n"
    assert ran.run(f"{command.removesuffix(' good')} <&-", fails=True) == closed


def test_a_terminal_shows_progress_and_head_ends_the_run(ran: Clone, tmp_path: Path) -> None:
    command = "sentiment predict --input data/prepared/test.parquet --window 16"
    assert len(ran.run(f"{command} | head -n 3").splitlines()) == 3
    at_once = "from sentiment import cli, progress; progress.QUICK = 1e-9; cli.main()"
    terminal = Terminal()
    subprocess.run(
        [sys.executable, "-c", at_once, *command.split()[1:], "--output", tmp_path / "scores.csv"],
        cwd=ran.folder,
        env=ran.environment,
        stdout=terminal.file,
        stderr=terminal.file,
        check=True,
    )
    scored, _ = terminal.screen()
    assert scored.startswith("scoring: 100%|")
    assert "| 100/100 [" in scored


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame(
        {"id": range(200_000), "text": "It was a film of some length, and of some charm too. " * 10}
    )
    peaks = []
    for rows in (20_000, 200_000):
        path = write(tmp_path, kind, frame.head(rows))
        tracemalloc.start()
        scored = tmp_path / f"scores{kind.removesuffix('.gz')}"
        file = ScoreFile(scored, {})
        file.start()
        for step in steps(Reader(path), Pace(MAX_ROWS), lambda: True):
            file.add(step[-1].number, [Score(str(row.number), "POSITIVE", 0.5) for row in step])
        file.finish()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(read(scored)) == rows
    assert peaks[1] < 1.3 * peaks[0]


def test_the_baseline_can_predict(ran: Clone, call) -> None:  # type: ignore[no-untyped-def]
    rows = call("--input", "data/prepared/test.parquet", "--model", "models/baseline.npz")
    scores = pd.read_csv(io.StringIO(rows))
    right = (
        (scores["probability"] >= 0.5) == pd.read_parquet(ran.folder / "data/prepared/test.parquet")["label"]
    ).mean()
    assert right == pytest.approx(
        json.loads((ran.folder / "metrics/baseline.json").read_text())["accuracy"], abs=1e-6
    )
