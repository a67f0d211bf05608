"""Scoring: the probability of POSITIVE that a fine-tuned transformer gives each of many reviews."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from scipy.special import softmax
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from sentiment.errors import InputError, one_line
from sentiment.labels import LABELS
from sentiment.model.encoding import Encoder

# Batches that keep a large GPU busy, and on a CPU stay within its cache: padding included.
TOKENS_A_BATCH = {"cuda": 8192, "cpu": 2048}


class TransformerClassifier:
    """A fine-tuned transformer that gives reviews their probability of POSITIVE.

    Args:
        model: a two-label sequence classifier; it is put on CUDA if there is one.
        encoder: of the same model.
        precision: `auto`, `bf16` or `fp32`.
    """

    # Reviews that are encoded and batched together. What shares a batch decides the last bits of a score, so evaluation
    # and prediction use the same blocks, and prediction holds no more reviews than these in memory.
    block = 8192

    def __init__(self, model: PreTrainedModel, encoder: Encoder, precision: str = "auto"):
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self._device)
        self.encoder = encoder
        self._bf16 = uses_bf16(precision)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Probability of POSITIVE for normalised reviews: float64 array of shape (reviews,).

        Raises:
            InputError: there is too little memory for even one review.
        """
        blocks = [texts[start : start + self.block] for start in range(0, len(texts), self.block)]
        return np.concatenate([self.probabilities_of_ids(self.encoder(block)[0]) for block in blocks])

    def probabilities_of_ids(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """The same for token ids, special tokens included."""
        return positive_probability(self.logits(encoded), self.model.config)

    def logits(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits of encoded reviews: float32 array of shape (reviews, 2), in the order of `encoded`.

        Reviews of like length share a batch of few enough tokens (TOKENS_A_BATCH), so that little of the work is padding.

        Raises:
            InputError: there is too little memory for even one review.
        """
        kind, longest = self._device.type, max(map(len, encoded))
        while True:  # accelerate's find_executable_batch_size collects garbage at every call: as long as a review takes
            try:
                return self._logits_in_batches(TOKENS_A_BATCH[kind], encoded)
            except RuntimeError as error:
                if not should_reduce_batch_size(error):
                    raise
            if TOKENS_A_BATCH[kind] <= longest:
                raise InputError(f"too little memory on {kind} to score a review of {longest} tokens")
            TOKENS_A_BATCH[kind] //= 2  # for later blocks too
            tokens = max(TOKENS_A_BATCH[kind], longest)
            print(f"memory ran out on {kind}; going on with batches of at most {tokens} tokens", file=sys.stderr)
            clear_device_cache(garbage_collection=True)

    @torch.inference_mode()
    def _logits_in_batches(self, tokens: int, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        outputs = []
        pad = self.encoder.tokenizer.pad_token_id
        for rows in batches([len(ids) for ids in encoded], tokens):
            ids = pad_sequence([torch.tensor(encoded[row]) for row in rows], batch_first=True, padding_value=pad)
            mask = torch.arange(ids.shape[1]) < torch.tensor([len(encoded[row]) for row in rows])[:, None]
            with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16):
                output = self.model(input_ids=ids.to(self._device), attention_mask=mask.long().to(self._device)).logits
            outputs.append((rows, output.float()))
        logits = np.empty((len(encoded), 2), dtype=np.float32)
        for rows, output in outputs:  # only now, so that a GPU is never waited for in between
            logits[rows] = output.cpu().numpy()
        return logits


def positive_probability(logits: np.ndarray, config: PreTrainedConfig) -> np.ndarray:
    """Probability of POSITIVE, float64 array of shape (reviews,), from logits of shape (reviews, 2).

    The order of the labels is read from the model's config, never assumed.
    """
    names = {str(name).upper(): int(index) for index, name in (config.id2label or {}).items()}
    return softmax(logits.astype(float), axis=1)[:, names[LABELS[1]]]


def batches(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Rows in batches of at most `tokens` tokens, padding included, or of one review.

    The longest come first, so that memory runs out at once or never.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def uses_bf16(precision: str) -> bool:
    """Whether to compute in bfloat16: `auto` means where matrix units do (CUDA from Ampere on, AMX).

    AVX-512 BF16 alone is no reason: it halves the speed of products on Intel and doubles it on AMD, and in fp32 both come
    to the same accuracies.
    """
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def make_deterministic() -> None:
    """Make PyTorch give the same bits for the same input on the same machine. Call before the first CUDA work."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that costs time


def load_weights(folder: str | Path, config: PreTrainedConfig | None = None, new_head: bool = False) -> PreTrainedModel:
    """A sequence classifier in float32, with every weight from the folder; `new_head`: but for a head to be trained.

    Raises:
        InputError: weights are missing, or are no numbers.
        Exception: transformers cannot read the files; see `errors.loading`.
    """
    # Shapes that do not fit are named below, all at once and with their sizes.
    model, report = AutoModelForSequenceClassification.from_pretrained(
        folder, config=config, dtype=torch.float32, local_files_only=True, use_safetensors=True,
        trust_remote_code=False, ignore_mismatched_sizes=True, output_loading_info=True,
    )  # fmt: skip
    # What is missing or does not fit gets random numbers, which is right for a new head and its pooler alone.
    body = f"{model.base_model_prefix}."
    for name, came, needed in sorted(report["mismatched_keys"]):
        if not new_head or name.startswith(body):
            shapes = f"{list(came)}, and by config.json it has {list(needed)}"
            raise InputError(f"{folder}: weight {one_line(name)} has the shape {shapes}")
    missing = [
        key for key in report["missing_keys"] if not new_head or (key.startswith(body) and ".pooler." not in key)
    ]
    if missing:
        raise InputError(f"{folder}: lacks {len(missing)} of the model's weights, such as {one_line(min(missing))}")
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise InputError(f"{folder}: weight {name} holds values that are no numbers")
    return model
