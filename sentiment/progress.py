"""Progress of long work on standard error: a bar with the time left on a terminal, elsewhere a line now and then."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

QUICK = 1.0  # seconds: work that ends within them shows no bar
BETWEEN_LINES = 30.0  # seconds without a terminal, before the first line too
Advance = Callable[[float], object]  # takes how much more is done
T = TypeVar("T")


def ignore(amount: float) -> None:
    """An Advance that shows nothing."""


class Progress(tqdm):
    """A tqdm bar, or its lines; of several processes, the first one's alone. Use it as a context manager.

    The time left is by the mean speed, which long reviews among short ones do not make jump. A bar within another one
    goes when it ends.

    Args:
        what: is done, such as `scoring`.
        total: how much there is to do; None: unknown.
        unit: of `total`, with a space before a word; empty: it is no unit that says anything to people.
        shown: False shows nothing.
        done: how much of it was done before, which does not count for the speed.
    """

    monitor_interval = 0  # no thread: every update looks at the clock

    def __init__(
        self, what: str, total: float | None, unit: str = " reviews", shown: bool = True, done: float = 0
    ):
        options: dict[str, Any] = {
            "file": _Lines(),
            "position": 0,
            "leave": False,
            "delay": BETWEEN_LINES,
            "mininterval": BETWEEN_LINES,
            "bar_format": "{desc}: {percentage:.0f} % done, {remaining} left"
            if total
            else "{desc}: {n_fmt}{unit} done",
        }
        if sys.stderr.isatty():
            speed = (
                "{n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"
                if unit
                else "[{elapsed}<{remaining}]"
            )
            bar = (
                f"{{l_bar}}{{bar}}| {speed}"
                if total
                else "{desc}: {n_fmt}{unit} [{elapsed}, {rate_noinv_fmt}]"
            )
            options = {
                "file": sys.stderr,
                "leave": None,
                "delay": QUICK,
                "dynamic_ncols": True,
                "bar_format": bar,
            }
        super().__init__(
            desc=what,
            total=total,
            unit=unit,
            unit_scale=(total or 0) >= 10_000,
            initial=done,
            smoothing=0,
            miniters=1,
            disable=not shown or os.environ.get("RANK", "0") != "0",
            **options,
        )

    @property
    def format_dict(self) -> dict[str, Any]:
        """The values to show; what is done has no fractions, and their sum is never more than all."""
        return super().format_dict | {"n": min(round(self.n), self.total or round(self.n))}

    def advance_to(self, done: float) -> None:
        """Show that so much of `total` is done."""
        self.update(done - self.n)

    def refresh(self, *args: Any, **options: Any) -> None:
        """Draw the bar anew, but not before it is due, as `say` would."""
        if not self.disable and self._time() >= self.start_t + self.delay:
            super().refresh(*args, **options)
            self.last_print_t = self._time()  # by which close() knows that there is a bar to end


def each(items: Iterable[T], advance: Advance, amounts: Iterable[float] = repeat(1)) -> Iterator[T]:
    """Yield the items; `advance` takes the amount of each when the next one is asked for."""
    for item, amount in zip(items, amounts, strict=False):
        yield item
        advance(amount)


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line to a file (standard output), above the bars that are shown."""
    tqdm.write(line, file=file)


class _Lines:
    """Standard error as a tqdm bar writes to it: each state of the bar on a line of its own."""

    def write(self, text: str) -> None:
        if state := text.strip():
            print(state, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Nothing: lines are flushed as they are written."""
