"""The model in service, its description, and how a new one takes its place."""

import asyncio
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field

from sentiment import progress
from sentiment.api import files_of, open_classifier
from sentiment.blend import saved
from sentiment.blend.classifier import BlendClassifier
from sentiment.classifier import TokenClassifier
from sentiment.commands.serve import scoring_queue
from sentiment.commands.serve.scoring_queue import ScoringQueue
from sentiment.errors import InputError, loading, reason

# The models that a run writes, and the names of their metrics files.
MEASURED = {
    "models/classifier": "test",
    "models/fp32": "fp32",
    "models/int8": "int8",
    "models/blend.json": "blend",
}
WEIGHTS = (".safetensors", ".onnx", ".npz")  # files of weights, by their ending


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


class ServedModel:
    """The model in service. A new one takes its place without refusing or losing a request.

    Args:
        path: the model's folder, or the file of a blend.
        precision: of a classifier in PyTorch.

    Attributes:
        info: describes the model in service.

    Raises:
        InputError: the model cannot be loaded or served.
    """

    def __init__(self, path: Path, precision: str):
        self._path, self._precision = path, precision
        self._stopping = False
        self._queue, self.info = self._load(threads=0)
        self._queues = [self._queue]  # with those of earlier models that still have texts
        scoring_queue.WAITING.set_function(lambda: sum(queue.waiting for queue in self._queues))

    def __enter__(self) -> Self:
        """The model; its threads end with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads when they have scored their current batches."""
        for queue in self._queues:
            queue.end()

    async def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Probability of POSITIVE for each text, all from the same model.

        Raises:
            HTTPException: the queue is full, the server is stopping, or a text cannot be scored.
        """
        if self._stopping:
            raise scoring_queue.stopping()
        return await self._queue.probabilities(texts)

    def check_ready(self) -> None:
        """Raise the HTTPException that a request would get if the server is stopping or the queue is full."""
        if self._stopping:
            raise scoring_queue.stopping()
        self._queue.check_room(texts=1)

    def refuse_new(self) -> None:
        """Refuse new texts, because the server is stopping."""
        self._stopping = True

    def refuse_waiting(self) -> None:
        """Refuse all texts that still wait."""
        for queue in self._queues:
            queue.refuse_waiting()

    async def reload(self) -> None:
        """Load the model at the same path, and put it into service; if that fails, keep the old one.

        Texts that the old model has received are scored by the old model. Says in one line what happened.
        """
        try:
            queue, info = await asyncio.to_thread(self._load, self._queue.threads)
        except Exception as error:
            line = str(error) if isinstance(error, InputError) else f"{self._path}: {reason(error)}"
            progress.say(f"not reloaded, the old model stays in service: {line}", sys.stderr)
            return
        old, self._queue, self.info = self._queue, queue, info
        self._queues.append(queue)
        print(f"reloaded {self._path}", flush=True)
        await asyncio.to_thread(old.finish)
        self._queues.remove(old)

    def _load(self, threads: int) -> tuple[ScoringQueue, Info]:
        """Load and describe the model; `threads` is the number of an earlier queue."""
        # If the path is a link, it may lead elsewhere before the last file is read.
        path = self._path.resolve() if self._path.is_symlink() else self._path
        with loading(str(path)):  # also without PyTorch, which not every model needs
            classifier = open_classifier(path, self._precision)
        if not isinstance(classifier, TokenClassifier | BlendClassifier):
            allowed = "models/classifier, models/fp32, models/int8, models/blend.json, or a copy of one"
            raise InputError(f"{path}: cannot be served; allowed: {allowed}")
        info = describe_model(path)
        return ScoringQueue(classifier, threads), info


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
