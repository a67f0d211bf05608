"""Serves a demo page on this machine: a review's label, its probability, and the words that matter most."""

import os
from typing import Annotated

import typer

from sentiment import errors
from sentiment.listening import listen
from sentiment.model.saved import load_transformer
from sentiment.params import EvaluateParams


def main(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of 127.0.0.1 to listen on; 0: any free port")
    ] = 7860,
) -> None:
    """Try the model in the browser: a review, its label, and the words that matter. Ctrl-C stops it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with errors.extra("demo"):
        from sentiment.commands.demo import page, web
    precision = EvaluateParams.load().precision
    with listen(web.ADDRESS, port, "sentiment demo --port 7861") as listening:
        web.serve(page.build(load_transformer(page.MODEL, precision)), listening)
    print("stopped")
