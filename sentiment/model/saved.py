"""Saved models: what train writes to models/classifier/, and how it is loaded again."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.classifier import check_exists
from sentiment.errors import loading

if TYPE_CHECKING:
    from sentiment.model.encoding import Encoder
    from sentiment.model.scoring import TransformerClassifier


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
