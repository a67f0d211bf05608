"""Saved classifiers: writes the folder models/classifier/, and loads it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.classifier import check_exists
from sentiment.errors import loading

if TYPE_CHECKING:
    from sentiment.model.encoding import Encoder
    from sentiment.model.scoring import TransformerClassifier


def load_transformer(folder: str | Path, precision: str = "auto") -> "TransformerClassifier":
    """Load a classifier that train wrote, with an encoder that truncates reviews as in its training.

    Args:
        folder: models/classifier, or a copy of it.
        precision: `auto`, `bf16` or `fp32`.

    Raises:
        InputError: the folder has no classifier, or it is damaged.
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
    """Save a fine-tuned model as a plain transformers folder; its config also says how reviews are truncated.

    Args:
        folder: is created.
        model: the fine-tuned transformers model.
        encoder: of the same model.
        base_model: name and revision of the pretrained model.
    """
    encoder.tokenizer.model_max_length = encoder.max_length
    model.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    # These refer to code that is not saved with the model, and to other tasks.
    for key in ("auto_map", "custom_pipelines", "task_specific_params"):
        config.pop(key, None)
    config["base_model"] = base_model
    config["review_truncation"] = encoder.truncation
    config["review_max_length"] = encoder.max_length
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    # Pipelines of transformers then score as this project does: without token types, and with the same
    # truncation, except for head_tail, which transformers lacks.
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    settings["truncation_side"] = "left" if encoder.truncation == "tail" else "right"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
