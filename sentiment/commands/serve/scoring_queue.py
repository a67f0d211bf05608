"""The queue of texts that wait to be scored, the threads that score them, and their Prometheus metrics."""

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

from prometheus_client import Counter, Gauge, Histogram
from starlette.exceptions import HTTPException

from sentiment.classifier import TokenClassifier
from sentiment.data.row import Row
from sentiment.errors import InputError
from sentiment.labels import LABELS

CAPACITY = 1024  # texts that may wait

# The instrumentator counts requests and their latency.
WAITING = Gauge("sentiment_queue_texts", "Texts that wait to be scored")
WAITED = Histogram("sentiment_queue_seconds", "Time that a text waited before it was scored")
SCORED = Counter("sentiment_texts", "Texts scored, by their label", ["label"])
LENGTH = Histogram(
    "sentiment_text_tokens",
    "Tokens of a text, before it is cut",
    buckets=[2**power for power in range(2, 15)],
)
UNKNOWN = Counter(
    "sentiment_unknown_tokens", "Tokens that the vocabulary does not have; sentiment_text_tokens_sum are all"
)


@dataclass(eq=False)
class _Text:
    """A text that waits, and once it is encoded its token ids, its length before it was cut, and its unknown tokens."""

    place: str
    text: str
    probability: Future[float] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    ids: list[int] | None = None
    length: int = 0
    unknown: int = 0


class ScoringQueue:
    """Scores the texts of many requests on all cores, in the order in which they came.

    A thread that is free takes the text that has waited longest, and those that cost no more along with it: no request
    waits for a batch to fill, nor for the batch of another thread.

    Args:
        classifier: what scores them; nobody else may use it.

    Attributes:
        closed: new texts are refused.
    """

    def __init__(self, classifier: TokenClassifier):
        self._classifier, self.closed = classifier, False
        self._waiting: dict[_Text, None] = {}  # in their order; an emptied place is found at once
        self._lock = threading.Lock()
        self._threads = classifier.share_threads()
        self._encoders = ThreadPoolExecutor(self._threads)
        self._scorers = ThreadPoolExecutor(self._threads)
        self._seconds, self._tokens = 0.0, 0  # that all threads together have taken, and for how many tokens
        self._warm_up()
        WAITING.set_function(lambda: len(self._waiting))

    def __enter__(self) -> Self:
        """The queue; when the block ends, its threads do."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads once they have scored what they have in hand."""
        self._encoders.shutdown(cancel_futures=True)
        self._scorers.shutdown(cancel_futures=True)

    async def probabilities(self, texts: Sequence[str]) -> list[float]:
        """Probability of POSITIVE for each text; whoever is cancelled while waiting takes what has not begun along.

        Raises:
            HTTPException: there is no room, the server is stopping, or a text cannot be scored.
        """
        if self.closed:
            raise _stopping()
        mine = [_Text(f"inputs.{number}", text) for number, text in enumerate(texts)]
        with self._lock:
            if len(self._waiting) + len(mine) > CAPACITY:
                raise self._full()
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
        """Refuse all texts that nobody has begun to score."""
        with self._lock:
            waiting, self._waiting = list(self._waiting), {}
        for text in waiting:
            _fail(text, _stopping())

    def _full(self) -> HTTPException:
        """The answer while there is no room, with the seconds in which the texts that wait will have been scored."""
        tokens = sum(self._most_tokens if text.ids is None else len(text.ids) for text in self._waiting)
        seconds = tokens * self._seconds / self._tokens / self._threads
        return _unavailable(f"{CAPACITY} texts are waiting already; try again later", math.ceil(seconds))

    def _warm_up(self) -> None:
        """Score a text of the most tokens, so that the time that texts take is known before the first has come."""
        (ids,) = self._classifier.encoder(["film " * self._classifier.encoder.max_length]).ids
        self._most_tokens = len(ids)
        self._scorers.submit(self._timed, [ids]).result()

    def _timed(self, batch: list[Sequence[int]]) -> list[float]:
        """Probabilities of a batch of token ids, with a record of the time that they took."""
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
            encoded = self._classifier.encoder([Row(1, {"text": text.text}).text("text")])
        except InputError as fault:
            _fail(text, HTTPException(422, f"body: {text.place}: {fault}"))
        except Exception as error:
            _fail(text, error)
        else:
            text.length, text.unknown = encoded.tokens, encoded.unknown
            (text.ids,) = encoded.ids
            self._scorers.submit(self._score)  # for each text, of which some will have gone along with others

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
            probabilities = self._timed([text.ids or () for text in batch])
        except Exception as error:
            for text in batch:
                text.probability.set_exception(error)
            return
        for text, probability in zip(batch, probabilities, strict=True):
            WAITED.observe(started - text.since)
            LENGTH.observe(text.length)
            UNKNOWN.inc(text.unknown)
            SCORED.labels(LABELS[probability >= 0.5]).inc()
            text.probability.set_result(probability)


def _fail(text: _Text, error: Exception) -> None:
    """End a text that nobody has begun to score."""
    if not text.probability.done() and text.probability.set_running_or_notify_cancel():
        text.probability.set_exception(error)


def _stopping() -> HTTPException:
    return _unavailable("the server is stopping", 1)


def _unavailable(line: str, seconds: int) -> HTTPException:
    return HTTPException(503, line, {"Retry-After": str(max(1, seconds))})
