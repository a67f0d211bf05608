"""Classifies reviews from arguments, standard input, or files of any size as positive or negative."""

import hashlib
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from sentiment import project
from sentiment.api import files_of
from sentiment.classifier import unknown_tokens_warning
from sentiment.commands.predict.output import SUFFIXES, ScoreFile, StandardOutput, silence_standard_output
from sentiment.commands.predict.scorer import Scorer
from sentiment.commands.predict.settings import Settings, check
from sentiment.commands.predict.steps import FIXED_ROWS, LineStream, Pace, steps
from sentiment.data.layout import Layout
from sentiment.data.quoting import Quoting
from sentiment.data.reader import Reader
from sentiment.data.row import Row
from sentiment.data.text import column_name
from sentiment.errors import InputError, InterruptedScoringError
from sentiment.params import scoring_precision
from sentiment.progress import Progress


def main(
    text: Annotated[
        list[str] | None,
        typer.Argument(help="reviews; without any, and without --input, standard input is read"),
    ] = None,
    input: Annotated[
        str,
        typer.Option(
            parser=project.from_top,
            metavar="PATH",
            help="a .csv, .tsv, .json, .jsonl or .parquet file, a folder of such files or of .txt files, "
            "or a pattern of file names in quotes",
        ),
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="COLUMN",
            help="column with the review (default: text); repeat the option to join several columns",
        ),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="column with the review's id (default: id, or the row number)"),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(metavar="NAMES", help="comma-separated column names of a CSV file without a header"),
    ] = "",
    delimiter: Annotated[
        str | None,
        typer.Option(
            metavar="CHARACTER", help="between the fields of CSV (default: detected from the first line)"
        ),
    ] = None,
    quoting: Annotated[
        Quoting | None,
        typer.Option(
            help="how CSV escapes a quote within quotes: double: by a second one; backslash: by a backslash; "
            "none: quotes are ordinary characters (default: detected from the file)"
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="of text files, such as latin-1, cp1252 or utf-16 (default: utf-8)"
        ),
    ] = None,
    lines: Annotated[
        bool | None,
        typer.Option(
            "--lines/--no-lines",
            help="whether each line of a .txt file is a review, or each file "
            "(default: files of several lines are refused)",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            parser=project.from_top,
            metavar="PATH",
            help=f"the file to write: {', '.join(SUFFIXES)} (default: standard output)",
        ),
    ] = "",
    format: Annotated[Literal["csv", "jsonl"], typer.Option(help="of standard output")] = "csv",
    on_error: Annotated[
        Literal["stop", "skip"], typer.Option(help="what to do with a row that cannot be scored")
    ] = "stop",
    resume: Annotated[
        bool, typer.Option("--resume", help="continue from the scores that an interrupted run saved")
    ] = False,
    model: Annotated[
        Path,
        typer.Option(
            parser=project.path_from_top,
            metavar="PATH",
            help="models/classifier, models/fp32, models/int8, models/baseline.npz, models/blend.json, "
            "or a copy of one",
        ),
    ] = Path("models/classifier"),
    window: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            min=1,
            help="rows to read, score and write at a time (default: as many as take two seconds)",
        ),
    ] = None,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            help="score Parquet files, local or s3://, into a new folder, on all cores or a Ray cluster",
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="with --ray: processes that score (default: one per core or GPU)"
        ),
    ] = None,
) -> None:
    """Classify reviews as positive or negative: id, label and probability of POSITIVE.

    The scores are those of evaluate: on a CPU, each depends on its own text alone.
    """
    names = [column_name(name) for name in columns.split(",")] if columns else None
    settings = Settings(
        texts=text or [],
        input=input,
        columns=[column_name(name) for name in column or ["text"]],
        id=column_name(id) if id else None,
        layout=Layout(delimiter, names, quoting, encoding, lines),
        output=output,
        format=format,
        skip_faults=on_error == "skip",
        resume=resume,
        model=model,
        window=window,
        ray=ray,
        workers=workers,
    )
    check(settings)
    if settings.ray:
        from sentiment.commands.predict.on_ray import predict_on_ray

        predict_on_ray(settings)
    else:
        predict(settings)


