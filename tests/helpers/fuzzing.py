"""Invalid input: tables of named cases in YAML, and hypothesis strategies that generate more."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from sentiment.errors import InputError
from sentiment.validation import read_yaml
from tests.conftest import ROOT

PARAMS = (ROOT / "params.yaml").read_text()


def cases(name: str, part: str | None = None) -> Any:
    """Parametrize `case` of a test with the named cases in tests/faults/<name>.yaml, or in a part of it."""
    table = repeated(read_yaml(ROOT / f"tests/faults/{name}.yaml"))
    table = table[part] if part else table
    return pytest.mark.parametrize("case", table.values(), ids=list(table))


def repeated(value: Any) -> Any:
    """A value of a case in which each «text × count» is expanded."""
    if isinstance(value, dict):
        return {repeated(key): repeated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [repeated(item) for item in value]
    if isinstance(value, str):
        return re.sub("(?s)«(.+?) × ([0-9]+)»", lambda match: match[1] * int(match[2]), value)
    return value


def refusal(run: Callable[[], object], *names: str) -> str | None:
    """The error of `run`, one line that starts with one of these names; None if there is no error."""
    try:
        run()
    except InputError as error:
        line = str(error)
        assert line.isprintable(), line
        assert len(line) <= 500, line
        assert line.startswith(names), line
        return line
    return None


def check_refusal(line: str | None, part: str | None) -> None:
    """Check that the error contains this part, or that there is no error if `part` is None."""
    assert (part is None) == (line is None), line
    assert part is None or part in str(line), line


def tried(fast: int, slow: int) -> Any:
    """Run a test on `fast` examples that are always the same, and as a slow test on `slow` others."""
    return pytest.mark.parametrize("examples", [fast, pytest.param(slow, marks=pytest.mark.slow)])


def explore(strategy: SearchStrategy[Any], examples: int, test: Callable[[Any], None]) -> None:
    """Run a test on examples of a strategy."""
    chosen = settings(
        max_examples=examples,
        derandomize=examples < 1000,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    chosen(given(strategy)(test))()


def mutated(good: bytes, insertions: list[bytes]) -> SearchStrategy[bytes]:
    """`good` with up to four faults: bits flipped; bytes removed, inserted or repeated; the end missing."""
    place = st.integers(0, len(good))

    @st.composite
    def faults(draw: DrawFn) -> bytes:
        data = good
        for _ in range(draw(st.integers(1, 4))):
            start, length = draw(place), draw(st.integers(1, 40))
            kind = draw(st.sampled_from(["flip", "cut", "insert", "repeat", "end"]))
            part = data[start : start + length]
            if kind == "flip" and part:
                data = data[:start] + bytes([part[0] ^ draw(st.integers(1, 255))]) + data[start + 1 :]
            elif kind == "cut":
                data = data[:start] + data[start + length :]
            elif kind == "insert":
                data = data[:start] + draw(st.sampled_from(insertions)) + data[start:]
            elif kind == "repeat":
                data = data[:start] + part * draw(st.integers(2, 5)) + data[start:]
            elif kind == "end":
                data = data[:start]
        return data

    return faults()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 600),
    st.sampled_from([-(2**63), 2**31, 2**32, 2**63, 10**30, 10**400]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["", "0", "1e-3", "auto", "../x", "x" * 300, "a\nb", "\u2028", "\u202eabc", "\x00", "{}", "{0}"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
TOKENS = [
    "null",
    "~",
    "true",
    ".nan",
    "-.inf",
    "1e-3",
    "0.5",
    "7",
    "-1",
    "0x10",
    "1_000",
    "'1'",
    "1e400",
    "1:2",
    "2024-02-30",
    "!!int",
    "!!float",
    "!!set",
    "!!binary",
    "!!omap",
    "!!python/name:os.system",
    "&a",
    "*a",
    "<<:",
    "---",
    "...",
    "%YAML",
    "|",
    ">",
    "[",
    "]",
    "{",
    "}",
    "[[[[",
    "{{{{",
    "@",
    "`",
    "\\",
    "?",
    ":",
    "-",
    "\t",
    "#",
    "=",
    "\ufeff",
    "\x85",
    "\x00",
    "\ud7ff",
    "😀",
    "\u202e",
]


def yaml_of(good: str, tokens: list[str]) -> SearchStrategy[bytes]:
    """A YAML file with lines dropped, added, renamed or given other values, or with faults in its bytes."""
    lines = [line for line in good.splitlines() if line and not line.startswith("#")]
    value = st.sampled_from(tokens) | VALUES.map(json.dumps)

    @st.composite
    def edited(draw: DrawFn) -> bytes:
        kept = list(lines)
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(kept) - 1))
            key = kept[at].split(":")[0]
            kind = draw(st.sampled_from(["value", "value", "value", "drop", "add", "name"]))
            if kind == "value":
                kept[at] = f"{key}: {draw(value)}"
            elif kind == "drop" and len(kept) > 1:
                del kept[at]
            elif kind == "add":
                name = draw(st.sampled_from([key, key + "s", key.upper(), "<<", "? ", *tokens]))
                kept.insert(at, f"{name}: {draw(value)}")
            else:
                kept[at] = f"{json.dumps(draw(st.text(max_size=6)))}: {draw(value)}"
        return ("\n".join(kept) + "\n").encode(errors="surrogatepass")

    return edited() | mutated(good.encode(), [token.encode() for token in tokens])
