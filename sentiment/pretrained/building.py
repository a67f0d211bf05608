"""Two-label sequence classifiers built from a pretrained model."""

import re
from bisect import bisect_left

import torch
import transformers
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import PreTrainedConfig, PreTrainedModel

from sentiment.errors import InputError, loading, memory_ran_out
from sentiment.labels import LABELS
from sentiment.model.encoding import MIN_LENGTH, Encoder
from sentiment.model.transformer import in_body, load_weights, logits_of
from sentiment.pretrained.sources import Pretrained
from sentiment.validation import shortened

_DROPOUT = re.compile("dropout|_pdrop|dropatt")  # the others with `drop` in their name leave out whole layers


def build_classifier(
    pretrained: Pretrained,
    encoder: Encoder,
    head: str | list[str | int] = "auto",
    dropout: float | None = None,
) -> PreTrainedModel:
    """The pretrained model with a head for LABELS, in their order: its own trained one, or a new one.

    Args:
        pretrained: what `pretrained.fetch` gives.
        encoder: of the same model.
        head: the parameter `head`.
        dropout: the parameter `dropout`; None leaves the pretrained model's own.

    Raises:
        InputError: it cannot be loaded, weights are missing, its labels do not fit, or it would run code of its own.
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
            # BigBird's attention to some blocks turns into this one, for good, at the first short review.
            config.attention_type = "original_full"
        text: PreTrainedConfig = config.get_text_config()
        if text.pad_token_id is None:  # by which decoders know where a review ends
            text.pad_token_id = encoder.tokenizer.pad_token_id
        if hasattr(text, "use_cache"):
            text.use_cache = False  # nothing is generated here, and the exporter to ONNX knows no cache
        set_dropout(config, dropout)
        model = load_weights(pretrained.folder, config, new_head=kept is None)
        if kept is not None:
            keep_labels(model, kept, pretrained.source)
    # A file may say that its head was for several labels at once, or for a number: pipelines then compute other scores.
    model.config.problem_type = "single_label_classification"
    model.config.id2label = dict(enumerate(LABELS))
    model.config.label2id = {name: index for index, name in enumerate(LABELS)}
    return model


def set_dropout(config: PreTrainedConfig, dropout: float | None) -> None:
    """Set every kind of dropout that an architecture has; None leaves the pretrained model's own.

    0.0 also turns off what leaves out whole layers (LayerDrop, stochastic depth).

    Raises:
        InputError: the architecture does not allow this value.
    """
    if dropout is None:
        return
    parts = [config, *(getattr(config, name) for name in config.sub_configs)]
    for part in parts:
        if part is None:  # ESM's for folding proteins, which other models lack
            continue
        for name, value in list(vars(part).items()):
            drops = _DROPOUT.search(name) or (dropout == 0 and "drop" in name)
            is_share = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            if not (drops and is_share) or value == dropout:
                continue
            try:
                setattr(part, name, float(dropout))
            except StrictDataclassFieldValidationError:  # MPT's attn_pdrop is a whole number
                raise InputError(
                    f"params.yaml: dropout: {dropout} is not allowed: transformers takes {value} as {name} of "
                    f"{config.model_type}, but no share; allowed: null (the pretrained model's own) or 0.0"
                ) from None


def check_lengths(model: PreTrainedModel, encoder: Encoder, source: str, **lengths: int) -> None:
    """Raise InputError if a model cannot read so many tokens; `lengths` are by their keys in params.yaml."""
    for key, length in lengths.items():
        most = longest_read(model, encoder, length)
        if most == 0:
            raise InputError(
                f"model {source}: cannot read a review of {MIN_LENGTH} tokens by itself, nor one of {length}"
            )
        if most < length:
            raise InputError(f"params.yaml: {key}: {length} is not allowed; {source} reads at most {most}")


def longest_read(model: PreTrainedModel, encoder: Encoder, length: int) -> int:
    """The most tokens that a model reads, `length` or fewer; 0 if it reads none.

    It is found by trying: positions are counted from 0, 1 or 2, or are no limit at all, whatever config.json says. Twice
    the positions that it names are enough to tell.

    Raises:
        InputError: there is too little memory for a review of this length.
    """
    named = [value for key, value in vars(model.config).items() if "position" in key and type(value) is int]
    tried = min(length, 2 * max([512, *named]))

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
    return MIN_LENGTH + bisect_left(range(MIN_LENGTH + 1, tried), True, key=fails) if fails(tried) else length


def keep_labels(model: PreTrainedModel, kept: tuple[int, int], source: str) -> None:
    """Reduce a trained head to two of its labels, in this order: their rows of its last layer.

    Raises:
        InputError: it has no such layer.
    """
    if (labels := model.config.num_labels) == len(kept) and kept == (0, 1):
        return
    layers = [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == labels and not in_body(model, name)
    ]
    if not layers:
        raise InputError(
            f"model {source}: its head has no layer of {labels} labels; make a new one: -S head=new"
        )
    rows = list(kept)
    layers[-1].weight = torch.nn.Parameter(layers[-1].weight.detach()[rows].clone())
    if layers[-1].bias is not None:
        layers[-1].bias = torch.nn.Parameter(layers[-1].bias.detach()[rows].clone())
    layers[-1].out_features = model.config.num_labels = len(kept)
    setattr(model, "num_labels", len(kept))  # noqa: B010  # which some forward() reads
