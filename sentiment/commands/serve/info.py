"""The answer of /info: which model is served, of which commit, and its test accuracy."""

import json
import sys
from pathlib import Path
from typing import Any

from sentiment import progress
from sentiment.errors import InputError, loading

# metrics/<name>.json is about it
MEASURED = {"models/classifier": "test", "models/fp32": "fp32", "models/int8": "int8"}


def describe(model: Path) -> dict[str, Any]:
    """The model, the commit of its run, stages that do not fit that commit, and its test accuracy with 95 % intervals.

    The last three are None of a copy elsewhere, and where they cannot be read, which a line then says.

    Raises:
        InputError: config.json cannot be read.
    """
    with loading(str(model)):
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    known = {"model": str(model), "base_model": config.get("base_model"), "max_length": config.get("review_max_length")}
    known |= {"truncation": config.get("review_truncation"), "commit": None, "stale": None, "test_accuracy": None}
    name = next((name for path, name in MEASURED.items() if Path(path).resolve() == model.resolve()), None)
    if name:
        from sentiment.evaluation.run import Run, provenance  # late: DVC takes seconds

        try:
            metrics = Run().metrics(name)
            accuracy = {key: value for key, value in metrics.items() if key.startswith("accuracy")}
            known |= provenance() | {"test_accuracy": accuracy}
        except InputError as error:
            progress.say(f"/info does not know the commit and the test accuracy: {error}", sys.stderr)
    return known
