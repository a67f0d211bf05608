"""The precision of a model: whether it computes in bfloat16, and whether the hardware multiplies it."""

import torch
from transformers import PreTrainedModel


def uses_bf16(precision: str) -> bool:
    """Whether to compute in bfloat16: for `auto`, where matrix units support it (NVIDIA from Ampere on, AMX).

    AVX-512 BF16 alone does not count: it halves the speed of matrix products on Intel and doubles it on AMD,
    and with fp32 both reach the same accuracies.
    """
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def multiplies_bf16() -> bool:
    """Whether the GPU or CPU multiplies bfloat16 in hardware; else bf16 is several times slower than fp32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def cast_linear_weights(model: PreTrainedModel) -> None:
    """Cast the weights of linear layers to bfloat16 once; autocast would do the same for each batch."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.to(torch.bfloat16)
