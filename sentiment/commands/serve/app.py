"""The FastAPI application: the answer at each address, and its schema."""

import asyncio
import hashlib
import html
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from sentiment import progress
from sentiment.api import files_of
from sentiment.blend import saved
from sentiment.commands.serve.request_body import CLIENT_CLOSED_REQUEST, LimitedRoute, PredictRequest
from sentiment.commands.serve.scoring_queue import ScoringQueue
from sentiment.errors import InputError, loading

# The models that a run writes, and the names of their metrics files.
MEASURED = {
    "models/classifier": "test",
    "models/fp32": "fp32",
    "models/int8": "int8",
    "models/blend.json": "blend",
}
WEIGHTS = (".safetensors", ".onnx", ".npz")  # files of weights, by their ending
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>sentiment serve</title>
<h1>sentiment serve</h1>
<p>This server classifies reviews as positive or negative with the model <code>{model}</code>.</p>
<pre>curl {address}predict --json '{{"inputs": "Warm, funny and beautifully acted."}}'</pre>
<ul>
<li><a href="docs">docs</a>: try requests (<a href="openapi.json">openapi.json</a>: for code generators)</li>
<li><a href="info">info</a>: the model, its run and its accuracy</li>
<li><a href="health">health</a>: whether the server accepts requests</li>
<li><a href="metrics">metrics</a>: for Prometheus</li>
</ul>
"""


class LabelScore(BaseModel):
    """A label and its probability."""

    label: Literal["NEGATIVE", "POSITIVE"]
    score: float = Field(ge=0, le=1)


Ranking = Annotated[list[LabelScore], Field(description="The labels of a text, the most probable first")]


class Error(BaseModel):
    """An error."""

    error: str = Field(description="one line: what is wrong, and what is allowed")


class Health(BaseModel):
    """The server's status."""

    status: Literal["ok"]


class WeightsFile(BaseModel):
    """A file of the model's weights. A blend has those of both models, and its own."""

    file: str
    sha256: str = Field(description="SHA-256 of its content, which identifies copies")


class Accuracy(BaseModel):
    """Accuracy on the test split, with a 95 % interval."""

    accuracy: float
    accuracy_low: float | None = Field(description="null for models that an earlier version exported")
    accuracy_high: float | None


class Info(BaseModel):
    """The model. The last three fields are null for a copy outside its project.

    Those about reading and pretraining describe the encoder of a blend.
    """

    model: str = Field(description="the model's folder, or the file of a blend")
    base_model: str | None = Field(description="the pretrained model that was fine-tuned")
    max_length: int | None = Field(description="number of tokens that the model reads of a text")
    truncation: str | None = Field(description="the part of a longer text that the model reads")
    weights: list[WeightsFile]
    commit: str | None = Field(description="the Git commit of the run")
    stale: list[str] | None = Field(description="stages whose inputs have changed since the run")
    test_accuracy: Accuracy | None


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The request is not valid HTTP/1.1"},
    408: {"model": Error, "description": "The request did not arrive in time"},
    413: {"model": Error, "description": "The body, the number of texts, or a text is too large"},
    415: {"model": Error, "description": "The body is compressed"},
    422: {"model": Error, "description": "The body does not fit the schema"},
    500: {"model": Error, "description": "The model could not score the texts"},
    503: {"model": Error, "description": "Too many texts are waiting; Retry-After says when to try again"},
}


