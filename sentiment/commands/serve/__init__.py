"""Serves a classifier over HTTP, like the Hugging Face inference API and text-embeddings-inference."""

import contextlib
import os
import re
import signal
from pathlib import Path
from typing import Annotated

import typer

from sentiment import errors, project
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

    The scores are those of predict. /docs describes the requests; /metrics is for Prometheus. SIGHUP reloads
    the model. If the environment variable SENTIMENT_TOKEN is set, requests need it as a bearer token.
    """
    with errors.extra("serve"):
        from sentiment.commands.serve import app, server
        from sentiment.commands.serve.served_model import ServedModel

    token = read_token()
    precision = scoring_precision()
    with (
        contextlib.suppress(KeyboardInterrupt),
        listen(host, port, "sentiment serve --port 8001") as listening,
    ):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM stops it like Ctrl-C
        hangup = server.catch_hangup()
        with ServedModel(model, precision) as served:
            server.serve(app.build(served, token), served, hangup, listening)
    print("stopped")


def read_token() -> str | None:
    """The bearer token in the environment; None if there is none.

    Raises:
        InputError: it cannot be sent in a header.
    """
    token = os.environ.get("SENTIMENT_TOKEN")
    if token is not None and not re.fullmatch("[A-Za-z0-9._~+/-]+=*", token):
        raise errors.InputError(
            "SENTIMENT_TOKEN: is empty or has a character that is not allowed; allowed: letters, digits and "
            "-._~+/, such as the output of `openssl rand -hex 32`; to allow all requests, unset it"
        )
    return token
