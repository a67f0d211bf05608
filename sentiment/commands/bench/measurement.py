"""Measurements of the benchmark: work, time and memory of a recipe, and the peak speed of the machine."""

import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from sentiment.model.precision import multiplies_bf16

PEAK_SIZE = {"cuda": 8192, "cpu": 1536}  # rows and columns of the matrices that are multiplied
PEAK_REPEATS = 8
INSTRUCTION_SETS = ("avx2", "avx_vnni", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
SCORING, TRAINING = 1, 3  # forward passes that one pass takes; the backward pass counts as two


@dataclass(frozen=True)
class Round:
    """The input of one measurement: the reviews in the order of this round, and the time limit."""

    texts: list[str]
    labels: list[int]
    seconds: float
    seed: int


@dataclass(frozen=True)
class Measured:
    """One measurement of a recipe. Neither tokens nor operations include padding."""

    reviews: int
    tokens: int
    operations: float
    seconds: float
    peak_bytes: int  # the largest memory so far
    peak_operations: float  # per second, of the machine's matrix multiplication just before


Recipe = Callable[[Round], Measured]


def measured(
    model: PreTrainedModel, lengths: Sequence[int], passes: int, seconds: float, peak: float
) -> Measured:
    """A measurement from the lengths of the processed reviews.

    Args:
        model: the model, whose shape determines the operations.
        lengths: the number of tokens of each review.
        passes: SCORING or TRAINING.
        seconds: the time that was needed.
        peak: the result of `matmul_peak`.
    """
    config = model.config
    width = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or config.hidden_dim
    length = np.asarray(lengths, dtype=float)
    layer = 2 * length * (4 * width**2 + 2 * width * inner) + 4 * length**2 * width
    operations = float(passes * config.num_hidden_layers * layer.sum())
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated()
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Measured(len(length), int(length.sum()), operations, seconds, memory, peak)


def matmul_peak() -> float:
    """Operations per second of matrix multiplication: the best of several repeats, in fp32 or bf16.

    bf16 is left out on processors that do not multiply it in hardware: there it would take minutes.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = PEAK_SIZE[device]
    dtypes = [torch.float32, torch.bfloat16] if multiplies_bf16() else [torch.float32]
    best = 0.0
    for dtype in dtypes:
        left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        for _ in range(PEAK_REPEATS):
            started = now()
            left @ right
            best = max(best, 2 * size**3 / (now() - started))
    return best


def now() -> float:
    """The time in seconds, after all work submitted to the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def machine() -> str:
    """The hardware that runs the benchmark."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    capabilities = torch.cpu.get_capabilities()
    available = [name for name in INSTRUCTION_SETS if capabilities.get(name)]
    return f"{torch.get_num_threads()} CPU cores ({platform.machine()}, {', '.join(available)})"
