"""Progress on standard error: a bar on a terminal, elsewhere a line every 30 seconds."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

QUICK = 1.0  # seconds; work that takes less shows no bar
BETWEEN_LINES = 30.0  # seconds between lines where there is no terminal, and before the first line
Advance = Callable[[float], object]  # called with the amount of work done since the last call
T = TypeVar("T")


def ignore(amount: float) -> None:
    """An Advance that shows nothing."""


class Progress(tqdm):
    """A tqdm progress bar, or lines where there is no terminal. Use it as a context manager.

    With several processes, only the first one shows it. The remaining time follows from the mean speed, so
    that it does not jump with the length of the reviews. A bar inside another one disappears when it ends.

    Args:
        what: name of the work, such as `scoring`.
        total: amount of work; None: unknown.
        unit: unit of `total`, with a space before a word. If empty, only the share is shown.
        shown: whether to show anything.
        done: amount of work done before, which does not count for the speed.
    """

    monitor_interval = 0  # no monitor thread, because every update checks the time

    def __init__(
        self, what: str, total: float | None, unit: str = " reviews", shown: bool = True, done: float = 0
    ):
        on_terminal = sys.stderr.isatty()
        options = _bar_options(total, unit) if on_terminal else _line_options(total)
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
        """The values to show. The amount done is rounded, and never exceeds the total."""
        done = round(self.n)
        return super().format_dict | {"n": min(done, self.total or done)}

    def advance_to(self, done: float) -> None:
        """Set the amount done."""
        self.update(done - self.n)

    def refresh(self, *args: Any, **options: Any) -> None:
        """Redraw the bar, but not before its delay is over, as `say` would."""
        if not self.disable and self._time() >= self.start_t + self.delay:
            super().refresh(*args, **options)
            self.last_print_t = self._time()  # tells close() that a bar is shown


def _line_options(total: float | None) -> dict[str, Any]:
    """Options of tqdm for lines, where there is no terminal."""
    line = "{desc}: {n_fmt}{unit} done"
    if total:
        line = "{desc}: {percentage:.0f} % done, {remaining} left"
    return {
        "file": _Lines(),
        "position": 0,
        "leave": False,
        "delay": BETWEEN_LINES,
        "mininterval": BETWEEN_LINES,
        "bar_format": line,
    }


def _bar_options(total: float | None, unit: str) -> dict[str, Any]:
    """Options of tqdm for a bar on a terminal."""
    if not total:
        bar = "{desc}: {n_fmt}{unit} [{elapsed}, {rate_noinv_fmt}]"
    elif unit:
        bar = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}]"
    else:
        bar = "{l_bar}{bar}| [{elapsed}<{remaining}]"
    return {"file": sys.stderr, "leave": None, "delay": QUICK, "dynamic_ncols": True, "bar_format": bar}


def each(items: Iterable[T], advance: Advance, amounts: Iterable[float] = repeat(1)) -> Iterator[T]:
    """Yield the items, and report the amount of each to `advance` when the next one is requested."""
    for item, amount in zip(items, amounts, strict=False):
        yield item
        advance(amount)


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line above the bars, by default to standard output."""
    tqdm.write(line, file=file)


class _Lines:
    """Standard error for a tqdm bar: puts each state of the bar on its own line."""

    def write(self, text: str) -> None:
        if state := text.strip():
            print(state, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Do nothing, because `write` flushes each line."""
