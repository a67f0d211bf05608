"""Builds a two-label sequence classifier from a pretrained model: its head, dropout, and maximum length."""

import re
from bisect import bisect_left
from typing import cast

import torch
import transformers
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import PreTrainedConfig, PreTrainedModel

from sentiment.errors import InputError, loading, memory_ran_out
from sentiment.labels import LABELS
from sentiment.model.encoding import MIN_LENGTH, Encoder
from sentiment.model.transformer import last_linear, load_weights, logits_of
from sentiment.pretrained.sources import Pretrained
from sentiment.validation import shortened

# Keys of config.json that are a dropout. Other keys with `drop` in their name leave out whole layers.
_DROPOUT = re.compile("dropout|_pdrop|dropatt")


def build_classifier(
    pretrained: Pretrained,
    encoder: Encoder,
    head: str | list[str | int] = "auto",
    dropout: float | None = None,
) -> PreTrainedModel:
    """Load a pretrained model with a head for LABELS, in their order: its own trained head, or a new one.

    Args:
        pretrained: the model that `sources.fetch` returned.
        encoder: of the same model.
        head: the parameter `head`.
        dropout: the parameter `dropout`; None keeps the pretrained model's own.

    Returns:
        The model in float32 on the CPU.

    Raises:
        InputError: the model cannot be loaded, weights are missing, its labels do not fit, or it needs its
            own code.
    """
    kind = pretrained.config["model_type"]
    if kind not in transformers.CONFIG_MAPPING:
        code = ", and code that comes with a model is never run" if "auto_map" in pretrained.config else ""
        raise InputError(
            f"model {pretrained.source}: transformers has no architecture {shortened(kind)}{code}"
        )
    kept = pretrained.kept_labels(head)
    with loading(f"model {pretrained.source}"):
        config = transformers.AutoConfig.from_pretrained(
            pretrained.folder, local_files_only=True, trust_remote_code=False
        )
        if kept is None:
            config.num_labels = len(LABELS)
        if getattr(config, "attention_type", None) == "block_sparse":
            # At the first short review, BigBird would switch from block-sparse to full attention for good.
            config.attention_type = "original_full"
        text: PreTrainedConfig = config.get_text_config()
        if text.pad_token_id is None:  # decoders find the end of a review by it
            text.pad_token_id = encoder.tokenizer.pad_token_id
        if hasattr(text, "use_cache"):
            text.use_cache = False  # nothing is generated, and the exporter to ONNX does not support a cache
        set_dropout(config, dropout)
        model = load_weights(pretrained.folder, config, new_head=kept is None)
        if kept is not None:
            keep_labels(model, kept, pretrained)
    # A config for multi-label classification or regression would make pipelines compute other scores.
    model.config.problem_type = "single_label_classification"
    model.config.id2label = dict(enumerate(LABELS))
    model.config.label2id = {name: index for index, name in enumerate(LABELS)}
    return model


def set_dropout(config: PreTrainedConfig, dropout: float | None) -> None:
    """Set every kind of dropout that an architecture has.

    Args:
        config: is changed, with its parts.
        dropout: None keeps the pretrained model's own; 0.0 also turns off LayerDrop and stochastic depth.

    Raises:
        InputError: the architecture does not allow this value.
    """
    if dropout is None:
        return
    parts = [config, *(getattr(config, name) for name in config.sub_configs)]
    for part in parts:
        if part is None:  # an optional part, such as ESM's for folding proteins
            continue
        for name, value in list(vars(part).items()):
            is_dropout = _DROPOUT.search(name) or (dropout == 0 and "drop" in name)
            is_share = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            if not (is_dropout and is_share) or value == dropout:
                continue
            try:
                setattr(part, name, float(dropout))
            except StrictDataclassFieldValidationError:  # MPT's attn_pdrop is a whole number
                raise InputError(
                    f"params.yaml: dropout: {dropout} is not allowed: transformers takes {value} as {name} "
                    f"of {config.model_type}, but no share; allowed: null (the pretrained model's own) or 0.0"
                ) from None


def check_lengths(model: PreTrainedModel, encoder: Encoder, source: str, **lengths: int) -> None:
    """Raise InputError if a model cannot read reviews of some length.

    Args:
        model: the classifier.
        encoder: of the same model.
        source: the name of the model.
        lengths: tokens, by their keys in params.yaml.
    """
    for key, length in lengths.items():
        most = longest_read(model, encoder, length)
        if most == 0:
            raise InputError(
                f"model {source}: cannot read a review of {MIN_LENGTH} tokens by itself, nor one of {length}"
            )
        if most < length:
            raise InputError(f"params.yaml: {key}: {length} is not allowed; {source} reads at most {most}")


def longest_read(model: PreTrainedModel, encoder: Encoder, length: int) -> int:
    """The maximum number of tokens that a model reads, at most `length`; 0 if it cannot read a short review.

    Binary search by trying, because config.json does not say it: positions start at 0, 1 or 2, or set no
    limit. A model that reads twice the positions in config.json has no limit.

    Raises:
        InputError: there is too little memory for a review of this length.
    """
    positions = [512]
    for key, value in vars(model.config).items():
        if "position" in key and type(value) is int:
            positions.append(value)
    upper = min(length, 2 * max(positions))

    def fails(tokens: int) -> bool:
        try:
            logits_of(model, encoder.dummy(tokens))
        except (IndexError, RuntimeError, ValueError) as error:
            if memory_ran_out(error):
                raise InputError(f"too little memory for a review of {tokens} tokens") from None
            return True
        return False

    if fails(MIN_LENGTH):
        return 0
    if not fails(upper):
        return length
    return MIN_LENGTH + bisect_left(range(MIN_LENGTH + 1, upper), True, key=fails)


def keep_labels(model: PreTrainedModel, kept: tuple[int, int], pretrained: Pretrained) -> None:
    """Reduce a trained head to two of its labels: keep their rows of its last linear layer.

    Args:
        model: is changed.
        kept: indices of the labels, in their new order.
        pretrained: where it comes from.

    Raises:
        InputError: the head has no such layer.
    """
    labels = model.config.num_labels
    if labels == len(kept) and kept == (0, 1):
        return
    name = last_linear(model)
    if name is None:
        raise InputError(
            f"model {pretrained.source}: its head has no layer of {labels} labels; "
            f"make a new one: -S {pretrained.prefix}head=new"
        )
    rows = list(kept)
    last = cast(torch.nn.Linear, model.get_submodule(name))
    last.weight = torch.nn.Parameter(last.weight.detach()[rows].clone())
    if last.bias is not None:
        last.bias = torch.nn.Parameter(last.bias.detach()[rows].clone())
    last.out_features = model.config.num_labels = len(kept)
    setattr(model, "num_labels", len(kept))  # noqa: B010  # some architectures read it in forward()
