"""The queue of waiting texts, the threads that score them, and their Prometheus metrics."""

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import Counter, Gauge, Histogram
from starlette.exceptions import HTTPException

from sentiment.blend.classifier import BlendClassifier
from sentiment.classifier import TokenClassifier
from sentiment.data.row import Row
from sentiment.errors import InputError
from sentiment.labels import LABELS

CAPACITY = 1024  # texts that may wait

# The instrumentator has the metrics of requests.
WAITING = Gauge("sentiment_queue_texts", "Texts waiting to be scored")
WAITED = Histogram("sentiment_queue_seconds", "Time that a text waited to be scored")
SCORED = Counter("sentiment_texts", "Texts scored, by label", ["label"])
BY_NGRAMS = Counter("sentiment_texts_by_ngrams", "Texts that the n-grams of a blend decided alone")
LENGTH = Histogram(
    "sentiment_text_tokens",
    "Tokens of a text before truncation",
    buckets=[2**power for power in range(2, 15)],
)
UNKNOWN = Counter(
    "sentiment_unknown_tokens", "Tokens that the vocabulary lacks, out of sentiment_text_tokens_sum"
)


@dataclass(eq=False)
class _Text:
    """A waiting text; once encoded, also its token ids, length before truncation, and unknown tokens.

    `by_ngrams` is the probability of POSITIVE from the n-grams of a blend.
    """

    place: str
    text: str
    probability: Future[float] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    ids: list[int] | None = None
    length: int = 0
    unknown: int = 0
    by_ngrams: float = math.nan


