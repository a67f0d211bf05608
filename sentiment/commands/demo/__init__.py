"""Serves a demo page on this machine: a review's label, its probability, and the words that matter most."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sentiment import errors, project
from sentiment.api import open_classifier
from sentiment.listening import listen
from sentiment.params import EvaluateParams


def main(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of 127.0.0.1 to listen on; 0: any free port")
    ] = 7860,
    model: Annotated[
        Path,
        typer.Option(
            parser=project.path_from_top,
            metavar="PATH",
            help="models/classifier, models/blend.json, or a copy of one",
        ),
    ] = Path("models/classifier"),
) -> None:
    """Try the model in the browser: a review, its label, and the words that matter. Ctrl-C stops it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with errors.extra("demo"):
        from sentiment import local_page
        from sentiment.commands.demo import page
    precision = EvaluateParams.load().precision
    with listen(local_page.ADDRESS, port, "sentiment demo --port 7861") as listening:
        local_page.serve(page.build(open_classifier(model, precision), model), listening, page.CSS)
    print("stopped")
