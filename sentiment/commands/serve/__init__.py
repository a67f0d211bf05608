"""Serves a classifier over HTTP to other programs, as the Hugging Face inference API does for text classification."""

import contextlib
import signal
from pathlib import Path
from typing import Annotated

import typer

from sentiment import errors, project
from sentiment.api import open_classifier
from sentiment.classifier import TokenClassifier
from sentiment.listening import listen
from sentiment.params import scoring_precision


def main(  # an option a line
    model: Annotated[
        Path,
        typer.Option(
            parser=project.path_from_top,
            metavar="PATH",
            help="models/classifier, models/fp32, models/int8, or a copy of one",
        ),
    ] = Path("models/classifier"),
    host: Annotated[
        str,
        typer.Option(help="the address to listen on; 0.0.0.0: all of this machine, for whoever reaches it"),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="its port; 0: any that is free")] = 8000,
) -> None:
    """Serve the model over HTTP, as the Hugging Face inference API does. Ctrl-C ends it.

    The scores are those of predict. /docs describes the requests, /metrics is for Prometheus.
    """
    with errors.extra("serve"):
        from sentiment.commands.serve import app, server
        from sentiment.commands.serve.info import describe
        from sentiment.commands.serve.scoring_queue import ScoringQueue

    precision = scoring_precision()
    with (
        contextlib.suppress(KeyboardInterrupt),
        listen(host, port, "sentiment serve --port 8001") as listening,
    ):
        signal.signal(
            signal.SIGTERM, signal.default_int_handler
        )  # an end as good as Ctrl-C, with exit status 0
        classifier = open_classifier(model, precision)
        if not isinstance(classifier, TokenClassifier):
            raise errors.InputError(
                f"{model}: cannot be served; allowed: models/classifier, models/fp32, models/int8, or a copy of one"
            )
        with ScoringQueue(classifier) as queue:
            server.serve(app.build(queue, describe(model)), queue, listening)
    print("stopped")
