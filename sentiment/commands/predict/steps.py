"""Cuts the rows to score into steps, small enough for scores to appear and to be saved every few seconds."""

import codecs
import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from sentiment.data.row import Row
from sentiment.errors import InputError

STEP_SECONDS = 2.0  # target time of one step
FIRST_ROWS = 8  # rows of the first step
MAX_ROWS = 8192  # rows of a step
FIXED_ROWS = 1024  # rows of a step if reviews of one batch slightly change each other's scores
_PAUSE = 0.02  # seconds without input after which the lines received so far are scored
_READ = 2**16  # bytes to read at once


class Pace:
    """The number of rows of the next step: fixed, or adapted so that a step takes about STEP_SECONDS.

    Args:
        rows: the fixed number; None adapts it to the speed.
    """

    def __init__(self, rows: int | None = None):
        self._adapts = rows is None
        self.rows = rows or FIRST_ROWS

    def record(self, rows: int, seconds: float) -> None:
        """Adapt to the time that a step took; one step changes the number by a factor of four at most."""
        if self._adapts:
            target = int(rows * STEP_SECONDS / max(seconds, 1e-6))
            self.rows = max(1, self.rows // 4, min(target, 4 * self.rows, MAX_ROWS))


def steps(rows: Iterable[Row], pace: Pace, ready: Callable[[], bool]) -> Iterator[list[Row]]:
    """Yield lists of `pace.rows` rows, or of fewer if the next row is not `ready` or cannot be read.

    Raises:
        InputError: a row cannot be read; the rows before it are yielded first.
    """
    step: list[Row] = []
    fault = None
    try:
        for row in rows:
            step.append(row)
            if len(step) >= pace.rows or not ready():
                yield step
                step = []
    except InputError as error:
        fault = error
    if step:
        yield step
    if fault:
        raise fault


class LineStream:
    """The lines of a binary stream, without a byte order mark, and whether the next one has arrived.

    Args:
        stream: a buffered stream, such as sys.stdin.buffer.
    """

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self._complete: deque[bytes] = deque()
        self._incomplete: list[bytes] = []  # pieces of a line whose end has not arrived
        self._started = self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines without their line feeds, each as soon as it is complete."""
        while True:
            while not self._complete and not self._ended:
                self._read()
            if not self._complete:
                return
            yield self._complete.popleft()

    def ready(self) -> bool:
        """Whether the next line, or the end, can be read now or within a moment."""
        while not self._complete and not self._ended and self._has_input():
            self._read()
        return bool(self._complete) or self._ended

    def _has_input(self) -> bool:
        try:
            return bool(select.select([self._stream], [], [], _PAUSE)[0])
        except (OSError, ValueError):  # not a stream that the operating system can poll
            return False

    def _read(self) -> None:
        """Read the bytes that have arrived; wait only if there are none."""
        part = self._stream.read1(_READ)  # type: ignore[attr-defined]  # all buffered streams have it
        self._ended = not part
        if not self._started:
            part, self._started = part.removeprefix(codecs.BOM_UTF8), True
        first, *others = part.split(b"\n")
        self._incomplete.append(first)
        for piece in others:
            self._complete.append(b"".join(self._incomplete))
            self._incomplete = [piece]
        if self._ended and any(self._incomplete):  # a last line without a line feed
            self._complete.append(b"".join(self._incomplete))
