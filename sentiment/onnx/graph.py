"""ONNX export of a fine-tuned transformer, in fp32 or with int8 weights."""

import io
import logging
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import bidirectional_mask_function, sdpa_mask

from sentiment.errors import extra

ATTENTION = "onnxruntime"


def write(model: PreTrainedModel, file: Path, precision: str) -> None:
    """Write a classifier as ONNX.

    Args:
        model: a two-label sequence classifier.
        file: to be written.
        precision: `fp32`, or `int8`: weights with one scale per output, and activations quantised
            dynamically.

    Raises:
        InputError: the extra `onnx` is not installed.
    """
    with extra("onnx"):
        from onnx import TensorProto
        from onnxruntime.quantization import QuantType, quantize_dynamic
    graph = onnx_graph(model)
    if precision == "fp32":
        file.write_bytes(graph.SerializeToString())
        return
    matrices = {tensor.name for tensor in graph.graph.initializer if len(tensor.dims) == 2}
    # ONNX Runtime has one scale per output only for products with a matrix of weights.
    excluded = []
    for node in graph.graph.node:
        if node.op_type == "MatMul" and node.input[1] not in matrices:
            excluded.append(node.name)
    # It advises to optimise the graph beforehand, which ONNX Runtime does on loading.
    logging.disable(logging.WARNING)
    quantize_dynamic(
        graph,
        file,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
        per_channel=True,
        nodes_to_exclude=excluded,
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    logging.disable(logging.NOTSET)


def onnx_graph(model: PreTrainedModel) -> Any:
    """Export a classifier as an ONNX graph in float32, with one review per call.

    Its input is `input_ids`, shape (1, tokens); its output is `logits`, shape (1, 2).

    Raises:
        InputError: the extra `onnx` is not installed.
    """
    with extra("onnx"):
        import onnxscript  # noqa: F401  # the exporter needs it
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    AttentionInterface.register(ATTENTION, attention)
    AttentionMaskInterface.register(ATTENTION, mask)
    model = model.cpu().eval()
    model.set_attn_implementation(ATTENTION)
    # On failure, the exporter would also print the whole graph.
    with warnings.catch_warnings(action="ignore"), redirect_stderr(io.StringIO()):
        program: Any = torch.onnx.export(
            model,
            kwargs={"input_ids": torch.ones(1, 16, dtype=torch.long)},
            output_names=["logits"],
            dynamic_shapes={"input_ids": {1: torch.export.Dim.DYNAMIC}},
            opset_version=21,
            dynamo=True,
            verbose=False,
        )
    ClearMetadataAndDocStringPass()(program.model)  # the metadata contain paths of this machine
    return program.model_proto


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as ONNX Runtime's own operator, which is faster than its parts.

    Arguments and result are those of transformers' AttentionInterface; ONNX Runtime documents the operator in
    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MultiHeadAttention
    """
    if attention_mask is not None or options.get("position_bias") is not None:
        mixed, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
        # Without a copy, the exporter takes the tensor for contiguous.
        return mixed.clone(memory_format=torch.contiguous_format), None
    heads, size = query.shape[1], query.shape[3]
    flat = [tensor.transpose(1, 2).flatten(2) for tensor in (query, key, value)]
    mixed = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        flat,
        {"num_heads": heads, "scale": scaling or size**-0.5},
        dtype=query.dtype,
        shape=flat[0].shape,
        version=1,
    )
    return mixed.unflatten(2, (heads, size)), None


def mask(mask_function: Any, **options: Any) -> torch.Tensor | None:
    """The attention mask: none if every token sees every other, else that of PyTorch's attention.

    A review without padding needs no mask where attention is bidirectional.
    """
    if mask_function is bidirectional_mask_function:
        return None
    return sdpa_mask(mask_function=mask_function, **options)
