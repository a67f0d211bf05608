"""Float32 attention for bfloat16 training on CPUs, where PyTorch has no fast kernel for the backward pass."""

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward


def use_float32_in_training() -> None:
    """Replace transformers' `sdpa` attention in this process by `attend`."""
    AttentionInterface.register("sdpa", attend)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention of transformers, computed in float32 if gradients are enabled.

    All shapes are those of `sdpa_attention_forward`; the output has the dtype of `query`. On an Intel Xeon
    with AMX, forward and backward pass take 12 ms in float32 and 36 ms in bfloat16 for reviews of 128 tokens.
    For 512 tokens they take 30 and 35 ms.
    """
    if not torch.is_grad_enabled():  # scoring
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast(query.device.type, enabled=False):
        output, weights = sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), attention_mask, **options
        )
    return output.to(query.dtype), weights
