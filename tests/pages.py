"""For tests that follow a page in docs/ as its reader would."""

import re
import sys

from tests.conftest import Clone


def follow(clone: Clone, language: str, content: str) -> str:
    """Do what a block of a page says; return what it printed."""
    if language == "yaml":
        (clone.folder / "data/mine/dataset.yaml").write_text(content)
        return ""
    if language == "python":
        (clone.folder.parent / "program.py").write_text(content)
        return clone.run(f"{sys.executable} ../program.py")
    lines = content.splitlines()
    commands = [line[2:] for line in lines if line.startswith("$ ")] if language == "console" else lines
    return clone.run("\n".join(["set -e", *commands]), fails="error: " in content)


def shapes(text: str) -> list[str]:
    """The lines of an output without what varies by run: numbers, verdicts, labels, widths of columns."""
    for pattern, word in (
        (r"\b(better|worse|within noise)\b", "VERDICT"),
        (r"\b(POSITIVE|NEGATIVE)\b", "LABEL"),
        (r"\b(yes|no)\b", "ANSWER"),
        (r"[-+]?\d[\d,.]*(e[-+]?\d+)?", "#"),
        (r"[ \t]+", " "),
    ):
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.splitlines()]
