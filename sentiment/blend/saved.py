"""Reads and writes models/blend.json: a blend, and the paths of the two models that it combines."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sentiment import atomic
from sentiment.blend.cascade import Cascade
from sentiment.blend.weights import Weights
from sentiment.errors import InputError
from sentiment.validation import PRINTABLE, explain


class Blend(BaseModel):
    """The content of models/blend.json: two models and how their scores are combined.

    Attributes:
        ngrams: path of the n-gram baseline, relative to the file.
        encoder: path of the other model's folder, relative to the file.
        weights: of the two models' logits.
        cascade: the reviews that the n-grams decide alone; None: both models score every review.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ngrams: str = Field(
        pattern=PRINTABLE,
        description="path of n-grams, relative to this file, such as baseline.npz",
    )
    encoder: str = Field(
        pattern=PRINTABLE,
        description="path of a model's folder, relative to this file, such as classifier or int8",
    )
    weights: Weights = Field(description="ngrams and encoder, two numbers")
    cascade: Cascade | None = Field(description="null, or margin, from 0, and weight, above 0")

    def decided(self, ngrams: np.ndarray) -> np.ndarray:
        """Whether the n-grams decide each review alone: array of bool, shape (reviews,).

        Args:
            ngrams: probabilities of POSITIVE from the n-grams, shape (reviews,).
        """
        if self.cascade is None:
            return np.zeros(len(ngrams), dtype=bool)
        return self.cascade.decides(ngrams)

    def probabilities(self, ngrams: np.ndarray, encoder: np.ndarray) -> np.ndarray:
        """Probabilities of POSITIVE, float64 array of shape (reviews,).

        Args:
            ngrams: probabilities of POSITIVE from the n-grams, shape (reviews,).
            encoder: probabilities of POSITIVE from the encoder; those of `decided` reviews have no effect.
        """
        blended = self.weights.probabilities(ngrams, encoder)
        if self.cascade is None:
            return blended
        return np.where(self.cascade.decides(ngrams), self.cascade.probabilities(ngrams), blended)


class Unavailable(BaseModel):
    """The content of models/blend.json if there is no blend: the reason."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    unavailable: str


def read(path: Path) -> Blend:
    """Read a blend.

    Raises:
        InputError: the file is missing, is not such a blend, or says that there is none. The models that it
            names are not opened.
    """
    try:
        content = path.read_bytes()
        with suppress(ValidationError):
            raise InputError(f"{path}: the blend is {Unavailable.model_validate_json(content).unavailable}")
        return Blend.model_validate_json(content)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `dvc repro` writes it") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(explain(error, path, Blend)) from None


def write(path: Path, blend: Blend | Unavailable) -> None:
    """Write a blend, or why there is none, as JSON."""
    atomic.write_json(path, blend.model_dump())
