"""The body of a request: its schema, its limits, and how it is read."""

import codecs
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sentiment.data.text import MOST_CHARACTERS
from sentiment.validation import explain, shortened

MAX_BYTES = 2 * 2**20  # of a body
MAX_TEXTS = 32  # of a request, as in text-embeddings-inference
CLIENT_CLOSED_REQUEST = 499  # nginx's status for clients that disconnect; nobody reads the answer

# text-embeddings-inference takes several texts as lists of one text each.
SingleText = Annotated[list[str], Field(min_length=1, max_length=1)]


class _Strict(BaseModel):
    """A part of the body; unknown keys, and values of another type, are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Parameters(_Strict):
    """The parameters of the Hugging Face inference API for text classification."""

    top_k: int | None = Field(
        None, ge=1, description="number of labels to return, the most probable first (default: all)"
    )
    function_to_apply: Literal["softmax"] | None = None


class PredictRequest(_Strict):
    """A request of the Hugging Face inference API or of text-embeddings-inference for text classification."""

    inputs: (
        str | Annotated[list[str], Field(fail_fast=True)] | Annotated[list[SingleText], Field(fail_fast=True)]
    ) = Field(description="a text, or a list of texts", examples=["Warm, funny and beautifully acted."])
    parameters: Parameters | None = Field(
        None, description='an object with "top_k" (1 or more) and "function_to_apply" ("softmax")'
    )
    truncate: Literal[True] = Field(True, description="true: long texts are truncated as in training")
    raw_scores: Literal[False] = Field(False, description="false: scores are probabilities")

    @property
    def texts(self) -> list[str]:
        """The texts, in the order of the request."""
        if isinstance(self.inputs, str):
            return [self.inputs]
        return [text if isinstance(text, str) else text[0] for text in self.inputs]


def parse(content: bytes) -> PredictRequest:
    """Parse the content of a body.

    Raises:
        HTTPException: it is not JSON or does not fit the schema, or there are too many or too long texts.
    """
    try:
        body = PredictRequest.model_validate_json(content.removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        raise HTTPException(422, explain(error, "body", PredictRequest)) from None
    texts = body.texts
    if not texts:
        raise HTTPException(422, "body: inputs: is empty; allowed: a text, or a list of texts")
    if len(texts) > MAX_TEXTS:
        raise HTTPException(413, f"body: inputs: {len(texts):,} texts; allowed: {MAX_TEXTS} per request")
    for number, text in enumerate(texts):
        if len(text) > MOST_CHARACTERS:
            size = f"{len(text):,} characters; allowed: {MOST_CHARACTERS:,}"
            raise HTTPException(413, f"body: inputs.{number}: {size}")
    return body


class LimitedRequest(Request):
    """A request whose body is read up to MAX_BYTES, and parsed as strict JSON in UTF-8."""

    _parsed: PredictRequest

    async def body(self) -> bytes:
        """Read and check the body; one that is too large is never in memory as a whole.

        Raises:
            HTTPException: the body is not allowed, or the client disconnected.
        """
        if hasattr(self, "_body"):
            return self._body
        encoding = self.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise HTTPException(
                415, f"Content-Encoding: {shortened(encoding)} is not allowed; send it uncompressed"
            )
        too_large = HTTPException(413, f"body: more than {MAX_BYTES:,} bytes; send fewer texts per request")
        if int(self.headers.get("content-length", 0)) > MAX_BYTES:
            raise too_large
        content = bytearray()
        try:
            async for chunk in self.stream():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise too_large
        except ClientDisconnect:
            raise HTTPException(CLIENT_CLOSED_REQUEST) from None
        self._body = bytes(content)
        self._parsed = parse(self._body)  # here, because FastAPI does not parse an empty body
        return self._body

    async def json(self) -> PredictRequest:
        """The parsed body, which FastAPI takes as it is."""
        await self.body()
        return self._parsed


class LimitedRoute(APIRoute):
    """A route that reads bodies as LimitedRequest does, as JSON whatever their Content-Type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, called with a LimitedRequest."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            # FastAPI would not parse the body of `curl -d`, whose Content-Type is that of a form.
            headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
            return await handler(LimitedRequest({**request.scope, "headers": headers}, request.receive))

        return handle
