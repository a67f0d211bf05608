"""Score files: .csv, .jsonl or .parquet, written block by block so that an interrupted run can go on."""

import csv
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sentiment import atomic
from sentiment.commands.predict.scorer import Score
from sentiment.errors import InputError

SCHEMA = pa.schema([("id", pa.string()), ("label", pa.string()), ("probability", pa.float64())])
FORMATS = (".csv", ".jsonl", ".parquet")


class ScoreFile:
    """A file of scores that appears complete: until then its blocks wait in PATH.parts/, for a later run to go on.

    Args:
        path: .csv, .jsonl or .parquet.
        run: all that decides the scores; another run's blocks are refused. None: it cannot be gone on with, as where
            standard input is read, and blocks are removed.
        resume: go on with the blocks that are there.

    Attributes:
        scored: rows of the input whose blocks are there.

    Raises:
        InputError: the format is unknown, there are blocks and `resume` is not asked for, or they are another run's.
    """

    def __init__(self, path: Path, run: dict[str, Any] | None, resume: bool = False):
        check_format(path)
        self.path, self.parts = path, path.with_name(path.name + ".parts")
        self.scored = 0
        state = self.parts / "run.json"
        if run is None:
            shutil.rmtree(self.parts, ignore_errors=True)
            return
        if state.exists():
            if not resume:
                raise InputError(f"{self.parts}: holds an unfinished run: --resume goes on, or remove it")
            kept = json.loads(state.read_text(encoding="utf-8"))
            other = sorted(key for key in {*kept, *run} if kept.get(key) != run.get(key))
            if other:
                raise InputError(f"{self.parts}: is of a run with another {', '.join(other)}; remove it to begin anew")
            self.scored = max([int(block.stem) for block in self._blocks()], default=0)
        atomic.write_json(state, run)

    def _blocks(self) -> list[Path]:
        return sorted(self.parts.glob(f"*[0-9]{self.path.suffix}"))

    def add(self, last: int, scores: Sequence[Score]) -> None:
        """Keep a block: its `id`, `label` and `probability`; `last` is the number of its last row."""
        with atomic.replacing(self.parts / f"{last:015}{self.path.suffix}") as partial:
            if self.path.suffix == ".parquet":
                pq.write_table(as_table(scores), partial)
            else:
                with partial.open("w", encoding="utf-8", newline="") as file:
                    file.writelines(lines(scores, self.path.suffix))
        self.scored = last

    def finish(self) -> None:
        """Put the blocks together as the file."""
        with atomic.replacing(self.path) as partial:
            if self.path.suffix == ".parquet":
                with pq.ParquetWriter(partial, SCHEMA) as file:
                    for block in self._blocks():
                        file.write_table(pq.read_table(block))
            else:
                with partial.open("wb") as file:
                    file.write(header(self.path.suffix).encode())
                    for block in self._blocks():
                        with block.open("rb") as rows:
                            shutil.copyfileobj(rows, file)
        shutil.rmtree(self.parts, ignore_errors=True)  # there is none of an empty input


def check_format(path: Path) -> None:
    """Raise InputError unless scores can be written to a file with this ending."""
    if path.suffix not in FORMATS:
        raise InputError(f"{path}: unknown format {path.suffix!r}; allowed: {', '.join(FORMATS)}")


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
