"""Transformers as two-label sequence classifiers, loaded with every weight."""

from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from sentiment.errors import InputError, one_line


@torch.no_grad()
def logits_of(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """Logits of one encoded review: shape (1, labels)."""
    return model(input_ids=torch.tensor([ids], device=model.device)).logits


def load_weights(
    folder: str | Path, config: PreTrainedConfig | None = None, new_head: bool = False
) -> PreTrainedModel:
    """A sequence classifier in float32, with every weight from the folder; `new_head`: but for a head to be trained.

    Raises:
        InputError: weights are missing, or are no numbers.
        Exception: transformers cannot read the files; see `errors.loading`.
    """
    # Shapes that do not fit are named below, all at once and with their sizes.
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    # What is missing or does not fit gets random numbers, which is right for a new head and its pooler alone.
    for name, came, needed in sorted(report["mismatched_keys"]):
        if not new_head or in_body(model, name):
            shapes = f"{list(came)}, and by config.json it has {list(needed)}"
            raise InputError(f"{folder}: weight {one_line(name)} has the shape {shapes}")
    missing = [
        key
        for key in report["missing_keys"]
        if not new_head or (in_body(model, key) and ".pooler." not in key)
    ]
    if missing:
        raise InputError(
            f"{folder}: lacks {len(missing)} of the model's weights, such as {one_line(min(missing))}"
        )
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise InputError(f"{folder}: weight {name} holds values that are no numbers")
    if new_head:
        random = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
        head = {name for name, _ in model.named_parameters() if not in_body(model, name)}
        # Whatever head config.json names, or if it names none: the file's weights decide, as of a model that tags words.
        if head - random:
            renew_head(model)
    return model


def renew_head(model: PreTrainedModel) -> None:
    """Give a head random weights, as transformers initializes a new one."""
    for name, module in reversed(
        [*model.named_modules()]
    ):  # parts first, as what holds them may begin them anew
        if name and not in_body(model, f"{name}."):
            for part in (module, *module.parameters(recurse=False)):
                part._is_hf_initialized = False  # else it is left as it is
            model._init_weights(module)


def in_body(model: PreTrainedModel, name: str) -> bool:
    """Whether a weight or a module of this name belongs to the encoder, not to the classification head."""
    return name.startswith(f"{model.base_model_prefix}.")
