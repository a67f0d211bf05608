"""Say of reviews whether they are positive: given as arguments, on standard input, or in a file of any size.

python -m stages.predict "A film I did not expect to like."
python -m stages.predict < reviews.txt                                    a review a line
python -m stages.predict --input reviews.csv --output scores.parquet      or .jsonl, or a folder of .txt files

Out come id, label and probability (of POSITIVE). The scores are those of evaluate, to the bit for the same reviews in
the same order.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from stages import errors, parameters, reviews, streams
from stages.errors import InputError
from stages.labels import LABELS

SHOWN = 20  # faulty rows that are named; the rest are counted


class Predictor:
    """A classifier that train wrote, as a function of reviews.

    Args:
        folder: models/classifier, or a copy of it.
        precision: `auto`, `bf16` or `fp32`.

    Attributes:
        window: rows to give at a time, for the scores to be evaluate's to the bit.

    Raises:
        InputError: there is no such model.
    """

    def __init__(self, folder: str | Path, precision: str = "auto"):
        from stages import scoring  # late: torch takes seconds

        scoring.deterministic()
        self._score = scoring.probabilities
        self._model, self._encoder = scoring.load(folder)
        self._precision = precision
        self.window = scoring.WINDOW

    def __call__(self, rows: list[streams.Row]) -> pd.DataFrame:
        """`id`, `label` and `probability` (of POSITIVE) of rows without a fault, their text normalised."""
        texts = [row.text for row in rows]
        probability = self._score(self._model, self._encoder, texts, self._precision) if rows else np.empty(0)
        labels = np.array(LABELS)[(probability >= 0.5).astype(int)]
        return pd.DataFrame({"id": [row.id for row in rows], "label": labels, "probability": probability})


def main() -> None:
    """Score what the command line names."""
    chosen = arguments()
    lines = [text.encode("utf-8", "surrogateescape") for text in chosen.texts] or sys.stdin.buffer
    reader = streams.Reader(chosen.input, lines, chosen.text, chosen.id)
    precision = parameters.load(parameters.PrecisionParams).precision
    predictor = Predictor(chosen.model, precision)
    window = chosen.window or predictor.window
    writer = None
    if chosen.output:
        run = {"text": chosen.text, "id": chosen.id, "precision": precision, "window": window}
        again = run | fingerprint(chosen.input, chosen.model) if chosen.input else None
        writer = streams.Writer(chosen.output, again, chosen.resume)
    faults = Faults(reader.where, chosen.on_error == "skip")
    suffix = f".{chosen.format}"
    if not writer:
        sys.stdout.write(streams.header(suffix))
    shown = sys.stderr.isatty() and (writer is not None or not sys.stdout.isatty())
    unit = "B" if reader.path and reader.path.suffix in (".csv", ".jsonl") else " reviews"
    try:
        with tqdm(total=reader.total, unit=unit, unit_scale=True, disable=not shown) as bar:
            for rows in windows(reader, window, writer.done if writer else 0):
                scores = predictor(faults.without(rows))
                if writer:
                    writer.add(rows[-1].number, scores)
                else:
                    sys.stdout.writelines(streams.lines(scores, suffix))
                    sys.stdout.flush()
                bar.update(reader.position() - bar.n)
        if writer:
            writer.finish()
    except KeyboardInterrupt:
        kept = f"; {writer.done} rows are kept, and the same command with --resume goes on" if writer else ""
        raise InputError(f"interrupted{kept if chosen.input else ''}") from None
    except BrokenPipeError:  # whoever read has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    faults.sum_up()


def arguments() -> argparse.Namespace:
    """The command line."""
    usage, *_ = str(__doc__).split("\n\n")[1:]
    parser = argparse.ArgumentParser(
        prog="python -m stages.predict", description=f"{str(__doc__).splitlines()[0]}\n\n{usage}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("texts", nargs="*", metavar="TEXT", help="reviews; without any, and without --input, standard input is read")
    add("--input", type=Path, metavar="PATH", help="a .csv, .jsonl or .parquet file, or a folder of .txt files")
    add("--text", default="text", metavar="COLUMN", help="column with the review (text)")
    add("--id", metavar="COLUMN", help="column with its id (id; without one, the number of the row)")
    add("--output", type=Path, metavar="PATH", help="a .csv, .jsonl or .parquet file (standard output)")
    add("--format", choices=["csv", "jsonl"], default="csv", help="of standard output (csv)")
    add("--on-error", choices=["stop", "skip"], default="stop", help="what to do at a row with a fault (stop)")
    add("--resume", action="store_true", help="go on with what an interrupted run has kept of --output")
    add("--model", type=Path, default="models/classifier", metavar="FOLDER", help="(models/classifier)")
    add("--window", type=int, metavar="ROWS", help="rows read, scored and written at a time; on a terminal 1")
    chosen = parser.parse_args()
    if chosen.texts and chosen.input:
        parser.error("give either texts or --input")
    for text in chosen.texts:
        if len(text) < 200 and Path(text).exists():
            parser.error(f"{text} is a file or a folder: --input {text}")
    if chosen.resume and not (chosen.input and chosen.output):
        parser.error("--resume needs --input and --output")
    if chosen.input and chosen.output and chosen.input.resolve() == chosen.output.resolve():
        parser.error("--output is --input")
    if chosen.window is not None and chosen.window < 1:
        parser.error("--window: allowed: 1 or more")
    if not chosen.texts and not chosen.input and sys.stdin.isatty():
        print("a review a line; Ctrl-D ends", file=sys.stderr)
        chosen.window = chosen.window or 1
    return chosen


def windows(reader: streams.Reader, size: int, done: int) -> Iterator[list[streams.Row]]:
    """The rows after the first `done`, in windows that always begin at the same rows."""
    for _, rows in groupby(reader, lambda row: (row.number - 1) // size):
        window = [row for row in rows if row.number > done]
        if window:
            yield window


def normalised(row: streams.Row) -> streams.Row:
    """The row with its text as training saw it; an empty one is a fault."""
    if row.fault:
        return row
    text = reviews.normalise(row.text)
    return row._replace(text=text, fault="" if text else "the text is empty")


class Faults:
    """What is done about rows with a fault: skip and tell, or end with the first."""

    def __init__(self, where: str, skip: bool):
        self._where, self._skip = where, skip
        self._count = 0

    def without(self, rows: list[streams.Row]) -> list[streams.Row]:
        """The rows that can be scored, their text normalised.

        Raises:
            InputError: one cannot, and none is to be skipped.
        """
        good = []
        for row in map(normalised, rows):
            if not row.fault:
                good.append(row)
                continue
            line = f"{self._where}: row {row.number}: {row.fault}"
            if not self._skip:
                raise InputError(f"{line} (--on-error skip leaves such rows out)")
            self._count += 1
            if self._count <= SHOWN:
                print(f"skipped: {line}", file=sys.stderr)
        return good

    def sum_up(self) -> None:
        """Say how many rows were skipped."""
        if self._count:
            print(f"{self._count:,} of the rows skipped", file=sys.stderr)


def fingerprint(source: Path, model: Path) -> dict[str, object]:
    """What tells this input and this model from others."""
    digest = hashlib.sha256()
    for path in sorted(model.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    state = source.stat()
    return {
        "input": str(source),
        "input_bytes": state.st_size,
        "input_modified": state.st_mtime_ns,
        "model": digest.hexdigest(),
    }


if __name__ == "__main__":
    errors.run(main)
