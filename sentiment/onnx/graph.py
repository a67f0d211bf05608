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
        precision: `fp32`; or `int8`: weights with a scale for each output, and activations quantised as they come.

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
    flat = {tensor.name for tensor in graph.graph.initializer if len(tensor.dims) == 2}
    products = [node for node in graph.graph.node if node.op_type == "MatMul" and node.input[1] not in flat]
    logging.disable(logging.WARNING)  # the advice to optimise beforehand: ONNX Runtime does when it loads
    quantize_dynamic(
        graph,
        file,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
        per_channel=True,
        nodes_to_exclude=[
            node.name for node in products
        ],  # ONNX Runtime has no scale for each output of those
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    logging.disable(logging.NOTSET)


def onnx_graph(model: PreTrainedModel) -> Any:
    """A classifier as an ONNX graph in float32, from `input_ids` of one review, shape (1, tokens), to `logits`, (1, 2).

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
    # An architecture that cannot be exported is said in one line, without its whole graph.
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
    ClearMetadataAndDocStringPass()(program.model)  # it names paths of this machine
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
    """Attention as ONNX Runtime's own operator, faster than its parts; shapes as in transformers' AttentionInterface."""
    if attention_mask is not None or options.get("position_bias") is not None:
        mixed, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
        return mixed.clone(
            memory_format=torch.contiguous_format
        ), None  # else it is taken for contiguous already
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
    """No mask where every token sees every other one, as in one review alone; else that of PyTorch's attention."""
    return (
        None
        if mask_function is bidirectional_mask_function
        else sdpa_mask(mask_function=mask_function, **options)
    )
