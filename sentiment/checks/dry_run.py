"""A dry run of a pretrained model: scoring, training steps and export, on made-up reviews."""

import tempfile
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import DataCollatorWithPadding, PreTrainedModel

from sentiment.errors import InputError, loading
from sentiment.model import scoring
from sentiment.model.encoding import MIN_LENGTH, Encoder
from sentiment.model.precision import uses_bf16
from sentiment.model.saved import save_transformer
from sentiment.model.transformer import logits_of
from sentiment.onnx import graph
from sentiment.onnx.runtime import OnnxClassifier
from sentiment.params import Params
from sentiment.pretrained.building import build_classifier, check_lengths
from sentiment.pretrained.sources import Pretrained
from sentiment.training.fine_tuning import lengths, quiet_libraries


def try_model(pretrained: Pretrained, params: Params, is_trained: bool = True) -> None:
    """Score the longest and the shortest review, run two training steps, and export if `exports` says so.

    It runs on the CPU, because a failure on a GPU can make the GPU unusable for the rest of the process.

    Args:
        pretrained: the model.
        params: the parameters that it is used with.
        is_trained: whether it is fine-tuned; if not, no training step runs.

    Raises:
        InputError: one of these fails; the message says which parameter to change.
    """
    quiet_libraries()
    scoring.make_deterministic()
    encoder = Encoder(pretrained.folder, params.max_length, params.truncation)
    model = build_classifier(pretrained, encoder, params.head, params.dropout)
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=uses_bf16(params.precision))
    with loading(f"model {pretrained.source}"), autocast:
        tokens = lengths(params)
        if pretrained.prefix:
            tokens = {f"{pretrained.prefix}max_length": params.max_length}
        check_lengths(model.eval(), encoder, pretrained.source, **tokens)
        if order_matters(model, encoder):
            raise InputError(
                f"model {pretrained.source}: the score of a review depends on the reviews scored before it"
            )
        if is_trained:
            try_training(model, encoder, pretrained, params)
    for precision in params.exports:
        check_export(model, encoder, pretrained.source, precision)


def try_training(model: PreTrainedModel, encoder: Encoder, pretrained: Pretrained, params: Params) -> None:
    """Run two training steps.

    Raises:
        InputError: the model draws random numbers in training although dropout is 0.
        Exception: the model cannot be trained this way.
    """
    logits = two_steps(model.train(), encoder, lengths(params)["train_max_length"])
    if params.dropout == 0.0 and not torch.equal(*logits):
        raise InputError(
            f"params.yaml: dropout: {params.dropout} is not allowed: {pretrained.source} still draws "
            "random numbers in training; allowed: null (its own dropout), or a share above 0"
        )


def order_matters(model: PreTrainedModel, encoder: Encoder) -> bool:
    """Whether a model scores a short review differently after it has read a long one."""
    short = encoder.dummy(MIN_LENGTH)
    long = encoder.dummy(min(encoder.max_length, 1024))
    before = logits_of(model, short)
    logits_of(model, long)
    return not torch.equal(before, logits_of(model, short))


def two_steps(model: PreTrainedModel, encoder: Encoder, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Run two training steps on the same two reviews, one of them padded, each with another random seed.

    Args:
        model: in training mode.
        encoder: of the same model.
        length: tokens of the longer review.

    Returns:
        The logits of each step, shape (2, labels).

    Raises:
        Exception: the model cannot be trained this way.
    """
    reviews = [{"input_ids": encoder.dummy(tokens)} for tokens in (length, MIN_LENGTH)]
    batch = DataCollatorWithPadding(encoder.tokenizer)(reviews)
    logits = []
    for seed in range(2):
        torch.manual_seed(seed)
        logits.append(model(**batch).logits)
        cross_entropy(logits[-1].float(), torch.tensor([0, 1])).backward()
    return logits[0], logits[1]


def check_export(model: PreTrainedModel, encoder: Encoder, source: str, precision: str) -> None:
    """Raise InputError unless a model can be exported to `fp32` or `int8` and then scores a review."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_transformer(folder, model, encoder, source)
        try:
            graph.write(model, folder / "model.onnx", precision)
            OnnxClassifier(folder).probabilities(["A review."])
        except InputError:
            raise
        except Exception as error:  # PyTorch's exporter and ONNX Runtime raise many types
            fault = f"{source} cannot be exported ({type(error).__name__})"
            raise InputError(
                f"params.yaml: exports: {precision} is not allowed: {fault}; allowed: []"
            ) from error
