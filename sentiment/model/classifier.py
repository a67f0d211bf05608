"""Classifiers on disk: what train, export and baseline write, loaded so that each scores reviews by the same call."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from sentiment import progress
from sentiment.errors import InputError, loading
from sentiment.progress import Advance

if TYPE_CHECKING:
    from sentiment.model.encoding import Encoder
    from sentiment.model.scoring import TransformerClassifier


class Classifier(Protocol):
    """Gives reviews their probability of POSITIVE.

    Attributes:
        independent: whether a score depends on its own text alone, not on the reviews scored in the same call.
    """

    independent: bool

    def probabilities(self, texts: Sequence[str], advance: Advance = progress.ignore) -> np.ndarray:
        """Probability of POSITIVE for normalised reviews: float64 array of shape (reviews,).

        `advance` takes how many of them more are scored.
        """

    def warning(self) -> str | None:
        """A line for people if the model knew little of what it has scored, else None."""


@runtime_checkable
class TokenClassifier(Classifier, Protocol):
    """A classifier that reads token ids, and can be shared by threads that score one batch each."""

    encoder: "Encoder"

    def share_threads(self) -> int:
        """Leave the threads to the caller: how many may from now on each score one batch at a time."""

    def next_batch(self, lengths: Sequence[int]) -> list[int]:
        """Rows of waiting reviews, of so many tokens each, to score in one call; the first is among them."""

    def probabilities_of_batch(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Probability of POSITIVE for the token ids of such reviews, by the calling thread alone: shape (reviews,)."""


def load_classifier(path: str | Path, precision: str = "auto") -> Classifier:
    """The classifier that train, export or baseline wrote.

    Args:
        path: models/classifier, models/fp32, models/int8, models/baseline.npz, or a copy of one.
        precision: `auto`, `bf16` or `fp32`, of a transformer in PyTorch.

    Raises:
        InputError: there is none, it is damaged, or an extra is not installed that it needs.
    """
    path = Path(path)
    check_exists(path)
    if path.suffix == ".npz" and path.is_file():
        from sentiment.model import baseline

        with loading(str(path)):
            return baseline.load(path)
    if (path / "model.onnx").is_file():
        from sentiment.model.onnx_classifier import OnnxClassifier

        with loading(str(path)):
            return OnnxClassifier(path)
    return load_transformer(path, precision)


def check_exists(path: Path) -> None:
    """Raise InputError unless there is a classifier at a path."""
    if not (path.is_file() and path.suffix == ".npz") and not (path / "config.json").is_file():
        raise InputError(f"{path}: no classifier there; `dvc repro` trains one, `dvc pull` fetches one")


def load_transformer(folder: str | Path, precision: str = "auto") -> "TransformerClassifier":
    """The TransformerClassifier that train wrote, with an encoder that truncates reviews as in its training.

    Raises:
        InputError: there is none in the folder, or it is damaged.
    """
    check_exists(Path(folder))
    from transformers.utils import logging

    from sentiment.model import scoring
    from sentiment.model.encoding import Encoder
    from sentiment.model.transformer import load_weights

    scoring.make_deterministic()
    logging.disable_progress_bar()
    with loading(str(folder)):
        model = load_weights(folder)
        encoder = Encoder(folder, model.config.review_max_length, model.config.review_truncation)
        return scoring.TransformerClassifier(model, encoder, precision)


def save_transformer(folder: Path, model: Any, encoder: "Encoder", base_model: str) -> None:
    """Write a fine-tuned model as a new plain transformers folder that also says how its reviews were truncated."""
    encoder.tokenizer.model_max_length = encoder.max_length
    model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    # Code that did not come along, and settings for other tasks.
    for key in ("auto_map", "custom_pipelines", "task_specific_params"):
        config.pop(key, None)
    config["base_model"] = base_model
    config["review_truncation"] = encoder.truncation
    config["review_max_length"] = encoder.max_length
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    # As reviews are scored here: without token types, and as far as transformers can truncate that way.
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    settings["truncation_side"] = "left" if encoder.truncation == "tail" else "right"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
