"""Says of reviews whether they are positive: given as arguments, on standard input, or in a file of any size."""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import typer

from sentiment import project
from sentiment.commands.predict.scorer import BLOCK, Scorer
from sentiment.commands.predict.scores import FORMATS, ScoreFile, check_format, header, lines
from sentiment.data.files import check_encoding
from sentiment.data.formats import Layout
from sentiment.data.quoting import Quoting
from sentiment.data.reader import Reader
from sentiment.data.row import Row
from sentiment.data.text import column_name
from sentiment.errors import InputError
from sentiment.model.classifier import check_exists
from sentiment.params import precision_of_scores
from sentiment.progress import Progress
from sentiment.schema import shortened


# fmt: off
def main(  # an option a line
    text: Annotated[list[str] | None, typer.Argument(help="reviews; without any, and without --input, standard input is read")] = None,
    input: Annotated[str, typer.Option(parser=project.typed, metavar="PATH", help="a .csv, .tsv, .json, .jsonl or .parquet file, a folder of such or of .txt files, or a pattern of their names in quotes")] = "",
    column: Annotated[list[str] | None, typer.Option("--text", metavar="COLUMN", help="column with the review (text); once more for each that is joined to it")] = None,
    id: Annotated[str | None, typer.Option(metavar="COLUMN", help="column with its id (id; without one, the number of the row)")] = None,
    columns: Annotated[str, typer.Option(metavar="NAMES", help="names of the columns, with commas between, of a CSV file without a header")] = "",
    delimiter: Annotated[str | None, typer.Option(metavar="CHARACTER", help="between the fields of CSV (found by its first line)")] = None,
    quoting: Annotated[Quoting | None, typer.Option(help="what quotes in CSV mean: a quote within quotes is doubled, or follows a backslash; none: they are ordinary characters (found by the file)")] = None,
    encoding: Annotated[str | None, typer.Option(metavar="NAME", help="of text, such as latin-1, cp1252 or utf-16 (utf-8)")] = None,
    lines: Annotated[bool | None, typer.Option("--lines/--no-lines", help="whether each line of a .txt file is a review, or each file (refused if a file has several lines)")] = None,
    output: Annotated[str, typer.Option(parser=project.typed, metavar="PATH", help=f"a file: {', '.join(FORMATS)} (standard output)")] = "",
    format: Annotated[Literal["csv", "jsonl"], typer.Option(help="of standard output")] = "csv",
    on_error: Annotated[Literal["stop", "skip"], typer.Option(help="what to do at a row with a fault")] = "stop",
    resume: Annotated[bool, typer.Option("--resume", help="go on with what an interrupted run has kept of --output")] = False,
    model: Annotated[Path, typer.Option(parser=project.typed_path, metavar="PATH", help="models/classifier, models/fp32, models/int8, models/baseline.npz, or a copy of one")] = Path("models/classifier"),
    window: Annotated[int | None, typer.Option(metavar="ROWS", min=1, help="rows read, scored and written at a time; on a terminal 1")] = None,
    ray: Annotated[bool, typer.Option("--ray", help="score Parquet files, local or s3://, into a new folder, on every core or a Ray cluster")] = False,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="with --ray: processes that score (the cores, or GPUs, there are)")] = None,
) -> None:
# fmt: on
    """Say of reviews whether they are positive: id, label and probability of POSITIVE.

    The scores are those of evaluate: on a CPU, each depends on its own text alone.
    """
    texts, column = text or [], [column_name(name) for name in column or ["text"]]
    id = id and column_name(id)
    names = [column_name(name) for name in columns.split(",")] if columns else None
    layout = Layout(delimiter, names, quoting, encoding, lines)
    check_arguments(texts, input, output, resume, ray, workers, layout)
    precision = precision_of_scores()
    if ray:
        from sentiment.commands.predict.on_ray import score_on_ray

        check_exists(model)
        settings = {"model": str(model.resolve()), "precision": precision, "text": column, "id": id or "id"}
        score_on_ray(input, output, settings | {"where": input, "skip": on_error == "skip"}, workers, window or BLOCK)
        return
    if not texts and not input and sys.stdin.isatty():
        print("a review a line; Ctrl-D ends", file=sys.stderr)
        window = window or 1
    given = [each.encode("utf-8", "surrogateescape") for each in texts] or sys.stdin.buffer
    reader = Reader(Path(input) if input else None, given, [*column, id or "id"], layout)
    if input:
        reader.require(*column, *([id] if id else []))
    else:
        column, id = ["text"], None  # of a line there is nothing else
    scorer = Scorer(model, precision, column, id, on_error == "skip")
    window = window or BLOCK
    file = None
    if output:
        run: dict[str, object] = {"text": column, "id": id, **layout._asdict()}
        run |= {"precision": precision}
        file = ScoreFile(Path(output), run | fingerprint(input, reader.paths, model) if input else None, resume)
    score_blocks(reader, scorer, window, file, f".{format}")
    if scorer.skipped:
        print(f"{scorer.skipped:,} of the rows skipped", file=sys.stderr)
    if warning := scorer.warning():
        print(warning, file=sys.stderr)


