"""Score files: .csv, .jsonl or .parquet, written part by part so that an interrupted run can resume."""

import csv
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment import atomic
from sentiment.commands.predict.scorer import Score
from sentiment.errors import InputError

SCHEMA = pa.schema([("id", pa.string()), ("label", pa.string()), ("probability", pa.float64())])
_ROW_GROUP = 8192  # rows
FORMATS = (".csv", ".jsonl", ".parquet")


class ScoreFile:
    """A file of scores that appears complete: until then, its parts wait in PATH.parts/, for a later run to resume.

    Args:
        path: .csv, .jsonl or .parquet.
        run: all that decides the scores; another run's parts are refused. None: it cannot be resumed, as where
            standard input is read.
        resume: continue with the parts that are there.

    Attributes:
        scored: number of the last row of the input that is in the parts, as are all before it.

    Raises:
        InputError: there are parts, and `resume` is not asked for, or they are another run's.
    """

    def __init__(self, path: Path, run: dict[str, Any] | None, resume: bool = False):
        self.path, self.parts = path, path.with_name(path.name + ".parts")
        self.scored = 0
        self._chain: list[Path] = []  # the parts, each of which begins where the one before it ends
        self._resumable = run is not None
        state = self.parts / "run.json"
        if state.exists() and any(self.parts.glob(f"*[0-9]{path.suffix}")):
            kept = json.loads(state.read_text(encoding="utf-8"))
            if not kept or run is None:
                unfinished = "holds an unfinished run" + ("" if kept else " on standard input")
                raise InputError(
                    f"{self.parts}: {unfinished}, which this one cannot resume; move or remove it"
                )
            if not resume:
                raise InputError(f"{self.parts}: holds an unfinished run: --resume goes on, or remove it")
            other = sorted(key for key in {*kept, *run} if kept.get(key) != run.get(key))
            if other:
                raise InputError(
                    f"{self.parts}: is of a run with another {', '.join(other)}; remove it to begin anew"
                )
            self._follow_chain()
        else:
            shutil.rmtree(
                self.parts, ignore_errors=True
            )  # without run.json, what is left of a run that has ended
        atomic.write_json(state, run or {})

    def _follow_chain(self) -> None:
        """Find the parts, which are named by the rows that they lie between, from the first row on."""
        following = {}
        for part in sorted(self.parts.glob(f"*[0-9]{self.path.suffix}")):
            start, last = map(int, part.stem.split("-"))
            following[start] = part, last
        while self.scored in following:
            part, self.scored = following[self.scored]
            self._chain.append(part)

    def add(self, last: int, scores: Sequence[Score]) -> None:
        """Keep the scores of the rows after `scored`, up to the one with the number `last`."""
        part = self.parts / f"{self.scored:015}-{last:015}{self.path.suffix}"
        with atomic.replacing(part) as partial:
            if self.path.suffix == ".parquet":
                pq.write_table(as_table(scores), partial)
            else:
                with partial.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(lines(scores, self.path.suffix))
        self._chain.append(part)
        self.scored = last

    def kept(self) -> str:
        """A note for the error line: how many rows the parts keep, and how to resume; empty if there are no parts."""
        if not self._chain:
            shutil.rmtree(self.parts, ignore_errors=True)
            return ""
        if not self._resumable:
            return f"; {self.scored:,} rows are kept in {self.parts}/, in files without a header"
        return f"; {self.scored:,} rows are kept, and the same command with --resume goes on"

    def finish(self) -> None:
        """Put the parts together as the file."""
        with atomic.replacing(self.path) as partial:
            if self.path.suffix == ".parquet":
                with pq.ParquetWriter(partial, SCHEMA) as file:
                    for group in _row_groups(pq.read_table(part) for part in self._chain):
                        file.write_table(group)
            else:
                with partial.open("wb") as file:
                    file.write(header(self.path.suffix).encode())
                    for part in self._chain:
                        with part.open("rb") as rows:
                            shutil.copyfileobj(rows, file)
        (self.parts / "run.json").unlink()  # first: parts without it are never resumed, nor is a half of them
        shutil.rmtree(self.parts, ignore_errors=True)


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of all tables in tables of _ROW_GROUP rows, so that a file does not depend on what its parts were."""
    waiting = SCHEMA.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while len(waiting) >= _ROW_GROUP:
            yield waiting.slice(0, _ROW_GROUP).combine_chunks()
            waiting = waiting.slice(_ROW_GROUP)
    if len(waiting):
        yield waiting.combine_chunks()


def check_output(path: Path, input: str) -> None:
    """Raise InputError unless scores can be written to a file of this name, which is no part of the input."""
    if path.exists() and not path.is_file():
        what = (
            "a folder" if path.is_dir() else "no regular file; without --output, scores go to standard output"
        )
        raise InputError(f"--output {path}: is {what}")
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: {', '.join(FORMATS)}")
    if input:
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
    """The line above the scores in this format."""
    return ",".join(SCHEMA.names) + "\n" if suffix == ".csv" else ""


def lines(scores: Sequence[Score], suffix: str) -> Iterable[str]:
    """Scores as lines of .csv or .jsonl, every digit of the probabilities kept."""
    if suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(scores)
        return [text.getvalue()]
    return (json.dumps(score._asdict(), ensure_ascii=False) + "\n" for score in scores)


def as_table(scores: Sequence[Score]) -> pa.Table:
    """Scores as an Arrow table. It makes pyarrow import pandas, which a text alone need not wait for."""
    return pa.Table.from_pylist([score._asdict() for score in scores], SCHEMA)