def predict(settings: Settings) -> None:
    """Score the input in this process."""
    if not settings.input:
        settings = replace(settings, columns=["text"], id=None)  # a line has no other columns
    precision = scoring_precision()
    reader, ready = open_input(settings)
    scorer = Scorer(settings.model, precision, settings.columns, settings.id, settings.skip_faults)
    pace = Pace(settings.window or (None if scorer.independent else FIXED_ROWS))
    output = open_output(settings, reader, precision)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM saves what Ctrl-C saves
    try:
        output.start()
        score(reader, ready, scorer, pace, output)
    except BrokenPipeError:  # the program that reads the scores has ended, as `head` does
        silence_standard_output()
    if scorer.skipped:
        print(f"rows skipped: {scorer.skipped:,}", file=sys.stderr)
    if warning := unknown_tokens_warning(scorer.tokens, scorer.unknown):
        print(warning, file=sys.stderr)


def open_input(settings: Settings) -> tuple[Reader, Callable[[], bool]]:
    """The rows to score, and a function that says whether the next row can be read without waiting.

    Raises:
        InputError: a file, a column or standard input is missing.
    """
    if settings.input:
        columns = [*settings.columns, settings.id or "id"]
        reader = Reader(Path(settings.input), only=columns, layout=settings.layout)
        reader.require(*settings.columns, *([settings.id] if settings.id else []))
        return reader, always_ready
    if settings.texts:
        texts = [text.encode("utf-8", "surrogateescape") for text in settings.texts]
        return Reader(None, texts, called="the arguments"), always_ready
    if sys.stdin is None:
        raise InputError("standard input is closed; give texts or --input")
    if sys.stdin.isatty():
        print("enter one review per line; Ctrl-D ends the input", file=sys.stderr)
    stream = LineStream(sys.stdin.buffer)
    return Reader(None, stream, called="standard input"), stream.ready


def always_ready() -> bool:
    """True: files and arguments never keep a reader waiting."""
    return True


def open_output(settings: Settings, reader: Reader, precision: str) -> ScoreFile | StandardOutput:
    """The place for the scores; a file can be resumed by a run with the same input, model and options."""
    if not settings.output:
        return StandardOutput(f".{settings.format}")
    run: dict[str, object] | None = None
    if settings.input:
        run = {
            "text": settings.columns,
            "id": settings.id,
            **settings.layout._asdict(),
            "precision": precision,
        }
        run |= fingerprint(settings.input, reader.paths, settings.model)
    return ScoreFile(Path(settings.output), run, settings.resume)


def fingerprint(input: str, paths: Sequence[Path], model: Path) -> dict[str, object]:
    """Values that identify this input with these files, and this model."""
    digest = hashlib.sha256()
    for path in files_of(model):
        digest.update(path.name.encode() + path.read_bytes())
    states = [path.stat() for path in paths]
    return {
        "input": input,
        "input_bytes": sum(state.st_size for state in states),
        "input_modified": max(state.st_mtime_ns for state in states),
        "model": digest.hexdigest(),
    }


def score(
    reader: Reader,
    ready: Callable[[], bool],
    scorer: Scorer,
    pace: Pace,
    output: ScoreFile | StandardOutput,
) -> None:
    """Score the rows of a reader, step by step, and show the progress.

    Raises:
        InputError: a row cannot be scored, the input is damaged, the disk is full, or Ctrl-C or SIGTERM
            interrupted the run. The scores of the rows before are saved.
    """
    first = output.scored + 1
    rows = (row for row in reader if row.number >= first)
    unit = "B" if reader.counts_bytes else " reviews"
    try:
        with Progress("scoring", reader.total, unit, shown=not output.shows_scores) as bar:
            for step in steps(rows, pace, ready):
                started = time.perf_counter()
                score_step(step, reader, scorer, output, bar)
                pace.record(len(step), time.perf_counter() - started)
        output.finish()
    except InputError as error:
        output.delete_empty_parts()
        raise InputError(f"{error}{output.saved()}") from error
    except KeyboardInterrupt:
        output.delete_empty_parts()
        raise InterruptedScoringError(f"interrupted{output.saved()}") from None


def score_step(
    step: Sequence[Row], reader: Reader, scorer: Scorer, output: ScoreFile | StandardOutput, bar: Progress
) -> None:
    """Score the rows of one step and write their scores; the progress bar advances with each batch.

    Raises:
        InputError: a row cannot be scored; the scores of the rows before it are written.
    """
    bar_units_per_row = (reader.position() - bar.n) / len(step)

    def advance(rows: float) -> None:
        bar.update(rows * bar_units_per_row)

    scores, fault = scorer(step, advance)
    if scores:
        last = step[len(scores) - 1] if fault else step[-1]
        output.add(last.number, scores)
    if fault:
        raise fault
    bar.advance_to(reader.position())
