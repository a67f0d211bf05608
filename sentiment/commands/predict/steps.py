"""Cuts the rows to score into steps, each small enough for scores to appear and to be kept every few seconds."""

import codecs
import select
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from sentiment.data.row import Row
from sentiment.errors import InputError

SECONDS = 2.0  # that scoring one step should take
FIRST = 8  # rows of the first step
MOST = 8192  # rows of a step at most
FIXED = 1024  # rows of a step where reviews that share a batch change each other's score a little
_PAUSE = 0.02  # seconds without input after which the lines that are there are scored
_READ = 2**16  # bytes to read at once


class Pace:
    """The number of rows of the next step: fixed, or such that a step takes about SECONDS.

    Args:
        rows: the fixed number; None adapts it to the speed.
    """

    def __init__(self, rows: int | None = None):
        self._adapts = rows is None
        self.rows = rows or FIRST

    def took(self, rows: int, seconds: float) -> None:
        """Adapt to the time that a step of `rows` took; one step changes the number fourfold at most."""
        if self._adapts:
            fitting = int(rows * SECONDS / max(seconds, 1e-6))
            self.rows = max(1, self.rows // 4, min(fitting, 4 * self.rows, MOST))


def steps(rows: Iterable[Row], pace: Pace, ready: Callable[[], bool]) -> Iterator[list[Row]]:
    """Yield lists of `pace.rows` rows, or of fewer where the next row is not `ready` or cannot be read.

    Raises:
        InputError: what reading a row raised, after the rows before it have been yielded.
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


class Stream:
    """The lines of a binary stream, and whether the next one is there yet.

    A byte order mark at the beginning is dropped.

    Args:
        stream: a buffered stream, such as sys.stdin.buffer.
    """

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self._waiting: deque[bytes] = deque()
        self._unfinished: list[bytes] = []  # parts of a line whose end has not arrived
        self._begun = self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines without their line feeds, each as soon as it is complete."""
        while True:
            while not self._waiting and not self._ended:
                self._read()
            if not self._waiting:
                return
            yield self._waiting.popleft()

    def ready(self) -> bool:
        """Whether the next line, or the end, can be read now or within a moment."""
        while not self._waiting and not self._ended and self._arrives():
            self._read()
        return bool(self._waiting) or self._ended

    def _arrives(self) -> bool:
        try:
            return bool(select.select([self._stream], [], [], _PAUSE)[0])
        except (OSError, ValueError):  # no stream of the operating system, or none that it can ask
            return False

    def _read(self) -> None:
        """Read what is there; wait only if nothing is."""
        part = self._stream.read1(_READ)  # type: ignore[attr-defined]  # all buffered streams have it
        self._ended = not part
        if not self._begun:
            part, self._begun = part.removeprefix(codecs.BOM_UTF8), True
        first, *lines = part.split(b"\n")
        self._unfinished.append(first)
        for line in lines:
            self._waiting.append(b"".join(self._unfinished))
            self._unfinished = [line]
        if self._ended and any(self._unfinished):  # a last line without a line feed
            self._waiting.append(b"".join(self._unfinished))
