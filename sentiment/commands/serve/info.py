"""The answer of /info: the model that is served, the commit of its run, and its test accuracy."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from sentiment import progress
from sentiment.commands.serve.messages import Info, WeightsFile
from sentiment.errors import InputError, loading

# metrics/<name>.json is about it
MEASURED = {"models/classifier": "test", "models/fp32": "fp32", "models/int8": "int8"}
WEIGHTS = ("*.safetensors", "*.onnx")


def describe(model: Path) -> Info:
    """The model, the commit of its run, stages that have changed since, and its test accuracy.

    The last three are None of a copy elsewhere, and where they cannot be read, which a line then says.

    Raises:
        InputError: config.json or the weights cannot be read.
    """
    with loading(str(model)):
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
        weights = [
            WeightsFile(file=file.name, sha256=sha256(file))
            for pattern in WEIGHTS
            for file in sorted(model.glob(pattern))
        ]
    run: dict[str, Any] = {"commit": None, "stale": None, "test_accuracy": None}
    name = next((name for path, name in MEASURED.items() if Path(path).resolve() == model.resolve()), None)
    if name:
        from sentiment.runs.run import Run, provenance  # late: DVC takes seconds

        try:
            metrics = Run().metrics(name)
            accuracy = {key: metrics.get(key) for key in ("accuracy", "accuracy_low", "accuracy_high")}
            run = provenance() | {"test_accuracy": accuracy}
        except InputError as error:
            progress.say(f"/info does not know the commit and the test accuracy: {error}", sys.stderr)
    return Info(
        model=str(model),
        base_model=config.get("base_model"),
        max_length=config.get("review_max_length"),
        truncation=config.get("review_truncation"),
        weights=weights,
        **run,
    )


def sha256(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
