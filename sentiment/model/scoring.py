"""Scoring: the probability of POSITIVE that a fine-tuned transformer gives each of many reviews."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache
from transformers import PreTrainedModel

from sentiment import progress
from sentiment.classifier import Scores, TokenClassifier
from sentiment.errors import InputError, memory_ran_out
from sentiment.model.encoding import SHORTEST, Encoder
from sentiment.model.probability import positive_probability
from sentiment.progress import Advance

# Tokens that are scored or trained on together, padding included: batches that keep a large GPU busy, and on a CPU stay
# within its cache.
TOKENS_A_BATCH = {"cuda": 8192, "cpu": 2048}
ALONE = 128  # tokens that a thread of a CPU scores together: one review, or several short ones of one length
HARMLESS = 1e-3  # of what rounding changes in a logit
BLOCK = 8192  # reviews whose token ids are in memory at the same time


class TransformerClassifier(TokenClassifier):
    """A fine-tuned transformer that gives reviews their probability of POSITIVE.

    On a CPU a review's score depends on its own text alone, to the bit where attention is fused: nothing is padded, and each review is the work of
    one thread. On a GPU, batches are padded as the model's tokenizer pads, unless that changes scores.

    Args:
        model: a two-label sequence classifier; it is put on CUDA if there is one.
        encoder: of the same model.
        precision: `auto`, `bf16` or `fp32`.
        trained: the model goes on being trained, so its weights stay float32.
    """

    def __init__(
        self, model: PreTrainedModel, encoder: Encoder, precision: str = "auto", trained: bool = False
    ):
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self._device)
        self.encoder = encoder
        self._bf16 = uses_bf16(precision)
        self._on_cpu = self.independent = self._device.type == "cpu"
        # Whether batches may be padded, which the architecture decides.
        self._pads = not self._on_cpu and padding_changes_logits(self.model, encoder) < HARMLESS
        if self._bf16 and not trained:
            cast_linear_weights(self.model)
        # Threads, each with a review, or tokens of a batch; fewer once memory runs out.
        self._at_once = torch.get_num_threads() if self._on_cpu else TOKENS_A_BATCH["cuda"]

    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        """Score normalised reviews, at least one.

        Args:
            texts: the reviews, as `data.text.normalise` returns them.
            advance: is called with the number of reviews scored since its last call, in proportion to their tokens.

        Raises:
            InputError: there is too little memory for even one review.
        """
        probabilities: list[np.ndarray] = []
        tokens = unknown = 0
        for start in range(0, len(texts), BLOCK):
            encoded = self.encoder(texts[start : start + BLOCK])
            probabilities.append(self.probabilities_of_ids(encoded.ids, advance))
            tokens += encoded.tokens
            unknown += encoded.unknown
        return Scores(np.concatenate(probabilities), tokens, unknown)

    def probabilities_of_ids(
        self, encoded: Sequence[Sequence[int]], advance: Advance = progress.ignore
    ) -> np.ndarray:
        """The same for token ids, special tokens included."""
        return positive_probability(self.logits(encoded, advance), self.model.config.id2label or {})

    def share_threads(self) -> int:
        """Leave the threads to the caller: how many may from now on each score one batch at a time."""
        if self._on_cpu:
            torch.set_num_threads(1)
            return self._at_once
        return 1

    def probabilities_of_batch(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Probability of POSITIVE for what `next_batch` chose, by the calling thread alone.

        Raises:
            InputError: there is too little memory.
        """
        if not self._on_cpu:
            return self.probabilities_of_ids(encoded)
        try:
            logits = self._of_one_length(encoded).float().numpy()
        except Exception as error:
            if not memory_ran_out(error):
                raise
            raise InputError(f"too little memory to score a review of {len(encoded[0])} tokens") from error
        return positive_probability(logits, self.model.config.id2label or {})

    def next_batch(self, lengths: Sequence[int]) -> list[int]:
        """Rows of waiting reviews, of so many tokens each, to score in one call: the first, and those that add little work.

        On a CPU, these are of the same length, and take the place of copies; on a GPU, all that one batch has room for.
        """
        if self._on_cpu:
            same = [row for row, length in enumerate(lengths) if length == lengths[0]]
            return same[: max(1, ALONE // lengths[0])] if same else []
        room = max(1, self._at_once // max(lengths, default=1))
        return list(range(len(lengths)))[:room]

    def logits(self, encoded: Sequence[Sequence[int]], advance: Advance = progress.ignore) -> np.ndarray:
        """Logits of encoded reviews: float32 array of shape (reviews, 2), in the order of `encoded`.

        Raises:
            InputError: there is too little memory for even one review.
        """
        lengths = [len(ids) for ids in encoded]
        while True:
            try:
                return self._logits(encoded, lengths, advance)
            except Exception as error:
                if not memory_ran_out(error):
                    raise
            longest = max(lengths)
            if self._at_once <= (1 if self._on_cpu else longest):
                raise InputError(f"too little memory on {self._device} to score a review of {longest} tokens")
            self._at_once //= 2
            less = (
                f"{self._at_once} reviews at a time" if self._on_cpu else f"batches of {self._at_once} tokens"
            )
            progress.say(f"memory ran out on {self._device}; going on with {less}", sys.stderr)
            clear_device_cache(garbage_collection=True)

    def _logits(
        self, encoded: Sequence[Sequence[int]], lengths: Sequence[int], advance: Advance
    ) -> np.ndarray:
        work = batches(lengths, ALONE if self._on_cpu else self._at_once, padded=self._pads)
        a_token = len(lengths) / max(sum(lengths), 1)
        reviews = [
            a_token * sum(lengths[row] for row in rows) for rows in work
        ]  # of mean length, as many take as long
        if self._on_cpu:
            threads = torch.get_num_threads()
            try:
                with ThreadPoolExecutor(
                    self._at_once, initializer=torch.set_num_threads, initargs=(1,)
                ) as pool:
                    results = pool.map(lambda rows: self._of_one_length([encoded[row] for row in rows]), work)
                    outputs = list(progress.each(results, advance, reviews))
            finally:
                torch.set_num_threads(threads)  # PyTorch keeps one number for all threads to come
        else:
            results = (self._padded([encoded[row] for row in rows]) for rows in work)
            outputs = list(progress.each(results, advance, reviews))
        logits = np.empty((len(encoded), 2), dtype=np.float32)
        for rows, output in zip(
            work, outputs, strict=True
        ):  # only now, so that a GPU is never waited for in between
            logits[rows] = output.float().cpu().numpy()
        return logits

    def autocast(self) -> torch.autocast:
        """The context in which the model computes: products in bfloat16, if that is its precision."""
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16)

    @torch.no_grad()
    def _of_one_length(self, reviews: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits of reviews of one length, in a batch that is always of the same shape for this length.

        The shape decides how products are rounded, so the batch is filled with copies.
        """
        ids = torch.tensor(reviews, device=self._device)
        full = ids.repeat(-(-ALONE // len(reviews)), 1)[: max(1, ALONE // ids.shape[1])]
        with self.autocast():
            return self.model(input_ids=full).logits[: len(reviews)]

    @torch.no_grad()
    def _padded(self, reviews: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits of reviews that are padded to the longest of them."""
        ids = [list(review) for review in reviews]
        batch = self.encoder.tokenizer.pad({"input_ids": ids}, return_tensors="pt", verbose=False)
        with self.autocast():
            return self.model(**batch.to(self._device)).logits


@torch.no_grad()
def padding_changes_logits(model: PreTrainedModel, encoder: Encoder) -> float:
    """By how much the logits of a short review change, in float32, when it shares a batch with a long one."""
    short, long = encoder.filled(SHORTEST), encoder.filled(min(8 * SHORTEST, encoder.max_length))
    batch = encoder.tokenizer.pad({"input_ids": [short, long]}, return_tensors="pt", verbose=False).to(
        model.device
    )
    alone = model(input_ids=torch.tensor([short], device=model.device)).logits[0]
    return float((model(**batch).logits[0] - alone).abs().max())


def batches(lengths: Sequence[int], tokens: int, padded: bool) -> list[list[int]]:
    """Rows in batches of at most `tokens` tokens, padding included, or of one review; of like length, or of the same.

    The longest come first, so that memory runs out at once or never, and no thread begins one when others have ended.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        most = lengths[batches[-1][0]] if batches else 0
        if batches and (padded or lengths[row] == most) and (len(batches[-1]) + 1) * most <= tokens:
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


def multiplies_bf16() -> bool:
    """Whether the GPU or the processor has products of bfloat16; one without takes several times as long as in fp32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def cast_linear_weights(model: PreTrainedModel) -> None:
    """Turn the weights of linear layers into bfloat16, as autocast does anew for each batch: the same bits, sooner."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.to(torch.bfloat16)


def make_deterministic() -> None:
    """Make PyTorch give the same bits for the same input on the same machine. Call before the first CUDA work."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that costs time
