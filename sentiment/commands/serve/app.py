"""The FastAPI application: the answer at each address."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sentiment.commands.serve.refusal import Refusal
from sentiment.commands.serve.request import PredictRequest, parse, read_body
from sentiment.commands.serve.scoring import ScoringQueue
from sentiment.errors import InputError
from sentiment.labels import LABELS

GONE = 499  # as nginx counts clients that went away; nobody reads the answer
# Where the description of the requests has the schema, whose parts name each other by their place.
PLACE = "#/paths/~1predict/post/requestBody/content/application~1json/schema/$defs/{model}"
BODY = {"application/json": {"schema": PredictRequest.model_json_schema(ref_template=PLACE)}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    408: {"description": "The body did not come in time"},
    413: {"description": "The body, the number of texts, or a text is too large"},
    422: {"description": "The body is no such request"},
    503: {"description": "Too many texts are waiting; Retry-After says when to try again"},
}
DESCRIBED: dict[str, Any] = {
    "openapi_extra": {"requestBody": {"required": True, "content": BODY}},
    "responses": REFUSALS,
}
Ranking = list[dict[str, str | float]]


def build(queue: ScoringQueue, info: dict[str, Any]) -> FastAPI:
    """The application.

    Args:
        queue: scores texts.
        info: what /info answers.
    """
    app = FastAPI(title="sentiment serve", description="Says of reviews whether they are positive.", redoc_url=None)
    Instrumentator(should_group_status_codes=False).instrument(app).expose(app, include_in_schema=False)

    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> Response:
        return JSONResponse({"error": str(refusal)}, refusal.status, refusal.headers)

    @app.exception_handler(InputError)
    async def fail(_: Request, error: InputError) -> Response:
        return JSONResponse({"error": str(error)}, 500)

    @app.exception_handler(HTTPException)
    async def refuse_address(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.post("/", **DESCRIBED)
    async def infer(request: Request) -> list[Ranking]:
        """The labels of each text and their probabilities, as the Hugging Face inference API answers."""
        return await answer(request, queue, nested=True)

    @app.post("/predict", **DESCRIBED)
    async def predict(request: Request) -> list[Ranking] | Ranking:
        """The same as text-embeddings-inference answers: of a text alone, its labels without a list around them."""
        return await answer(request, queue, nested=False)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """That requests are taken."""
        return {"status": "ok"}

    @app.get("/info")
    async def tell() -> dict[str, Any]:
        """The model, the commit of its run, and its test accuracy with a 95 % interval."""
        return info

    return app


async def answer(request: Request, queue: ScoringQueue, nested: bool) -> Any:
    """The labels of each text of a request; of a text that is not in a list only if `nested` in one either.

    Raises:
        Refusal: there is something wrong with the request, or no room for it.
    """
    try:
        asked = parse(await read_body(request))
    except ClientDisconnect:
        return Response(status_code=GONE)
    scoring, leaving = asyncio.ensure_future(queue.probabilities(asked.texts)), asyncio.ensure_future(left(request))
    try:
        await asyncio.wait({scoring, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not scoring.done():
            return Response(status_code=GONE)
        top_k = asked.parameters.top_k if asked.parameters else None
        rankings = [ranked(probability)[:top_k] for probability in scoring.result()]
    finally:
        scoring.cancel()
        leaving.cancel()
    return JSONResponse(rankings if nested or not isinstance(asked.inputs, str) else rankings[0])


def ranked(probability: float) -> Ranking:
    """Both labels and their probabilities, the label that predict gives first."""
    both: Ranking = [{"label": LABELS[1], "score": probability}, {"label": LABELS[0], "score": 1 - probability}]
    return both if probability >= 0.5 else both[::-1]


async def left(request: Request) -> None:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