def build(queue: ScoringQueue, info: Info) -> FastAPI:
    """Build the application.

    Args:
        queue: scores texts.
        info: the answer of /info.
    """
    app = FastAPI(
        title="sentiment serve",
        description="Classifies reviews as positive or negative.",
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        strict_content_type=False,
    )
    app.router.route_class = LimitedRoute
    Instrumentator(should_group_status_codes=False).instrument(app).expose(app, include_in_schema=False)
    app.add_middleware(head_as_get)

    @app.exception_handler(HTTPException)
    async def refuse(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(InputError)
    async def fail(_: Request, error: InputError) -> Response:
        return JSONResponse({"error": str(error)}, 500)

    @app.exception_handler(Exception)
    async def crash(_: Request, error: Exception) -> Response:
        line = f"{type(error).__name__}; the server printed the traceback"
        return JSONResponse({"error": line}, 500)

    @app.get("/", include_in_schema=False)
    async def welcome(request: Request) -> HTMLResponse:
        address = html.escape(str(request.base_url))
        return HTMLResponse(PAGE.format(model=html.escape(info.model), address=address))

    @app.post("/", responses=ERRORS)
    async def infer(request: Request, body: PredictRequest) -> list[Ranking]:
        """The labels of each text and their probabilities, as in the Hugging Face inference API."""
        return await rankings(request, body, queue)

    @app.post("/predict", responses=ERRORS)
    async def predict(request: Request, body: PredictRequest) -> list[Ranking] | Ranking:
        """The same as in text-embeddings-inference: for a single text, its labels without an outer list."""
        answer = await rankings(request, body, queue)
        return answer[0] if isinstance(body.inputs, str) else answer

    @app.get("/health")
    async def health() -> Health:
        """Whether the server accepts requests."""
        return Health(status="ok")

    @app.get("/info")
    async def describe() -> Info:
        """The model, the SHA-256 of its weights, the commit of its run, and its test accuracy."""
        return info

    return app


async def rankings(request: Request, body: PredictRequest, queue: ScoringQueue) -> list[list[LabelScore]]:
    """The labels of each text of a request.

    Raises:
        HTTPException: the queue is full, a text cannot be scored, or the client disconnected.
    """
    scoring = asyncio.ensure_future(queue.probabilities(body.texts))
    disconnecting = asyncio.ensure_future(disconnected(request))
    try:
        await asyncio.wait({scoring, disconnecting}, return_when=asyncio.FIRST_COMPLETED)
        if not scoring.done():
            raise HTTPException(CLIENT_CLOSED_REQUEST)
        top_k = body.parameters.top_k if body.parameters else None
        return [ranked(probability)[:top_k] for probability in scoring.result()]
    finally:
        scoring.cancel()
        disconnecting.cancel()


def ranked(probability: float) -> list[LabelScore]:
    """Both labels and their probabilities; the first is the label that `sentiment predict` gives."""
    positive = LabelScore(label="POSITIVE", score=probability)
    negative = LabelScore(label="NEGATIVE", score=1 - probability)
    return [positive, negative] if probability >= 0.5 else [negative, positive]


async def disconnected(request: Request) -> None:
    """Wait until the client disconnects."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def head_as_get(app: ASGIApp) -> ASGIApp:
    """Middleware that answers HEAD like GET; the web server omits the body."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return handle


def describe_model(model: Path) -> Info:
    """The answer of /info about a model: its folder, or a blend.

    Raises:
        InputError: config.json or the weights cannot be read.
    """
    folder = model.parent / saved.read(model).encoder if model.suffix == ".json" else model
    with loading(str(model)):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        files = [file for file in files_of(model) if file == model or file.suffix in WEIGHTS]
        weights = [WeightsFile(file=file.name, sha256=sha256(file)) for file in files]
    return Info(
        model=str(model),
        base_model=config.get("base_model"),
        max_length=config.get("review_max_length"),
        truncation=config.get("review_truncation"),
        weights=weights,
        **describe_run(model),
    )


def describe_run(model: Path) -> dict[str, Any]:
    """The commit, stale stages and test accuracy of the run that wrote a model.

    They are None for a copy elsewhere, and if they cannot be read, which is reported on standard error.
    """
    unknown = {"commit": None, "stale": None, "test_accuracy": None}
    names = {Path(folder).resolve(): name for folder, name in MEASURED.items()}
    name = names.get(model.resolve())
    if name is None:
        return unknown
    from sentiment.runs.run import Run, provenance  # late: importing DVC takes seconds

    try:
        metrics = Run().metrics(name)
        accuracy = {key: metrics.get(key) for key in ("accuracy", "accuracy_low", "accuracy_high")}
        return {**provenance(), "test_accuracy": accuracy}
    except InputError as error:
        progress.say(f"/info lacks the commit and the test accuracy: {error}", sys.stderr)
        return unknown


def sha256(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
