"""docs/tutorial.md: a reader who follows it in a fresh clone sees what it shows and gets what it promises."""

import json
import re
import sys

from sentiment.validation import read_yaml
from tests.conftest import SMALL, Clone
from tests.test_docs import FENCE, TEXTS

PAGE = TEXTS["docs/tutorial.md"]


def follow(clone: Clone, language: str, content: str) -> str:
    """Do what a block of the page says; return what it printed."""
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


def printed(start: str, outputs: dict[str, str]) -> str:
    """The output of the block that starts so."""
    return next(output for block, output in outputs.items() if block.startswith(start))


def test_every_step_shows_and_does_what_the_page_says(clone: Clone) -> None:
    clone.set(**SMALL)
    clone.commit()
    set_up, *steps = FENCE.findall(PAGE)
    assert "git clone URL" in set_up[1]
    outputs = {}
    for language, content in steps:
        if content.startswith("dvc queue start"):
            # Four more runs would take too long here; tests/commands/test_compare.py runs such a queue.
            clone.run("dvc queue remove --all")
            continue
        output = follow(clone, language, content)
        outputs[content] = output
        if language == "console":
            # The order of ranked runs, each with its answer whether it is in the set, varies too.
            skipped = re.compile(r"|\.\.\.|\$ .*|.*ANSWER.*")
            shown = [line for line in shapes(content) if not skipped.fullmatch(line)]
            missing = [line for line in shown if line not in shapes(output)]
            assert not missing, f"not printed by\n{content}\nbut\n{output}"

    params = read_yaml(clone.folder / "params.yaml")
    assert (params["dataset"], params["validation_size"]) == ("mine", 0.2)
    kept = re.findall(r"dvc exp apply (\w+)", PAGE)[0]
    parameter, value = re.findall(rf"--name {kept} -S (\w+)=(\S+)", PAGE)[0]
    assert params[parameter] == float(value)
    assert clone.run("git status --porcelain") == ""
    assert "up to date" in clone.run("dvc status")
    for name in ("test", "baseline", "sets/classifier/challenge"):
        assert json.loads((clone.folder / f"metrics/{name}.json").read_text())
    assert "<html" in (clone.folder / "metrics/report.html").read_text()
    theirs = Clone(clone.folder.parent / "colleague")
    assert theirs.bytes_of("models/classifier") == clone.bytes_of("models/classifier")
    # Both ways of predicting give the same scores.
    by_command = re.findall(r"^\d+,(\w+),(.+)$", printed("$ sentiment predict", outputs), re.MULTILINE)
    expected = [f"{label} {float(probability):.4f}" for label, probability in by_command]
    assert printed("from sentiment import load_classifier", outputs).splitlines() == expected
