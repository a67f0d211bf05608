"""Serves a classifier over HTTP, like the Hugging Face inference API and text-embeddings-inference."""

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


def main(
    model: Annotated[
        Path,
        typer.Option(
            parser=project.path_from_top,
            metavar="PATH",
            help="models/classifier, models/fp32, models/int8, models/blend.json, or a copy of one",
        ),
    ] = Path("models/classifier"),
    host: Annotated[
        str,
        typer.Option(
            help="address to listen on; 0.0.0.0: all addresses of this machine, open to the network"
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port; 0: any free port")] = 8000,
) -> None:
    """Serve a model over HTTP, in the format of the Hugging Face inference API. Ctrl-C stops the server.

    The scores are those of predict. /docs describes the requests; /metrics is for Prometheus.
    """
    with errors.extra("serve"):
        from sentiment.blend.classifier import BlendClassifier
        from sentiment.commands.serve import app, server
        from sentiment.commands.serve.scoring_queue import ScoringQueue

    precision = scoring_precision()
    with (
        contextlib.suppress(KeyboardInterrupt),
        listen(host, port, "sentiment serve --port 8001") as listening,
    ):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM stops it like Ctrl-C
        classifier = open_classifier(model, precision)
        if not isinstance(classifier, TokenClassifier | BlendClassifier):
            allowed = "models/classifier, models/fp32, models/int8, models/blend.json, or a copy of one"
            raise errors.InputError(f"{model}: cannot be served; allowed: {allowed}")
        with ScoringQueue(classifier) as queue:
            server.serve(app.build(queue, app.describe_model(model)), queue, listening)
    print("stopped")
