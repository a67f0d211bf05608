"""The body of a request: read and checked within its limits."""

import asyncio
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from sentiment.commands.serve.refusal import Refusal
from sentiment.data.text import MOST_CHARACTERS
from sentiment.schema import explain

MOST_BYTES = 2 * 2**20  # of a body
MOST_TEXTS = 32  # of a request, as text-embeddings-inference has it
BODY_SECONDS = 30  # in which a body must have come

Alone = Annotated[list[str], Field(min_length=1, max_length=1)]  # how text-embeddings-inference takes each of several


class _Strict(BaseModel):
    """A part of the body: unknown keys, and values that would have to be converted, are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Parameters(_Strict):
    """The parameters of the Hugging Face inference API for text classification."""

    top_k: int | None = Field(None, ge=1, description="only so many labels, the likeliest first")
    function_to_apply: Literal["softmax"] | None = None


class PredictRequest(_Strict):
    """A request of the Hugging Face inference API or of text-embeddings-inference for text classification."""

    inputs: str | Annotated[list[str], Field(fail_fast=True)] | Annotated[list[Alone], Field(fail_fast=True)] = Field(
        description="a text, or a list of texts"
    )
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


async def read_body(request: Request) -> bytes:
    """The body of a request; what is too large is never in memory.

    Raises:
        Refusal: it is too large, or does not come.
        ClientDisconnect: the client went away.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise Refusal(413, f"body: more than {MOST_BYTES:,} bytes; send fewer texts in a request")
    except TimeoutError:
        raise Refusal(408, f"body: did not come within {BODY_SECONDS} seconds") from None
    return bytes(body)


def parse(body: bytes) -> PredictRequest:
    """The request that a body holds.

    Raises:
        Refusal: it is not JSON, not such a request, or has too many or too long texts.
    """
    try:
        asked = PredictRequest.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(422, explain(error, "body", PredictRequest)) from None
    if not asked.texts:
        raise Refusal(422, "body: inputs: is empty; allowed: a text, or a list of texts")
    if len(asked.texts) > MOST_TEXTS:
        raise Refusal(413, f"body: inputs: {len(asked.texts):,} texts; at most {MOST_TEXTS} are taken in a request")
    for number, text in enumerate(asked.texts):
        if len(text) > MOST_CHARACTERS:
            raise Refusal(
                413, f"body: inputs.{number}: {len(text):,} characters; at most {MOST_CHARACTERS:,} are taken"
            )
    return asked
