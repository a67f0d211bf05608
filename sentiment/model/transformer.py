"""Transformers as two-label sequence classifiers: loading and checking all of their weights."""

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
    """Load a sequence classifier in float32, and check that the folder has every weight it needs.

    Args:
        folder: holds config.json and safetensors weights.
        config: replaces config.json.
        new_head: give the classification head random weights, whatever the folder has.

    Raises:
        InputError: weights are missing, have another shape, or are not finite.
        Exception: transformers cannot read the files; see `errors.loading`.
    """
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # reported below, with their shapes
        output_loading_info=True,
    )
    # Weights that are missing or do not fit are random now, which is right only for a new head and its
    # pooler.
    for name, saved, needed in sorted(report["mismatched_keys"]):
        if not new_head or in_body(model, name):
            shapes = f"{list(saved)}, but config.json needs {list(needed)}"
            raise InputError(f"{folder}: weight {one_line(name)} has the shape {shapes}")
    missing = list(report["missing_keys"])
    if new_head:
        missing = [name for name in missing if in_body(model, name) and ".pooler." not in name]
    if missing:
        raise InputError(
            f"{folder}: lacks {len(missing)} of the model's weights, such as {one_line(min(missing))}"
        )
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise InputError(f"{folder}: weight {name} has values that are not finite numbers")
    if new_head:
        random = {*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])}
        head = {name for name, _ in model.named_parameters() if not in_body(model, name)}
        # The file can hold a head of another task, whatever config.json says: one that tags words, for
        # example.
        if head - random:
            renew_head(model)
    return model


def renew_head(model: PreTrainedModel) -> None:
    """Give the classification head random weights, as transformers initializes a new one."""
    # Parts come before the modules that contain them, because initializing a module can initialize its parts
    # again.
    for name, module in reversed([*model.named_modules()]):
        if name and not in_body(model, f"{name}."):
            for part in (module, *module.parameters(recurse=False)):
                part._is_hf_initialized = False  # transformers skips what is initialized
            model._init_weights(module)


def in_body(model: PreTrainedModel, name: str) -> bool:
    """Whether a weight or module of this name belongs to the model's body, not to its classification head."""
    return name.startswith(f"{model.base_model_prefix}.")


def last_linear(model: PreTrainedModel) -> str | None:
    """The name of the last linear layer of a classification head, whose outputs are the logits, or None."""
    last = None
    for name, layer in model.named_modules():
        is_linear = isinstance(layer, torch.nn.Linear) and layer.out_features == model.config.num_labels
        if is_linear and not in_body(model, name):
            last = name
    return last