def check_arguments(
    texts: list[str], input: str, output: str, resume: bool, ray: bool, workers: int | None, layout: Layout
) -> None:
    """Raise InputError for options that do not go together."""
    if texts and input:
        raise InputError("give either texts or --input")
    for text in texts:
        if len(text) < 200 and Path(project.typed(text)).exists():
            raise InputError(f"{text} is a file or a folder: --input {text}")
    if resume and not (input and output):
        raise InputError("--resume needs --input and --output")
    if ray and not (input and output and not resume):
        raise InputError("--ray needs --input and --output, and knows no --resume")
    delimiter = layout.delimiter
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputError(f"--delimiter {shortened(delimiter)}: allowed: one character, such as ';'")
    for key, value in layout._asdict().items():
        if value is not None and not input:
            raise InputError(f"--{key} is for --input")
    if layout.encoding is not None:
        try:
            check_encoding(layout.encoding)
        except ValueError:
            allowed = "the encoding of text files, such as latin-1, cp1252 or utf-16"
            raise InputError(f"--encoding {shortened(layout.encoding)}: allowed: {allowed}") from None
    if workers and not ray:
        raise InputError("--workers is for --ray")
    if output and not ray:
        check_format(Path(output))
    if input and output and not ray and Path(input).resolve() == Path(output).resolve():
        raise InputError("--output is --input")


def score_blocks(reader: Reader, scorer: Scorer, block: int, file: ScoreFile | None, format: str) -> None:
    """Score the rows of a reader, `block` at a time, into a file or standard output, and show the progress.

    Raises:
        InputError: a row has a fault, or Ctrl-C ended it.
    """
    if not file:
        print(header(format), end="")
    shown = file is not None or not sys.stdout.isatty()  # scores on the screen are progress enough
    unit = "B" if reader.counts_bytes else " reviews"
    try:
        with Progress("scoring", reader.total, unit, shown) as bar:
            for rows in blocks(reader, block, file.scored if file else 0):
                each = (reader.position() - bar.n) / len(rows)
                scores = scorer(rows, lambda reviews, each=each: bar.update(reviews * each))  # type: ignore[misc]
                if file:
                    file.add(rows[-1].number, scores)
                else:
                    sys.stdout.writelines(lines(scores, format))
                    sys.stdout.flush()
                bar.to(reader.position())
        if file:
            file.finish()
    except KeyboardInterrupt:
        kept = f"; {file.scored} rows are kept, and the same command with --resume goes on" if file else ""
        raise InputError(f"interrupted{kept if reader.paths else ''}") from None
    except BrokenPipeError:  # whoever read has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def blocks(rows: Iterable[Row], size: int, scored: int) -> Iterator[list[Row]]:
    """The rows after the first `scored`, in blocks that always begin at the same rows."""
    for _, group in groupby(rows, lambda row: (row.number - 1) // size):
        block = [row for row in group if row.number > scored]
        if block:
            yield block


def fingerprint(input: str, paths: Sequence[Path], model: Path) -> dict[str, object]:
    """Values that tell this input, of these files, and this model from others."""
    digest = hashlib.sha256()
    for path in sorted(model.iterdir()) if model.is_dir() else [model]:
        digest.update(path.name.encode() + path.read_bytes())
    states = [path.stat() for path in paths]
    return {
        "input": input, "input_bytes": sum(state.st_size for state in states),
        "input_modified": max(state.st_mtime_ns for state in states),
        "model": digest.hexdigest(),
    }  # fmt: skip
