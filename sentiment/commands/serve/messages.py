"""The bodies of requests and answers: their schemas, and a request's limits."""

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

MOST_BYTES = 2 * 2**20  # of a body
MOST_TEXTS = 32  # of a request, as text-embeddings-inference has it
GONE = 499  # as nginx counts clients that went away; nobody reads the answer

Alone = Annotated[
    list[str], Field(min_length=1, max_length=1)
]  # how text-embeddings-inference takes each of several


class _Strict(BaseModel):
    """A part of the body: unknown keys, and values that would have to be converted, are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Parameters(_Strict):
    """The parameters of the Hugging Face inference API for text classification."""

    top_k: int | None = Field(None, ge=1, description="only so many labels, the likeliest first")
    function_to_apply: Literal["softmax"] | None = None


class PredictRequest(_Strict):
    """A request of the Hugging Face inference API or of text-embeddings-inference for text classification."""

    inputs: (
        str | Annotated[list[str], Field(fail_fast=True)] | Annotated[list[Alone], Field(fail_fast=True)]
    ) = Field(description="a text, or a list of texts", examples=["Warm, funny and beautifully acted."])
    parameters: Parameters | None = Field(
        None, description='an object with "top_k" (1 or more) and "function_to_apply" ("softmax")'
    )
    truncate: Literal[True] = Field(True, description="true: a long text is cut as in training")
    raw_scores: Literal[False] = Field(False, description="false: scores are probabilities")

    @property
    def texts(self) -> list[str]:
        """The texts, as they came."""
        return (
            [self.inputs]
            if isinstance(self.inputs, str)
            else [text if isinstance(text, str) else text[0] for text in self.inputs]
        )


class LabelScore(BaseModel):
    """A label and its probability."""

    label: Literal["NEGATIVE", "POSITIVE"]
    score: float = Field(ge=0, le=1)


Ranking = Annotated[list[LabelScore], Field(description="The labels of a text, the likelier first")]


class Error(BaseModel):
    """A refusal."""

    error: str = Field(description="one line: what is wrong, and what is allowed")


class Health(BaseModel):
    """A sign of life."""

    status: Literal["ok"]


class WeightsFile(BaseModel):
    """A file of the model's weights."""

    file: str
    sha256: str = Field(description="SHA-256 of its content, by which copies are recognised")


class Accuracy(BaseModel):
    """Accuracy on the test split, with a 95 % interval."""

    accuracy: float
    accuracy_low: float | None = Field(description="null for models of an earlier export")
    accuracy_high: float | None


class Info(BaseModel):
    """The model that is served. The last three are null for a copy outside its project."""

    model: str = Field(description="its folder")
    base_model: str | None = Field(description="the pretrained model that was fine-tuned")
    max_length: int | None = Field(description="tokens of a text that are read")
    truncation: str | None = Field(description="the part of a longer text that is read")
    weights: list[WeightsFile]
    commit: str | None = Field(description="the Git commit of its run")
    stale: list[str] | None = Field(description="stages whose inputs have changed since")
    test_accuracy: Accuracy | None


class LimitedRequest(Request):
    """A request whose body is read within its limits, and parsed as strict JSON in UTF-8."""

    _asked: PredictRequest

    async def body(self) -> bytes:
        """The body; one that is too large is never in memory.

        Raises:
            HTTPException: it is too large, or the client went away.
        """
        if hasattr(self, "_body"):
            return self._body
        encoding = self.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise HTTPException(415, f"Content-Encoding: {shortened(encoding)} is not allowed; send it plain")
        too_large = HTTPException(413, f"body: more than {MOST_BYTES:,} bytes; send fewer texts in a request")
        if int(self.headers.get("content-length", 0)) > MOST_BYTES:
            raise too_large
        body = bytearray()
        try:
            async for chunk in self.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise too_large
        except ClientDisconnect:
            raise HTTPException(GONE) from None
        self._body = bytes(body)
        self._asked = parse(self._body)  # here, because FastAPI does not parse an empty body
        return self._body

    async def json(self) -> PredictRequest:
        """The request that the body holds, which FastAPI takes as it is."""
        await self.body()
        return self._asked


class LimitedRoute(APIRoute):
    """A route that reads its requests' bodies as LimitedRequest does, as JSON whatever their Content-Type."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with another request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            # FastAPI would not parse what `curl -d` sends as a form.
            headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
            return await handler(LimitedRequest({**request.scope, "headers": headers}, request.receive))

        return handle


def parse(body: bytes) -> PredictRequest:
    """The request that a body holds.

    Raises:
        HTTPException: it is not JSON, not such a request, or has too many or too long texts.
    """
    try:
        asked = PredictRequest.model_validate_json(body.removeprefix(codecs.BOM_UTF8))
    except ValidationError as error:
        raise HTTPException(422, explain(error, "body", PredictRequest)) from None
    if not asked.texts:
        raise HTTPException(422, "body: inputs: is empty; allowed: a text, or a list of texts")
    if len(asked.texts) > MOST_TEXTS:
        raise HTTPException(
            413, f"body: inputs: {len(asked.texts):,} texts; at most {MOST_TEXTS} are taken in a request"
        )
    for number, text in enumerate(asked.texts):
        if len(text) > MOST_CHARACTERS:
            size = f"{len(text):,} characters; at most {MOST_CHARACTERS:,} are taken"
            raise HTTPException(413, f"body: inputs.{number}: {size}")
    return asked
