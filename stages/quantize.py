"""Quantise models/classifier/ to int8 for CPUs, in ONNX, and measure what that costs: models/int8/, metrics/int8.json.

Not part of the default run: `dvc exp run -S 'exports=[int8]'`.
"""

import logging
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import bidirectional_mask_function, sdpa_mask

from stages import errors, outputs, parameters, scoring, uncertainty

SOURCE, TARGET = Path("models/classifier"), Path("models/int8")
ATTENTION = "onnxruntime"
TIMED = 128  # reviews that both models score, for the ratio of their speeds


def main() -> None:
    """Write the int8 model, score the test split with it, and compare with the predictions of evaluate."""
    parameters.load(parameters.Params)
    model, encoder = scoring.load(SOURCE)
    test = pd.read_parquet("data/prepared/test.parquet")
    fine_tuned = pd.read_parquet("metrics/predictions/test.parquet")["probability"].to_numpy()
    timed = test["text"].sample(min(TIMED, len(test)), random_state=0)
    started = time.perf_counter()
    scoring.probabilities(model, encoder, timed)
    before = time.perf_counter() - started

    with outputs.whole(TARGET) as folder:
        shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
        write(scoring.classifier(SOURCE), folder / "model.onnx")
    quantised, encoder = scoring.load(TARGET)
    started = time.perf_counter()
    scoring.probabilities(quantised, encoder, timed)
    ratio = before / (time.perf_counter() - started)
    started = time.perf_counter()
    probability = scoring.probabilities(quantised, encoder, test["text"])
    seconds = time.perf_counter() - started

    found = compare(test, fine_tuned, probability)
    for name, path in {"megabytes": TARGET, "megabytes_fine_tuned": SOURCE}.items():
        found[name] = round(sum(file.stat().st_size for file in path.iterdir()) / 1e6, 1)
    outputs.write_json("metrics/int8.json", found)
    speed = {"seconds": seconds, "reviews_per_second": len(test) / seconds, "times_fine_tuned": ratio}
    outputs.write_json("metrics/speed/int8.json", speed)
    print(
        f"int8: test accuracy {found['accuracy']:.4f}, {found['accuracy_change']:+.4f} "
        f"({found['accuracy_change_low']:+.4f} to {found['accuracy_change_high']:+.4f}); {found['flipped']} of "
        f"{len(test):,} predictions flipped; {found['megabytes']} MB instead of {found['megabytes_fine_tuned']}, "
        f"{ratio:.1f} times the speed"
    )


def compare(test: pd.DataFrame, old: np.ndarray, new: np.ndarray) -> dict[str, Any]:
    """Accuracy of `new` probabilities of POSITIVE, its change from `old` with a 95 % interval, and flipped predictions."""
    truth = test["label"].to_numpy()
    group = test["group"].to_numpy() if "group" in test else None
    accuracy = [float(((probability >= 0.5) == truth).mean()) for probability in (old, new)]
    change = uncertainty.difference_intervals(truth, old, new, group)["accuracy"]
    return {
        "accuracy": accuracy[1],
        "accuracy_change": accuracy[1] - accuracy[0],
        "accuracy_change_low": change.low,
        "accuracy_change_high": change.high,
        "flipped": int(((old >= 0.5) != (new >= 0.5)).sum()),
    }


def write(model: PreTrainedModel, file: Path) -> None:
    """Write a classifier as ONNX with int8 weights, a scale for each output; activations are quantised as they come.

    Raises:
        InputError: the extra `onnx` is not installed.
    """
    with errors.extra("onnx"):
        from onnx import TensorProto
        from onnxruntime.quantization import QuantType, quantize_dynamic
    graph = exported(model)
    logging.disable(logging.WARNING)  # the advice to optimise beforehand: ONNX Runtime does when it loads
    quantize_dynamic(
        graph, file, op_types_to_quantize=["MatMul", "Gemm", "Gather"], per_channel=True,
        weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )  # fmt: skip
    logging.disable(logging.NOTSET)


def exported(model: PreTrainedModel) -> Any:
    """A classifier as an ONNX graph in float32, from `input_ids` of one review, shape (1, tokens), to `logits`, (1, 2).

    Raises:
        InputError: the extra `onnx` is not installed.
    """
    with errors.extra("onnx"):
        import onnxscript  # noqa: F401  # the exporter needs it
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    AttentionInterface.register(ATTENTION, attention)
    AttentionMaskInterface.register(ATTENTION, mask)
    model = model.cpu().eval()
    model.set_attn_implementation(ATTENTION)
    with warnings.catch_warnings(action="ignore"):
        program: Any = torch.onnx.export(
            model, kwargs={"input_ids": torch.ones(1, 16, dtype=torch.long)}, output_names=["logits"],
            dynamic_shapes={"input_ids": {1: torch.export.Dim.DYNAMIC}}, opset_version=21, dynamo=True, verbose=False,
        )  # fmt: skip
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
        mixed, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
        return mixed, None
    heads, size = query.shape[1], query.shape[3]
    flat = [tensor.transpose(1, 2).flatten(2) for tensor in (query, key, value)]
    mixed = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention", flat, {"num_heads": heads, "scale": scaling or size**-0.5},
        dtype=query.dtype, shape=flat[0].shape, version=1,
    )  # fmt: skip
    return mixed.unflatten(2, (heads, size)), None


def mask(mask_function: Any, **options: Any) -> torch.Tensor | None:
    """No mask where every token sees every other one, as in one review alone; else that of PyTorch's attention."""
    return None if mask_function is bidirectional_mask_function else sdpa_mask(mask_function=mask_function, **options)


if __name__ == "__main__":
    errors.run(main)
