"""Scoring: the probability of POSITIVE that a fine-tuned transformer gives each review."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from accelerate.utils.memory import clear_device_cache
from transformers import PreTrainedModel

from sentiment import progress
from sentiment.classifier import Scores, TokenClassifier
from sentiment.errors import InputError, memory_ran_out
from sentiment.model.encoding import MIN_LENGTH, Encoder
from sentiment.model.precision import cast_linear_weights, uses_bf16
from sentiment.model.probability import positive_probability
from sentiment.progress import Advance

# Tokens per batch in scoring and training, padding included: enough to keep a large GPU busy, and few enough
# for a CPU's cache.
TOKENS_A_BATCH = {"cuda": 8192, "cpu": 2048}
# Tokens that one CPU thread scores together: one review, or several short ones of equal length.
TOKENS_PER_THREAD = 128
MAX_PADDING_EFFECT = 1e-3  # on a logit; smaller changes are rounding
BLOCK = 8192  # reviews whose token ids are in memory at the same time


class BatchedTransformer(ABC):
    """Runs a transformer on encoded reviews: one vector each, such as its logits.

    On a CPU, a review's vector depends only on its own text, to the bit where attention is fused: nothing is
    padded, and one thread computes each review. On a GPU, batches are padded by the model's tokenizer, unless
    that changes scores.

    Args:
        model: a two-label sequence classifier; it is moved to the GPU if there is one.
        encoder: of the same model.
        precision: `auto`, `bf16` or `fp32`; see `precision.uses_bf16`.
        trained: the model is still in training, so its weights stay float32.

    Attributes:
        may_pad: whether reviews of different lengths may share a batch on a GPU.
    """

    may_pad: bool

    def __init__(
        self, model: PreTrainedModel, encoder: Encoder, precision: str = "auto", trained: bool = False
    ):
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.eval().to(self._device)
        self.encoder = encoder
        self._bf16 = uses_bf16(precision)
        self._on_cpu = self.independent = self._device.type == "cpu"
        # Whether padding changes scores depends on the architecture.
        on_gpu = not self._on_cpu
        self._pads = self.may_pad and on_gpu and padding_effect(self.model, encoder) < MAX_PADDING_EFFECT
        if self._bf16 and not trained:
            cast_linear_weights(self.model)
        # On a CPU, the number of threads that score; on a GPU, tokens per batch. Halved when memory runs out.
        self._at_once = torch.get_num_threads() if self._on_cpu else TOKENS_A_BATCH["cuda"]

    @abstractmethod
    def forward(self, input_ids: torch.Tensor, **masks: torch.Tensor) -> torch.Tensor:
        """Compute the vectors of a batch: shape (reviews, numbers per review).

        Args:
            input_ids: token ids, shape (reviews, tokens).
            masks: other inputs that the tokenizer makes for a padded batch, of the same shape.
        """

    def outputs(self, encoded: Sequence[Sequence[int]], advance: Advance = progress.ignore) -> np.ndarray:
        """Vectors of encoded reviews: float32 array of shape (reviews, numbers per review), in their order.

        Args:
            encoded: token ids of each review, special tokens included; at least one review.
            advance: is called with the number of reviews done since its last call; each counts in proportion
                to its tokens.

        Raises:
            InputError: there is too little memory for even one review.
        """
        lengths = [len(ids) for ids in encoded]
        while True:
            try:
                return self._outputs(encoded, lengths, advance)
            except Exception as error:
                if not memory_ran_out(error):
                    raise
            longest = max(lengths)
            if self._at_once <= (1 if self._on_cpu else longest):
                raise InputError(f"too little memory on {self._device} to score a review of {longest} tokens")
            self._at_once //= 2
            smaller = f"batches of {self._at_once} tokens"
            if self._on_cpu:
                smaller = f"{self._at_once} reviews at a time"
            progress.say(f"memory ran out on {self._device}; continuing with {smaller}", sys.stderr)
            clear_device_cache(garbage_collection=True)

    def _outputs(
        self, encoded: Sequence[Sequence[int]], lengths: Sequence[int], advance: Advance
    ) -> np.ndarray:
        tokens = TOKENS_PER_THREAD if self._on_cpu else self._at_once
        work = batches(lengths, tokens, padded=self._pads)
        reviews_per_token = len(lengths) / max(sum(lengths), 1)
        amounts = [reviews_per_token * sum(lengths[row] for row in rows) for rows in work]
        inputs = ([encoded[row] for row in rows] for rows in work)
        if self._on_cpu:
            threads = torch.get_num_threads()
            try:
                with ThreadPoolExecutor(
                    self._at_once, initializer=torch.set_num_threads, initargs=(1,)
                ) as pool:
                    results = pool.map(self._of_one_length, inputs)
                    vectors = list(progress.each(results, advance, amounts))
            finally:
                torch.set_num_threads(threads)  # the number also applies to threads that start later
        else:
            vectors = list(progress.each(map(self._padded, inputs), advance, amounts))
        # Copied only now: copying after each batch would wait for the GPU each time.
        outputs = np.empty((len(encoded), vectors[0].shape[1]), dtype=np.float32)
        for rows, vector in zip(work, vectors, strict=True):
            outputs[rows] = vector.float().cpu().numpy()
        return outputs

    def autocast(self) -> torch.autocast:
        """The context in which the model computes: matrix products in bfloat16, if that is its precision."""
        return torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._bf16)

    @torch.no_grad()
    def _of_one_length(self, reviews: Sequence[Sequence[int]]) -> torch.Tensor:
        """Vectors of reviews of equal length: shape (reviews, numbers per review).

        The batch is filled with copies, so that its shape depends only on the length: the shape decides how
        matrix products are rounded.
        """
        ids = torch.tensor(reviews, device=self._device)
        copies = -(-TOKENS_PER_THREAD // len(reviews))
        full = ids.repeat(copies, 1)[: max(1, TOKENS_PER_THREAD // ids.shape[1])]
        with self.autocast():
            return self.forward(full)[: len(reviews)]

    @torch.no_grad()
    def _padded(self, reviews: Sequence[Sequence[int]]) -> torch.Tensor:
        """Vectors of reviews, padded to the longest: shape (reviews, numbers per review)."""
        ids = [list(review) for review in reviews]
        batch = self.encoder.tokenizer.pad({"input_ids": ids}, return_tensors="pt", verbose=False)
        with self.autocast():
            return self.forward(**batch.to(self._device))


class TransformerClassifier(BatchedTransformer, TokenClassifier):
    """Scores reviews with a fine-tuned transformer in PyTorch."""

    may_pad = True

    def forward(self, input_ids: torch.Tensor, **masks: torch.Tensor) -> torch.Tensor:
        """Compute the logits of a batch: shape (reviews, 2)."""
        return self.model(input_ids=input_ids, **masks).logits

    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        """Score normalised reviews, at least one.

        Args:
            texts: the reviews, as `data.text.normalise` returns them.
            advance: is called with the number of reviews scored since its last call; each counts in
                proportion to its tokens.

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
        """Score encoded reviews: float64 array of shape (reviews,).

        Args:
            encoded: token ids of each review, special tokens included.
            advance: as for `score`.

        Raises:
            InputError: there is too little memory for even one review.
        """
        return positive_probability(self.logits(encoded, advance), self.model.config.id2label or {})

    def share_threads(self) -> int:
        """Let the caller run the threads; return how many may each score one batch at a time from now on."""
        if self._on_cpu:
            torch.set_num_threads(1)
            return self._at_once
        return 1

    def probabilities_of_batch(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Score a batch that `next_batch` chose, in the calling thread: float64 array of shape (reviews,).

        Args:
            encoded: token ids of each review, special tokens included.

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
        """Choose the reviews to score in the next call: indices into `lengths`, always with the first.

        On a CPU, these have equal lengths, and the batch would otherwise be filled with copies; on a GPU,
        they are those that fit into one batch.

        Args:
            lengths: tokens of each waiting review, special tokens included.
        """
        if not lengths:
            return []
        if self._on_cpu:
            equal = [row for row, length in enumerate(lengths) if length == lengths[0]]
            return equal[: max(1, TOKENS_PER_THREAD // lengths[0])]
        batch_size = max(1, self._at_once // max(lengths))
        return list(range(len(lengths)))[:batch_size]

    def logits(self, encoded: Sequence[Sequence[int]], advance: Advance = progress.ignore) -> np.ndarray:
        """Logits of encoded reviews: float32 array of shape (reviews, 2), in the order of `encoded`.

        Raises:
            InputError: there is too little memory for even one review.
        """
        return self.outputs(encoded, advance)


@torch.no_grad()
def padding_effect(model: PreTrainedModel, encoder: Encoder) -> float:
    """Largest change in the logits of a short review, in float32, if padding makes it as long as another."""
    short = encoder.dummy(MIN_LENGTH)
    long = encoder.dummy(min(8 * MIN_LENGTH, encoder.max_length))
    batch = encoder.tokenizer.pad({"input_ids": [short, long]}, return_tensors="pt", verbose=False)
    alone = model(input_ids=torch.tensor([short], device=model.device)).logits[0]
    padded = model(**batch.to(model.device)).logits[0]
    return float((padded - alone).abs().max())


def batches(lengths: Sequence[int], tokens: int, padded: bool) -> list[list[int]]:
    """Group reviews into batches of similar length, or of equal length unless they may be padded.

    The longest come first, so that memory runs out early or never, and no thread starts a long review when
    the others have finished.

    Args:
        lengths: tokens of each review.
        tokens: maximum per batch, padding included; a longer review gets a batch to itself.
        padded: whether a batch may mix lengths.

    Returns:
        Indices into `lengths`, batch by batch.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        longest = lengths[batches[-1][0]] if batches else 0
        if batches and (padded or lengths[row] == longest) and (len(batches[-1]) + 1) * longest <= tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def make_deterministic() -> None:
    """Make PyTorch compute the same bits for the same input on the same machine. Call it before using CUDA.

    https://docs.pytorch.org/docs/stable/notes/randomness.html
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Filling new tensors is an aid for debugging that costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
