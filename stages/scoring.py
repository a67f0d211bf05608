"""Scores of a classifier for many reviews: the one path for evaluation and prediction."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from scipy.special import softmax
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from stages.encoding import Encoder
from stages.errors import InputError, extra, loading, one_line

# Batches that keep a large GPU busy, and on a CPU stay within its cache: padding included.
TOKENS_A_BATCH = {"cuda": 8192, "cpu": 2048}
# Reviews that are encoded and batched together. What shares a batch decides the last bits of a score, so evaluation and
# prediction use the same windows, and prediction holds no more reviews than these in memory.
WINDOW = 8192


def bf16(precision: str) -> bool:
    """Whether to compute in bfloat16: `auto` means where matrix units do (CUDA from Ampere on, AMX).

    AVX-512 BF16 alone is no reason: it halves the speed of products on Intel and doubles it on AMD, and in fp32 both come
    to the same accuracies.
    """
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def deterministic() -> None:
    """Make PyTorch give the same bits for the same input on the same machine. Call before the first CUDA work."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that costs time


class Quantized:
    """An int8 classifier that quantize wrote, run by ONNX Runtime on the CPU."""

    def __init__(self, folder: str | Path):
        with extra("onnx"):
            import onnxruntime
        self.config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            Path(folder) / "model.onnx", options, providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],  # fused, it takes six times as long as its two parts
        )  # fmt: skip

    def score(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits of encoded reviews: float32 array of shape (reviews, 2).

        Each review is scored by itself, by one thread: there is no padding, and no result depends on other reviews.
        """
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            found = threads.map(lambda ids: self._session.run(["logits"], {"input_ids": [ids]})[0], encoded)
            return np.concatenate(list(found))


def load(folder: str | Path) -> tuple[PreTrainedModel | Quantized, Encoder]:
    """A classifier that train or quantize wrote, and the encoder that truncates reviews as in its training.

    Raises:
        InputError: there is none in the folder.
    """
    if not (Path(folder) / "config.json").is_file():
        raise InputError(f"{folder}: no classifier there; `dvc repro` trains one, `dvc pull` fetches one")
    logging.disable_progress_bar()
    with loading(str(folder)):
        model = Quantized(folder) if (Path(folder) / "model.onnx").is_file() else classifier(folder)
        return model, Encoder(folder, model.config.review_max_length, model.config.review_truncation)


def classifier(folder: str | Path, config: PreTrainedConfig | None = None, new_head: bool = False) -> PreTrainedModel:
    """A sequence classifier in float32, with every weight from the folder; `new_head`: but for a head to be trained.

    Raises:
        InputError: weights are missing, or are no numbers.
        Exception: transformers cannot read the files; see `errors.loading`.
    """
    model, found = AutoModelForSequenceClassification.from_pretrained(
        folder,
        config=config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # they are named below
        output_loading_info=True,
    )
    # What is missing or does not fit gets random numbers, which is right for a new head and its pooler alone.
    body = f"{model.base_model_prefix}."
    for name, came, needed in sorted(found["mismatched_keys"]):
        if not new_head or name.startswith(body):
            shapes = f"{list(came)}, and by config.json it has {list(needed)}"
            raise InputError(f"{folder}: weight {one_line(name)} has the shape {shapes}")
    missing = [key for key in found["missing_keys"] if not new_head or (key.startswith(body) and ".pooler." not in key)]
    if missing:
        raise InputError(f"{folder}: lacks {len(missing)} of the model's weights, such as {one_line(min(missing))}")
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise InputError(f"{folder}: weight {name} holds values that are no numbers")
    return model


def probabilities(
    model: PreTrainedModel | Quantized, encoder: Encoder, texts: Sequence[str], precision: str = "auto"
) -> np.ndarray:
    """Probability of POSITIVE for normalised reviews: float64 array of shape (reviews,)."""
    texts = list(texts)
    windows = (encoder(texts[start : start + WINDOW])[0] for start in range(0, len(texts), WINDOW))
    return np.concatenate([encoded_probabilities(model, encoder, window, precision) for window in windows])


def encoded_probabilities(
    model: PreTrainedModel | Quantized, encoder: Encoder, encoded: Sequence[Sequence[int]], precision: str = "auto"
) -> np.ndarray:
    """The same for token ids, special tokens included.

    The order of the labels is read from the model, never assumed.
    """
    if isinstance(model, Quantized):
        logits = model.score(encoded)
    else:
        logits = score(model, encoded, encoder.tokenizer.pad_token_id, precision)
    names = {str(name).upper(): int(index) for index, name in (model.config.id2label or {}).items()}
    return softmax(logits.astype(float), axis=1)[:, names["POSITIVE"]]


def score(model: PreTrainedModel, encoded: Sequence[Sequence[int]], pad: int, precision: str = "auto") -> np.ndarray:
    """Logits of a two-label classifier for encoded reviews.

    Reviews of like length share a batch of few enough tokens (TOKENS_A_BATCH), so that little of the work is padding.

    Args:
        model: the classifier; it is put on CUDA if there is one.
        encoded: token ids of each review, special tokens included.
        pad: id of the padding token.
        precision: `auto`, `bf16` or `fp32`.

    Returns:
        float32 array of shape (reviews, 2), in the order of `encoded`.

    Raises:
        InputError: there is too little memory for even one review.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.eval()
    model.to(device)  # type: ignore[arg-type]
    tokens = TOKENS_A_BATCH[device.type]
    while True:
        try:
            return _score(model, encoded, pad, precision, device, tokens)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        longest = max(map(len, encoded))
        if tokens <= longest:
            raise InputError(f"too little memory on {device} to score a review of {longest} tokens")
        tokens = TOKENS_A_BATCH[device.type] = tokens // 2  # for later windows too
        print(f"memory ran out on {device}; going on with batches of at most {max(tokens, longest)} tokens")
        clear_device_cache(garbage_collection=True)


@torch.inference_mode()
def _score(
    model: PreTrainedModel,
    encoded: Sequence[Sequence[int]],
    pad: int,
    precision: str,
    device: torch.device,
    tokens: int,
) -> np.ndarray:
    found = []
    for rows in batches([len(ids) for ids in encoded], tokens):
        ids = pad_sequence([torch.tensor(encoded[row]) for row in rows], batch_first=True, padding_value=pad)
        mask = torch.arange(ids.shape[1]) < torch.tensor([len(encoded[row]) for row in rows])[:, None]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16(precision)):
            output = model(input_ids=ids.to(device), attention_mask=mask.long().to(device)).logits
        found.append((rows, output.float()))
    logits = np.empty((len(encoded), 2), dtype=np.float32)
    for rows, output in found:  # only now, so that a GPU is never waited for in between
        logits[rows] = output.cpu().numpy()
    return logits


def batches(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Rows in batches of at most `tokens` tokens, padding included, or of one review.

    The longest come first, so that memory runs out at once or never.
    """
    found: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if found and (len(found[-1]) + 1) * lengths[found[-1][0]] <= tokens:
            found[-1].append(row)
        else:
            found.append([row])
    return found
