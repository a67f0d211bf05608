"""Finds suspects among the reviews: labels that are probably wrong, and reviews that leak between splits.

Nothing is corrected here. A person decides about each suspect; dataset.yaml names the file with the verdicts.
"""

import os
import shutil
import textwrap
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from sentiment import atomic, errors
from sentiment.commands.audit.suspects import REASONS, find_suspects
from sentiment.data.schema import DATA
from sentiment.labels import LABELS
from sentiment.params import PrepareParams

SHOWN = 10  # suspects on screen
LINES = 3  # of each text


def main(
    page: Annotated[
        bool,
        typer.Option("--page", help="decide about the suspects in the browser (needs the extra `demo`)"),
    ] = False,
) -> None:
    """Find reviews whose label is probably wrong, and reviews that leak between splits.

    The suspects of the dataset in params.yaml are written to data/<name>/suspects.csv, the most suspect
    first. Scores are out of sample: n-grams by cross-validation, and on the test split the blend, if the last
    run has one. With --page, the suspects of that file are shown, or new ones if there is no file.
    """
    name = PrepareParams.load().dataset
    path = DATA / name / "suspects.csv"
    if page and path.exists():
        suspects = pd.read_csv(path, keep_default_na=False)
    else:
        suspects, reviews = find_suspects(name)
        with atomic.replacing(path) as target:
            suspects.to_csv(target, index=False)
        print(summary(suspects, reviews, path))
    if page:
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        with errors.extra("demo"):
            from sentiment.commands.audit.page import open_page

        open_page(name, suspects)


def summary(suspects: pd.DataFrame, reviews: int, path: Path) -> str:
    """The number of suspects by reason, and the first of them.

    Args:
        suspects: the result of `find_suspects`.
        reviews: the number of reviews with a label.
        path: the file with all suspects.
    """
    if suspects.empty:
        return f"no suspects among {reviews:,} reviews; {path} is empty"
    width = min(shutil.get_terminal_size().columns, 110)
    lines = [f"{len(suspects):,} suspects among {reviews:,} reviews"]
    counts = suspects["reason"].value_counts()
    lines += [f"  {counts[reason]:,}: {words}" for reason, words in REASONS.items() if reason in counts]
    for suspect in suspects.head(SHOWN).itertuples():
        other = LABELS[1 - LABELS.index(suspect.label)]
        related = f" ({suspect.related})" if suspect.related else ""
        lines += [
            "",
            f"{suspect.id}: {suspect.label}, probability of {other} {suspect.probability:.2f}, "
            f"{suspect.reason}{related}",
            *textwrap.wrap(
                suspect.text,
                width,
                initial_indent="  ",
                subsequent_indent="  ",
                max_lines=LINES,
                placeholder=" …",
            ),
        ]
    lines += ["", f"all of them: {path}; `sentiment audit --page` shows one at a time, to decide about it"]
    return "\n".join(lines)
