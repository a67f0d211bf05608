"""The FastAPI application: the answer at each address, and its schema."""

import asyncio
import html
import secrets
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from sentiment.commands.serve.request_body import CLIENT_CLOSED_REQUEST, LimitedRoute, PredictRequest
from sentiment.commands.serve.served_model import Info, ServedModel
from sentiment.errors import InputError

OPEN = ("/health", "/ready")  # answered without a token, because load balancers send none
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>sentiment serve</title>
<h1>sentiment serve</h1>
<p>This server classifies reviews as positive or negative with the model <code>{model}</code>.</p>
<pre>curl {address}predict --json '{{"inputs": "Warm, funny and beautifully acted."}}'</pre>
<ul>
<li><a href="docs">docs</a>: try requests (<a href="openapi.json">openapi.json</a>: for code generators)</li>
<li><a href="info">info</a>: the model, its run and its accuracy</li>
<li><a href="health">health</a>: whether the server runs;
<a href="ready">ready</a>: whether it accepts requests</li>
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


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The request is not valid HTTP/1.1"},
    401: {"model": Error, "description": "The server has a token, and the request lacks it"},
    408: {"model": Error, "description": "The request did not arrive in time"},
    413: {"model": Error, "description": "The body, the number of texts, or a text is too large"},
    415: {"model": Error, "description": "The body is compressed"},
    422: {"model": Error, "description": "The body does not fit the schema"},
    500: {"model": Error, "description": "The model could not score the texts"},
    503: {"model": Error, "description": "Too many texts are waiting; Retry-After says when to try again"},
}


def build(served: ServedModel, token: str | None) -> FastAPI:
    """Build the application.

    Args:
        served: scores texts, and describes itself.
        token: the bearer token of every request, or None if all are allowed.
    """
    app = FastAPI(
        title="sentiment serve",
        description="Classifies reviews as positive or negative.",
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        strict_content_type=False,
    )
    app.router.route_class = LimitedRoute
    if token is not None:
        app.add_middleware(require_token, token=token)
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
        return HTMLResponse(PAGE.format(model=html.escape(served.info.model), address=address))

    @app.post("/", responses=ERRORS)
    async def infer(request: Request, body: PredictRequest) -> list[Ranking]:
        """The labels of each text and their probabilities, as in the Hugging Face inference API."""
        return await rankings(request, body, served)

    @app.post("/predict", responses=ERRORS)
    async def predict(request: Request, body: PredictRequest) -> list[Ranking] | Ranking:
        """The same as in text-embeddings-inference: for a single text, its labels without an outer list."""
        answer = await rankings(request, body, served)
        return answer[0] if isinstance(body.inputs, str) else answer

    @app.get("/health")
    async def health() -> Health:
        """Whether the server runs: liveness."""
        return Health(status="ok")

    @app.get("/ready", responses={503: {"model": Error, "description": "The server is full or stopping"}})
    async def ready() -> Health:
        """Whether the server accepts requests: readiness."""
        served.check_ready()
        return Health(status="ok")

    @app.get("/info")
    async def describe() -> Info:
        """The model, the SHA-256 of its weights, the commit of its run, and its test accuracy."""
        return served.info

    return app


async def rankings(request: Request, body: PredictRequest, served: ServedModel) -> list[list[LabelScore]]:
    """The labels of each text of a request.

    Raises:
        HTTPException: the queue is full, a text cannot be scored, or the client disconnected.
    """
    scoring = asyncio.ensure_future(served.probabilities(body.texts))
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


def require_token(app: ASGIApp, token: str) -> ASGIApp:
    """Middleware that refuses requests without the bearer token (RFC 6750), except to OPEN."""
    expected = token.encode()

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            sent = dict(scope["headers"]).get(b"authorization")
            scheme, _, credentials = (sent or b"").partition(b" ")
            # In constant time, so that the time of an answer does not reveal how many characters are right.
            right = secrets.compare_digest(credentials.strip(), expected)
            if scheme.lower() != b"bearer" or not right:
                headers = {"WWW-Authenticate": "Bearer" if sent is None else 'Bearer error="invalid_token"'}
                line = "no valid token; allowed: the header `Authorization: Bearer TOKEN`"
                await JSONResponse({"error": line}, 401, headers)(scope, receive, send)
                return
        await app(scope, receive, send)

    return handle


def head_as_get(app: ASGIApp) -> ASGIApp:
    """Middleware that answers HEAD like GET; the web server omits the body."""

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return handle
