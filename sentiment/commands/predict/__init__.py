"""Says of reviews whether they are positive: given as arguments, on standard input, or in a file of any size."""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from sentiment import project
from sentiment.classifier import check_exists, unknown_tokens_warning
from sentiment.commands.predict.scorer import Scorer
from sentiment.commands.predict.scores import FORMATS, ScoreFile, check_output, header, lines
from sentiment.commands.predict.steps import FIXED, MOST, Pace, Stream, steps
from sentiment.data.files import check_encoding
from sentiment.data.formats import Layout
from sentiment.data.quoting import Quoting
from sentiment.data.reader import Reader
from sentiment.data.text import column_name
from sentiment.errors import InputError
from sentiment.params import precision_of_scores
from sentiment.progress import Progress
from sentiment.validation import shortened


def main(  # an option a line
    text: Annotated[
        list[str] | None,
        typer.Argument(help="reviews; without any, and without --input, standard input is read"),
    ] = None,
    input: Annotated[
        str,
        typer.Option(
            parser=project.typed,
            metavar="PATH",
            help="a .csv, .tsv, .json, .jsonl or .parquet file, a folder of such or of .txt files, or a pattern of their names in quotes",
        ),
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            metavar="COLUMN",
            help="column with the review (text); once more for each that is joined to it",
        ),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="column with its id (id; without one, the number of the row)"),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="names of the columns, with commas between, of a CSV file without a header"
        ),
    ] = "",
    delimiter: Annotated[
        str | None,
        typer.Option(metavar="CHARACTER", help="between the fields of CSV (found by its first line)"),
    ] = None,
    quoting: Annotated[
        Quoting | None,
        typer.Option(
            help="what quotes in CSV mean: a quote within quotes is doubled, or follows a backslash; none: they are ordinary characters (found by the file)"
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="of text, such as latin-1, cp1252 or utf-16 (utf-8)")
    ] = None,
    lines: Annotated[
        bool | None,
        typer.Option(
            "--lines/--no-lines",
            help="whether each line of a .txt file is a review, or each file (refused if a file has several lines)",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            parser=project.typed, metavar="PATH", help=f"a file: {', '.join(FORMATS)} (standard output)"
        ),
    ] = "",
    format: Annotated[Literal["csv", "jsonl"], typer.Option(help="of standard output")] = "csv",
    on_error: Annotated[
        Literal["stop", "skip"], typer.Option(help="what to do at a row with a fault")
    ] = "stop",
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with what an interrupted run has kept of --output")
    ] = False,
    model: Annotated[
        Path,
        typer.Option(
            parser=project.typed_path,
            metavar="PATH",
            help="models/classifier, models/fp32, models/int8, models/baseline.npz, or a copy of one",
        ),
    ] = Path("models/classifier"),
    window: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            min=1,
            help="rows read, scored and written at a time (as many as take two seconds)",
        ),
    ] = None,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            help="score Parquet files, local or s3://, into a new folder, on every core or a Ray cluster",
        ),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="with --ray: processes that score (the cores, or GPUs, there are)"
        ),
    ] = None,
) -> None:
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
        where = settings | {"where": input, "skip": on_error == "skip"}
        score_on_ray(input, output, where, workers, window or MOST)
        return
    given, called, ready = given_lines(texts, input)
    reader = Reader(Path(input) if input else None, given, [*column, id or "id"], layout, called=called)
    if input:
        reader.require(*column, *([id] if id else []))
    else:
        column, id = ["text"], None  # of a line there is nothing else
    scorer = Scorer(model, precision, column, id, on_error == "skip")
    pace = Pace(window or (None if scorer.independent else FIXED))
    file = None
    if output:
        run: dict[str, object] = {"text": column, "id": id, **layout._asdict()}
        run |= {"precision": precision}
        file = ScoreFile(
            Path(output), run | fingerprint(input, reader.paths, model) if input else None, resume
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # which keeps what Ctrl-C keeps
    score(reader, scorer, pace, ready, file, f".{format}")
    if scorer.skipped:
        print(f"{scorer.skipped:,} of the rows skipped", file=sys.stderr)
    if warning := unknown_tokens_warning(scorer.tokens, scorer.unknown):
        print(warning, file=sys.stderr)


def given_lines(texts: list[str], input: str) -> tuple[Iterable[bytes], str, Callable[[], bool]]:
    """The lines to score where there is no --input: the texts, or standard input; what errors call them; and `ready`.

    Raises:
        InputError: standard input is needed, and closed.
    """
    if input or texts:
        return [text.encode("utf-8", "surrogateescape") for text in texts], "the arguments", lambda: True
    if sys.stdin is None:
        raise InputError("standard input is closed; give texts or --input")
    if sys.stdin.isatty():
        print("a review a line; Ctrl-D ends", file=sys.stderr)
    stream = Stream(sys.stdin.buffer)
    return stream, "standard input", stream.ready


def check_arguments(
    texts: list[str], input: str, output: str, resume: bool, ray: bool, workers: int | None, layout: Layout
) -> None:
    """Raise InputError for options that do not go together."""
    if texts and input:
        raise InputError("give either texts or --input")
    for text in texts:
        if text and os.path.exists(project.typed(text)):  # noqa: PTH110 - False for what no path can be
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
        check_output(Path(output), input)
    if not output and sys.stdout is None:
        raise InputError("standard output is closed; give --output")


def score(
    reader: Reader, scorer: Scorer, pace: Pace, ready: Callable[[], bool], file: ScoreFile | None, format: str
) -> None:
    """Score the rows of a reader, step by step, into a file or standard output, and show the progress.

    Raises:
        InputError: a row has a fault, the input is damaged, the disk is full, or Ctrl-C or SIGTERM ended it; what was
            scored before is kept.
    """
    shown = file is not None or not sys.stdout.isatty()  # scores on the screen are progress enough
    unit = "B" if reader.counts_bytes else " reviews"
    scored = file.scored if file else 0
    rows = (row for row in reader if row.number > scored)
    try:
        if not file:
            write([header(format)])
        with Progress("scoring", reader.total, unit, shown) as bar:
            for step in steps(rows, pace, ready):
                started = time.perf_counter()
                each = (reader.position() - bar.n) / len(step)
                scores, fault = scorer(step, lambda reviews, each=each: bar.update(reviews * each))  # type: ignore[misc]
                if file and scores:
                    last = step[len(scores) - 1] if fault else step[-1]
                    file.add(last.number, scores)
                elif scores:
                    write(lines(scores, format))
                if fault:
                    raise fault
                bar.to(reader.position())
                pace.took(len(step), time.perf_counter() - started)
        if file:
            file.finish()
    except InputError as error:
        raise InputError(f"{error}{file.kept() if file else ''}") from error
    except KeyboardInterrupt:
        raise InputError(f"interrupted{file.kept() if file else ''}") from None
    except BrokenPipeError:  # whoever read has seen enough, as `head` has
        drop_output()


def write(lines: Iterable[str]) -> None:
    """Write lines to standard output, at once.

    Raises:
        InputError: they cannot be written, as on a full disk.
        BrokenPipeError: nobody reads them.
    """
    try:
        sys.stdout.writelines(lines)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise InputError(f"standard output: {error.strerror}") from None


def drop_output() -> None:
    """Let standard output lead nowhere, so that what is still in its buffer makes no error when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fingerprint(input: str, paths: Sequence[Path], model: Path) -> dict[str, object]:
    """Values that tell this input, of these files, and this model from others."""
    digest = hashlib.sha256()
    for path in sorted(model.iterdir()) if model.is_dir() else [model]:
        digest.update(path.name.encode() + path.read_bytes())
    states = [path.stat() for path in paths]
    return {
        "input": input,
        "input_bytes": sum(state.st_size for state in states),
        "input_modified": max(state.st_mtime_ns for state in states),
        "model": digest.hexdigest(),
    }
