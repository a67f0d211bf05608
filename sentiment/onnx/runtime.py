"""Classifiers in ONNX, in fp32 or with int8 weights, run by ONNX Runtime on the CPU, without PyTorch or transformers."""

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
    """A classifier that export wrote.

    Args:
        folder: models/fp32, models/int8, or a copy of one.

    Raises:
        InputError: the extra `onnx` is not installed.
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
            disabled_optimizers=["SkipLayerNormFusion"],  # fused, it takes six times as long as its two parts
        )

    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        """Score normalised reviews, at least one.

        Each review is scored by itself, by one thread: there is no padding, and no result depends on other reviews.

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
        """How many threads may each score one batch at a time."""
        return _threads()

    def probabilities_of_batch(self, encoded: Sequence[Sequence[int]]) -> np.ndarray:
        """Probability of POSITIVE for what `next_batch` chose, by the calling thread alone."""
        return positive_probability(np.concatenate([self._logits(ids) for ids in encoded]), self._id2label)

    def next_batch(self, lengths: Sequence[int]) -> list[int]:
        """Rows of waiting reviews, of so many tokens each, to score in one call: the first alone."""
        return [0] if lengths else []

    def _logits(self, ids: Sequence[int]) -> np.ndarray:
        return self._session.run(["logits"], {"input_ids": [ids]})[0]


def _threads() -> int:
    """Threads that score: as OMP_NUM_THREADS says, as it does for PyTorch, or one for each core that may be used."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(said) if said.isdecimal() and int(said) else cores
