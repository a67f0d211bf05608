"""The options of one run of `sentiment predict`, and the checks of their values."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from sentiment import project
from sentiment.commands.predict.output import check_path
from sentiment.data.files import check_encoding
from sentiment.data.layout import Layout
from sentiment.errors import InputError
from sentiment.validation import shortened


@dataclass(frozen=True)
class Settings:
    """The input to score, the model, and the place for the scores.

    Attributes:
        texts: reviews given as arguments.
        input: a file, folder or pattern of reviews; empty: `texts`, or standard input if there are none.
        columns: columns that make up the review; several are joined.
        id: column with the id; None: `id`, or the row number if there is no such column.
        layout: how the files of `input` are written.
        output: the file to write, or with `ray` the folder; empty: standard output.
        format: of standard output: `csv` or `jsonl`.
        skip_faults: skip rows that cannot be scored; otherwise the first one ends the run.
        resume: continue from the scores that an interrupted run saved.
        model: the classifier.
        window: rows to score at a time; None: chosen by the speed.
        ray: score Parquet files on a Ray cluster.
        workers: processes of Ray that score; None: one per core or GPU.
    """

    texts: list[str]
    input: str
    columns: list[str]
    id: str | None
    layout: Layout
    output: str
    format: str
    skip_faults: bool
    resume: bool
    model: Path
    window: int | None
    ray: bool
    workers: int | None


def check(settings: Settings) -> None:
    """Raise InputError for values that are not allowed, and for options that exclude each other."""
    check_texts(settings)
    check_combinations(settings)
    check_layout(settings)
    if settings.output and not settings.ray:
        check_path(Path(settings.output), settings.input)
    if not settings.output and sys.stdout is None:
        raise InputError("standard output is closed; give --output")


def check_texts(settings: Settings) -> None:
    """Raise InputError if there are both texts and --input, or if a text is the path of a file or folder."""
    if settings.texts and settings.input:
        raise InputError("give either texts or --input")
    for text in settings.texts:
        if text and os.path.exists(project.from_top(text)):  # noqa: PTH110 - False for text that is no valid path
            raise InputError(f"{text} is a file or a folder: --input {text}")


def check_combinations(settings: Settings) -> None:
    """Raise InputError for options that need or exclude another one."""
    has_files = bool(settings.input and settings.output)
    if settings.resume and not has_files:
        raise InputError("--resume needs --input and --output")
    if settings.ray and (settings.resume or not has_files):
        raise InputError("--ray needs --input and --output, and excludes --resume")
    if settings.workers and not settings.ray:
        raise InputError("--workers needs --ray")


def check_layout(settings: Settings) -> None:
    """Raise InputError for an invalid delimiter or encoding, or for a layout without --input."""
    layout = settings.layout
    if layout.delimiter is not None and (len(layout.delimiter) != 1 or layout.delimiter in '"\r\n'):
        raise InputError(f"--delimiter {shortened(layout.delimiter)}: allowed: one character, such as ';'")
    for option, value in layout._asdict().items():
        if value is not None and not settings.input:
            raise InputError(f"--{option} needs --input")
    if layout.encoding is not None:
        try:
            check_encoding(layout.encoding)
        except ValueError:
            allowed = "the encoding of text files, such as latin-1, cp1252 or utf-16"
            raise InputError(f"--encoding {shortened(layout.encoding)}: allowed: {allowed}") from None
