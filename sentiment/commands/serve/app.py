"""The FastAPI application: the answer at each address."""

import asyncio
import html
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from sentiment.commands.serve.messages import (
    GONE,
    Error,
    Health,
    Info,
    LabelScore,
    LimitedRoute,
    PredictRequest,
    Ranking,
)
from sentiment.commands.serve.scoring_queue import ScoringQueue
from sentiment.errors import InputError

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The request is not valid HTTP/1.1"},
    408: {"model": Error, "description": "The request did not arrive in time"},
    413: {"model": Error, "description": "The body, the number of texts, or a text is too large"},
    415: {"model": Error, "description": "The body is compressed"},
    422: {"model": Error, "description": "The body is no such request"},
    500: {"model": Error, "description": "The model could not score the texts"},
    503: {"model": Error, "description": "Too many texts are waiting; Retry-After says when to try again"},
}
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>sentiment serve</title>
<h1>sentiment serve</h1>
<p>This server classifies reviews as positive or negative. It runs the model <code>{model}</code>.</p>
<pre>curl {address}predict --json '{{"inputs": "Warm, funny and beautifully acted."}}'</pre>
<ul>
<li><a href="docs">docs</a>: the requests, to try (<a href="openapi.json">openapi.json</a> for programs)</li>
<li><a href="info">info</a>: the model, its run and its accuracy</li>
<li><a href="health">health</a>: whether requests are answered</li>
<li><a href="metrics">metrics</a>: for Prometheus</li>
</ul>
"""


def build(queue: ScoringQueue, info: Info) -> FastAPI:
    """The application.

    Args:
        queue: scores texts.
        info: what /info answers.
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
    async def refuse(_: Request, refusal: HTTPException) -> Response:
        return JSONResponse({"error": refusal.detail}, refusal.status_code, refusal.headers)

    @app.exception_handler(InputError)
    async def fail(_: Request, error: InputError) -> Response:
        return JSONResponse({"error": str(error)}, 500)

    @app.exception_handler(Exception)
    async def crash(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": f"{type(error).__name__}; the server printed where"}, 500)

    @app.get("/", include_in_schema=False)
    async def welcome(request: Request) -> HTMLResponse:
        address = html.escape(str(request.base_url))
        return HTMLResponse(PAGE.format(model=html.escape(info.model), address=address))

    @app.post("/", responses=REFUSALS)
    async def infer(request: Request, asked: PredictRequest) -> list[Ranking]:
        """The labels of each text and their probabilities, as the Hugging Face inference API answers."""
        return await rankings(request, asked, queue)

    @app.post("/predict", responses=REFUSALS)
    async def predict(request: Request, asked: PredictRequest) -> list[Ranking] | Ranking:
        """The same as text-embeddings-inference answers: for a single text, its labels without a list around."""
        answer = await rankings(request, asked, queue)
        return answer[0] if isinstance(asked.inputs, str) else answer

    @app.get("/health")
    async def health() -> Health:
        """That requests are taken."""
        return Health(status="ok")

    @app.get("/info")
    async def describe() -> Info:
        """The model, the SHA-256 of its weights, the commit of its run, and its test accuracy."""
        return info

    return app


async def rankings(request: Request, asked: PredictRequest, queue: ScoringQueue) -> list[list[LabelScore]]:
    """The labels of each text of a request.

    Raises:
        HTTPException: there is no room for the request, a text cannot be scored, or the client went away.
    """
    scoring = asyncio.ensure_future(queue.probabilities(asked.texts))
    leaving = asyncio.ensure_future(left(request))
    try:
        await asyncio.wait({scoring, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not scoring.done():
            raise HTTPException(GONE)
        top_k = asked.parameters.top_k if asked.parameters else None
        return [ranked(probability)[:top_k] for probability in scoring.result()]
    finally:
        scoring.cancel()
        leaving.cancel()


def ranked(probability: float) -> list[LabelScore]:
    """Both labels and their probabilities, the label that predict gives first."""
    positive = LabelScore(label="POSITIVE", score=probability)
    negative = LabelScore(label="NEGATIVE", score=1 - probability)
    return [positive, negative] if probability >= 0.5 else [negative, positive]


async def left(request: Request) -> None:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def head_as_get(app: ASGIApp) -> ASGIApp:
    """Middleware that answers HEAD as GET; the web server leaves the body out."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return handle