class ScoringQueue:
    """Scores the texts of many requests on all cores, first come, first served.

    A free thread takes the text that has waited longest, and the waiting texts that cost no more with it. No
    request waits for a batch to fill, or for the batch of another thread.

    The n-grams of a blend score a text before it is encoded. A text that they decide is answered at once, and
    the encoder never sees it.

    Args:
        classifier: scores the texts; nothing else may use it.
        threads: that of an earlier queue of this process, or 0.

    Attributes:
        threads: number of batches that are scored at the same time.
    """

    def __init__(self, classifier: TokenClassifier | BlendClassifier, threads: int = 0):
        self._blend = classifier if isinstance(classifier, BlendClassifier) else None
        self._classifier = classifier.encoder if isinstance(classifier, BlendClassifier) else classifier
        self._waiting: dict[_Text, None] = {}  # an ordered set: texts are removed from anywhere in it
        self._lock = threading.Lock()
        self.threads = self._classifier.share_threads()
        if self._classifier.independent:  # on a CPU, where PyTorch has forgotten the number of cores by now
            self.threads = max(self.threads, threads)
        self._encoders = ThreadPoolExecutor(self.threads)
        self._scorers = ThreadPoolExecutor(self.threads)
        self._seconds, self._tokens = 0.0, 0  # scoring time of all threads, and the tokens that they scored
        self._warm_up()

    @property
    def waiting(self) -> int:
        """Number of texts that wait."""
        return len(self._waiting)

    def finish(self) -> None:
        """Score all texts that wait, and end the threads."""
        self._encoders.shutdown()
        self._scorers.shutdown()

    def end(self) -> None:
        """End the threads when they have scored their current batches."""
        self._encoders.shutdown(cancel_futures=True)
        self._scorers.shutdown(cancel_futures=True)

    async def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Probability of POSITIVE for each text; when cancelled, texts that still wait leave the queue.

        Raises:
            HTTPException: the queue is full, the server is stopping, or a text cannot be scored.
        """
        mine = [_Text(f"inputs.{number}", text) for number, text in enumerate(texts)]
        with self._lock:
            self._check_room(len(mine))
            self._waiting |= dict.fromkeys(mine)
        for text in mine:
            self._encoders.submit(self._encode, text)
        try:
            return await asyncio.gather(*(asyncio.wrap_future(text.probability) for text in mine))
        finally:
            with self._lock:
                for text in mine:
                    self._waiting.pop(text, None)

    def refuse_waiting(self) -> None:
        """Refuse all texts that still wait."""
        with self._lock:
            waiting, self._waiting = list(self._waiting), {}
        for text in waiting:
            _fail(text, stopping())

    def check_room(self, texts: int) -> None:
        """Raise the HTTPException that so many more texts would get, if the queue is too full for them."""
        with self._lock:
            self._check_room(texts)

    def _check_room(self, texts: int) -> None:
        if len(self._waiting) + texts > CAPACITY:
            raise self._full()

    def _full(self) -> HTTPException:
        """The error when the queue is full; Retry-After is the time that the waiting texts will take."""
        tokens = sum(self._most_tokens if text.ids is None else len(text.ids) for text in self._waiting)
        seconds = tokens * self._seconds / self._tokens / self.threads
        return _unavailable(f"{CAPACITY} texts are already waiting; try again later", math.ceil(seconds))

    def _warm_up(self) -> None:
        """Score a text of maximum length, so that the speed is known before the first request."""
        (ids,) = self._classifier.encoder(["film " * self._classifier.encoder.max_length]).ids
        self._most_tokens = len(ids)
        self._scorers.submit(self._timed, [ids]).result()

    def _timed(self, batch: list[Sequence[int]]) -> list[float]:
        """Score a batch of token ids, and record the time."""
        started = time.perf_counter()
        probabilities: list[float] = self._classifier.probabilities_of_batch(batch).tolist()
        with self._lock:
            self._seconds += time.perf_counter() - started
            self._tokens += sum(map(len, batch))
        return probabilities

    def _encode(self, text: _Text) -> None:
        if text.probability.done():  # cancelled
            return
        try:
            normalised = Row(1, {"text": text.text}).text("text")
            if self._decided_by_ngrams(text, normalised):
                return
            encoded = self._classifier.encoder([normalised])
        except InputError as fault:
            _fail(text, HTTPException(422, f"body: {text.place}: {fault}"))
        except Exception as error:
            _fail(text, error)
        else:
            text.length, text.unknown = encoded.tokens, encoded.unknown
            (text.ids,) = encoded.ids
            self._scorers.submit(self._score)  # once per text; a no-op if all were scored in earlier batches

    def _decided_by_ngrams(self, text: _Text, normalised: str) -> bool:
        """Score a text with the n-grams of a blend, if the classifier is one; answer it if they decide it."""
        if self._blend is None:
            return False
        by_ngrams = self._blend.ngrams.probabilities([normalised])
        text.by_ngrams = float(by_ngrams[0])
        if not self._blend.blend.decided(by_ngrams).any():
            return False
        with self._lock:
            waits = text in self._waiting
            self._waiting.pop(text, None)
        if waits and text.probability.set_running_or_notify_cancel():
            BY_NGRAMS.inc()
            _answer(text, self._blended([text], [math.nan])[0], time.monotonic())
        return True

    def _blended(self, texts: Sequence[_Text], by_encoder: list[float]) -> list[float]:
        """The probabilities of the classifier, from those of its encoder."""
        if self._blend is None:
            return by_encoder
        by_ngrams = np.array([text.by_ngrams for text in texts])
        blended: list[float] = self._blend.blend.probabilities(by_ngrams, np.array(by_encoder)).tolist()
        return blended

    def _score(self) -> None:
        with self._lock:
            ready = [text for text in self._waiting if text.ids is not None]
            rows = self._classifier.next_batch([len(text.ids or ()) for text in ready])
            batch = [ready[row] for row in rows]
            for text in batch:
                del self._waiting[text]
        batch = [text for text in batch if text.probability.set_running_or_notify_cancel()]
        if not batch:
            return
        started = time.monotonic()
        try:
            probabilities = self._blended(batch, self._timed([text.ids or () for text in batch]))
        except Exception as error:
            for text in batch:
                text.probability.set_exception(error)
            return
        for text, probability in zip(batch, probabilities, strict=True):
            LENGTH.observe(text.length)
            UNKNOWN.inc(text.unknown)
            _answer(text, probability, started)


def _answer(text: _Text, probability: float, started: float) -> None:
    """Answer a text that no longer waits, and record its label and how long it waited until `started`."""
    WAITED.observe(started - text.since)
    SCORED.labels(LABELS[probability >= 0.5]).inc()
    text.probability.set_result(probability)


def _fail(text: _Text, error: Exception) -> None:
    """Answer a text that still waits with an error."""
    if not text.probability.done() and text.probability.set_running_or_notify_cancel():
        text.probability.set_exception(error)


def stopping() -> HTTPException:
    """The error while the server is stopping."""
    return _unavailable("the server is stopping", 1)


def _unavailable(line: str, seconds: int) -> HTTPException:
    return HTTPException(503, line, {"Retry-After": str(max(1, seconds))})
