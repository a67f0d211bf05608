"""Tries a pretrained model in small, before the pipeline does: whatever its stages would do with it."""

import tempfile
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import DataCollatorWithPadding, PreTrainedModel

from sentiment.errors import InputError, loading
from sentiment.model import scoring
from sentiment.model.encoding import SHORTEST, Encoder
from sentiment.model.saved import save_transformer
from sentiment.model.transformer import logits_of
from sentiment.onnx import graph
from sentiment.onnx.runtime import OnnxClassifier
from sentiment.params import Params
from sentiment.pretrained.building import build_classifier, check_lengths
from sentiment.pretrained.sources import Pretrained
from sentiment.training.fine_tuning import lengths, quiet_libraries


def try_model(pretrained: Pretrained, params: Params) -> None:
    """Score reviews of the longest and the shortest length, make a training step, and export, if that is asked for.

    On the CPU, where each error is one that can be gone on from.

    Raises:
        InputError: one of these does not work; the line says which parameter to change.
    """
    quiet_libraries()
    scoring.make_deterministic()
    encoder = Encoder(pretrained.folder, params.max_length, params.truncation)
    model = build_classifier(pretrained, encoder, params.head, params.dropout)
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=scoring.uses_bf16(params.precision))
    with loading(f"model {pretrained.source}"), autocast:
        check_lengths(model.eval(), encoder, pretrained.source, **lengths(params))
        if order_matters(model, encoder):
            raise InputError(
                f"model {pretrained.source}: the score of a review depends on what was read before it"
            )
        logits = two_steps(model.train(), encoder, lengths(params)["train_max_length"])
        if params.dropout == 0.0 and not torch.equal(*logits):
            raise InputError(
                f"params.yaml: dropout: {params.dropout} is not allowed: {pretrained.source} draws random numbers in training "
                "all the same; allowed: null (its own dropout), or a share above 0"
            )
    for precision in params.exports:
        check_export(model, encoder, pretrained.source, precision)


def order_matters(model: PreTrainedModel, encoder: Encoder) -> bool:
    """Whether a model scores a short review otherwise after it has read a long one."""
    short, long = encoder.filled(SHORTEST), encoder.filled(min(encoder.max_length, 1024))
    before = logits_of(model, short)
    logits_of(model, long)
    return not torch.equal(before, logits_of(model, short))


def two_steps(model: PreTrainedModel, encoder: Encoder, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the same two reviews in training, one of them padded, with other random numbers each time.

    Raises:
        Exception: the model cannot be trained so.
    """
    reviews = [{"input_ids": encoder.filled(tokens)} for tokens in (length, SHORTEST)]
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
        except Exception as error:  # PyTorch's exporter and ONNX Runtime have many
            fault = f"{source} cannot be exported ({type(error).__name__})"
            raise InputError(
                f"params.yaml: exports: {precision} is not allowed: {fault}; allowed: []"
            ) from error
