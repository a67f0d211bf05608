"""Where scores go: standard output, or a .csv, .jsonl or .parquet file that an interrupted run can resume."""

import csv
import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment import atomic
from sentiment.commands.predict.scorer import Score
from sentiment.errors import InputError

SCHEMA = pa.schema([("id", pa.string()), ("label", pa.string()), ("probability", pa.float64())])
SUFFIXES = (".csv", ".jsonl", ".parquet")
_ROW_GROUP = 8192  # rows


class StandardOutput:
    """Scores as lines on standard output, each step at once.

    Args:
        suffix: the format: .csv or .jsonl.

    Attributes:
        scored: number of input rows that an earlier run has scored: 0.
        shows_scores: whether people see the scores appear, so that they need no progress bar.
    """

    scored = 0

    def __init__(self, suffix: str):
        self._suffix = suffix
        self.shows_scores = sys.stdout.isatty()

    def start(self) -> None:
        """Write the header.

        Raises:
            InputError: it cannot be written, as on a full disk.
            BrokenPipeError: the program that reads the output has ended.
        """
        self._write([header(self._suffix)])

    def add(self, last: int, scores: Sequence[Score]) -> None:
        """Write scores, with the errors of `start`."""
        self._write(lines(scores, self._suffix))

    def finish(self) -> None:
        """Nothing: every line is flushed already."""

    def delete_empty_parts(self) -> None:
        """Nothing: there are no parts."""

    def saved(self) -> str:
        """A note for error messages: empty, because the scores are on standard output."""
        return ""

    def _write(self, text: Iterable[str]) -> None:
        try:
            sys.stdout.writelines(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            silence_standard_output()
            raise InputError(f"standard output: {error.strerror}") from None


def silence_standard_output() -> None:
    """Redirect standard output to the null device, so that flushing its buffer at exit raises no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class ScoreFile:
    """A file of scores that appears only when it is complete.

    Until then, its parts are in the folder PATH.parts/, from which a later run can resume.

    Args:
        path: .csv, .jsonl or .parquet.
        run: everything that determines the scores; parts from a run with other values are refused. None: the
            run cannot be resumed, because it reads standard input.
        resume: continue from the parts of an interrupted run.

    Attributes:
        scored: number of input rows that the parts cover.
        shows_scores: False: the scores go to a file.
    """

    shows_scores = False

    def __init__(self, path: Path, run: dict[str, Any] | None, resume: bool = False):
        self.path, self.parts = path, path.with_name(path.name + ".parts")
        self.scored = 0
        self._run, self._resume = run, resume
        self._state = self.parts / "run.json"
        self._chain: list[Path] = []  # the parts in order, without gaps

    def start(self) -> None:
        """Continue from the parts of an interrupted run, or delete leftover files and start at the first row.

        Raises:
            InputError: there are parts, but `resume` is False, or they belong to another run.
        """
        if self._state.exists() and any(self._part_files()):
            self._check_resumable()
            self._find_chain()
        else:  # without run.json, the folder is left over from a run that finished
            self._delete_parts()
        atomic.write_json(self._state, self._run or {})

    def add(self, last: int, scores: Sequence[Score]) -> None:
        """Save the scores of the rows after `scored`, up to row number `last`, as a new part."""
        part = self.parts / f"{self.scored:015}-{last:015}{self.path.suffix}"
        with atomic.replacing(part) as partial:
            if self.path.suffix == ".parquet":
                pq.write_table(as_table(scores), partial)
            else:
                with partial.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(lines(scores, self.path.suffix))
        self._chain.append(part)
        self.scored = last

    def saved(self) -> str:
        """A note for error messages: how many rows are saved, and how to resume; empty if there are none."""
        if not self._chain:
            return ""
        rows = f"{self.scored:,} {'row is' if self.scored == 1 else 'rows are'} saved"
        if self._run is None:
            return f"; {rows} in {self.parts}/, in files without a header"
        return f"; {rows}; to continue, add --resume to the same command"

    def delete_empty_parts(self) -> None:
        """Delete the folder of the parts if it contains no scores."""
        if not self._chain:
            self._delete_parts()

    def finish(self) -> None:
        """Join the parts into the file, and delete them."""
        with atomic.replacing(self.path) as partial:
            if self.path.suffix == ".parquet":
                self._join_tables(partial)
            else:
                self._join_lines(partial)
        # run.json goes first: parts without it are never resumed, so an interruption here does no harm.
        self._state.unlink()
        self._delete_parts()

    def _part_files(self) -> list[Path]:
        return sorted(self.parts.glob(f"*[0-9]{self.path.suffix}"))

    def _check_resumable(self) -> None:
        """Raise InputError unless the parts belong to this run, and it may resume."""
        earlier = json.loads(self._state.read_text(encoding="utf-8"))
        if not earlier or self._run is None:
            unfinished = "an unfinished run" if earlier else "an unfinished run on standard input"
            raise InputError(
                f"{self.parts}: contains {unfinished}, which this one cannot resume; move or remove it"
            )
        if not self._resume:
            raise InputError(f"{self.parts}: contains an unfinished run; add --resume, or remove it")
        different = [key for key in {*earlier, *self._run} if earlier.get(key) != self._run.get(key)]
        if different:
            keys = ", ".join(sorted(different))
            raise InputError(f"{self.parts}: belongs to a run with another {keys}; remove it to start again")

    def _find_chain(self) -> None:
        """Find the parts that follow each other from the first row, by the row numbers in their names."""
        following = {}
        for part in self._part_files():
            start, last = map(int, part.stem.split("-"))
            following[start] = part, last
        while self.scored in following:
            part, self.scored = following[self.scored]
            self._chain.append(part)

    def _delete_parts(self) -> None:
        shutil.rmtree(self.parts, ignore_errors=True)

    def _join_tables(self, path: Path) -> None:
        with pq.ParquetWriter(path, SCHEMA) as file:
            for group in _row_groups(pq.read_table(part) for part in self._chain):
                file.write_table(group)

    def _join_lines(self, path: Path) -> None:
        with path.open("wb") as file:
            file.write(header(self.path.suffix).encode())
            for part in self._chain:
                with part.open("rb") as rows:
                    shutil.copyfileobj(rows, file)


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of all tables, in tables of _ROW_GROUP rows: parts of any size give the same file."""
    waiting = SCHEMA.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while len(waiting) >= _ROW_GROUP:
            yield waiting.slice(0, _ROW_GROUP).combine_chunks()
            waiting = waiting.slice(_ROW_GROUP)
    if len(waiting):
        yield waiting.combine_chunks()


def check_path(path: Path, input: str) -> None:
    """Raise InputError unless `path` can be an output file that is not part of the input."""
    if path.is_dir():
        raise InputError(f"--output {path}: is a folder")
    if path.exists() and not path.is_file():
        raise InputError(
            f"--output {path}: is not a regular file; without --output, scores go to standard output"
        )
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")
    if not input:
        return
    source, target = Path(input).resolve(), path.resolve()
    if source == target:
        raise InputError("--output is --input")
    if source.is_dir() and source in target.parents:
        raise InputError(f"--output {path}: is in the folder that --input reads; write it elsewhere")
    if target.match(str(Path(input).absolute())):
        raise InputError(
            f"--output {path}: its name matches the pattern that --input reads; write it elsewhere"
        )


def header(suffix: str) -> str:
    """The line above the scores in this format; empty for .jsonl."""
    return ",".join(SCHEMA.names) + "\n" if suffix == ".csv" else ""


def lines(scores: Sequence[Score], suffix: str) -> Iterable[str]:
    """Scores as text in .csv or .jsonl, with every digit of the probabilities."""
    if suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(scores)
        return [text.getvalue()]
    return (json.dumps(score._asdict(), ensure_ascii=False) + "\n" for score in scores)


def as_table(scores: Sequence[Score]) -> pa.Table:
    """Scores as an Arrow table. This makes pyarrow import pandas, for which a single text need not wait."""
    return pa.Table.from_pylist([score._asdict() for score in scores], SCHEMA)
