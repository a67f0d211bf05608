"""Progress: bars on a terminal, lines elsewhere, and nothing for quick work."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest

from sentiment import errors, progress
from sentiment.errors import InputError
from sentiment.progress import Progress
from tests.helpers.terminal import Terminal


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is shown from the first update on."""
    monkeypatch.setattr(progress, "QUICK", 1e-9)


@contextmanager
def on_terminal() -> Iterator[Terminal]:
    """A terminal that standard output and standard error go to."""
    terminal = Terminal()
    with redirect_stdout(terminal.file), redirect_stderr(terminal.file):
        yield terminal


def count(bar: Progress, steps: int) -> None:
    """Do all of a bar's work in this many steps."""
    for _ in range(steps):
        bar.update(bar.total / steps)


def test_a_finished_bar_stays_above_the_result() -> None:
    with on_terminal() as terminal:
        with Progress("scoring", 405) as bar:
            count(bar, 7)  # fractions whose sum is not exactly 405
            bar.update(1)  # work that is repeated after memory ran out
        print("accuracy 0.9")
    scored, result, _ = terminal.screen()
    assert re.fullmatch(r"scoring: 100%\|█+\| 405/405 \[00:00<00:00, +[\d.]+k? reviews/s\]", scored)
    assert result == "accuracy 0.9"


def test_messages_appear_above_the_bars_and_an_error_below() -> None:
    def fail() -> None:
        with Progress("training", 12_000, " steps", done=3000) as bar:
            bar.update(3000)
            with Progress("validation", 50) as inner:
                count(inner, 2)
                progress.say("memory ran out", sys.stderr)
            progress.say("epoch 1")
            raise InputError("it failed")

    with on_terminal() as terminal, pytest.raises(SystemExit) as ended:
        errors.run(fail)
    print(ended.value, file=terminal.file)
    assert [line.split("|")[0] for line in terminal.screen()] == [
        "memory ran out",
        "epoch 1",
        "training:  50%",
        "error: it failed",
        "",
    ]


def test_only_the_share_is_shown_if_the_work_has_no_unit() -> None:
    with on_terminal() as terminal, Progress("baseline", 1234.6, unit="") as bar:
        count(bar, 3)
    assert re.fullmatch(r"baseline: 100%\|█+\| \[00:00<00:00\]", terminal.screen()[0])


def test_quick_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUICK", 3600.0)
    with on_terminal() as terminal, Progress("scoring", 10) as bar:
        count(bar, 10)
        progress.say("epoch 1")
    assert [line.strip() for line in terminal.screen()] == ["epoch 1", ""]


@pytest.mark.parametrize(("rank", "shown"), [("1", True), ("0", False)])
def test_only_the_first_process_shows_bars_and_only_if_wanted(
    rank: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    with on_terminal() as terminal, Progress("scoring", 10, shown=shown) as bar:
        count(bar, 10)
    assert terminal.screen() == [""]


def test_without_a_terminal_progress_is_printed_in_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("scoring", 10) as bar:
        count(bar, 10)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(progress, "BETWEEN_LINES", 1e-9)
    with Progress("training", 100, " steps", done=20) as bar:
        bar.advance_to(30)
        with Progress("validation", 2.0) as inner:
            inner.update(1)
        progress.say("epoch 1")
        bar.advance_to(100)
    with Progress("scoring", None) as bar:
        bar.update(1234)
    output, lines = capsys.readouterr()
    assert output == "epoch 1\n"
    assert lines.splitlines() == [
        "training: 30 % done, 00:00 left",
        "validation: 50 % done, 00:00 left",
        "training: 100 % done, 00:00 left",
        "scoring: 1234 reviews done",
    ]


def test_lines_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 7))  # each reading is seven seconds later
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    with redirect_stderr(io.StringIO()) as lines, Progress("scoring", 40) as bar:
        count(bar, 40)
    assert 4 <= lines.getvalue().count("\n") <= 40 * 14 / progress.BETWEEN_LINES


def test_each_item_is_counted_when_it_is_done() -> None:
    amounts: list[float] = []
    items = progress.each("ab", amounts.append, [2, 3])
    assert (next(items), amounts) == ("a", [])
    assert (next(items), amounts) == ("b", [2])
    assert (list(items), amounts) == ([], [2, 3])
