"""Classifiers in ONNX, in fp32 or int8: ONNX Runtime scores on the CPU, without PyTorch and transformers."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sentiment import progress
from sentiment.classifier import Scores, TokenClassifier
from sentiment.errors import extra
from sentiment.model.encoding import Encoder
from sentiment.model.probability import positive_probability
from sentiment.progress import Advance


class OnnxClassifier(TokenClassifier):
    """Scores reviews with a model that export wrote.

    Args:
        folder: models/fp32, models/int8, or a copy of one.

    Raises:
        InputError: the extra `onnx` is not installed, or the tokenizer cannot be used.
        Exception: the files are damaged; see `errors.loading`.
    """

    independent = True

    def __init__(self, folder: str | Path):
        with extra("onnx"):
            import onnxruntime
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        self._id2label = config["id2label"]
        self.encoder = Encoder(folder, config["review_max_length"], config["review_truncation"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            Path(folder) / "model.onnx",
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=[
                "SkipLayerNormFusion"
            ],  # the fused operator is six times slower than its parts
        )

    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        """Score normalised reviews, at least one.

        One thread scores each review, without padding, so a score depends only on its own text.

        Args:
            texts: the reviews, as `data.text.normalise` returns them.
            advance: is called with the number of reviews scored since its last call.
        """
        encoded = self.encoder(texts)
        with ThreadPoolExecutor(_threads()) as threads:
            results = threads.map(self._logits, encoded.ids)
            logits = np.concatenate(list(progress.each(results, advance)))
        return Scores(positive_probability(logits, self._id2label), encoded.tokens, encoded.unknown)

    def share_threads(self) -> int:
        """How many threads may each score one batch at a time; the classifier starts none in between."""
        return _threads()

    def probabilities_of_batch(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Score a batch that `next_batch` chose, in the calling thread: float64 array of shape (reviews,)."""
        logits = np.concatenate([self._logits(ids) for ids in encoded])
        return positive_probability(logits, self._id2label)

    def next_batch(self, lengths: Sequence[int]) -> list[int]:
        """Choose the reviews to score in the next call: only the first, because nothing is padded."""
        return [0] if lengths else []

    def _logits(self, ids: Sequence[int]) -> np.ndarray:
        return self._session.run(["logits"], {"input_ids": [ids]})[0]


def _threads() -> int:
    """Number of scoring threads: OMP_NUM_THREADS, as for PyTorch, or one per available core."""
    setting = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if setting.isdecimal() and int(setting):
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
