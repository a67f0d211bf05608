"""The tutorial: a reader who runs its notebook in a fresh clone sees what it shows and gets what it promises.

docs/tutorial.ipynb is generated from docs/tutorial.md, so this runs the commands of the page too.
"""

import json
import re

import pytest

from sentiment.validation import read_yaml
from tests.conftest import SMALL, Clone
from tests.pages import shapes
from tests.test_docs import TEXTS

pytest.importorskip("nbformat", reason="make extras")
from tests import notebook

PAGE = TEXTS["docs/tutorial.md"]


def run_notebook(clone: Clone) -> dict[str, str]:
    """Run docs/tutorial.ipynb in a clone; return what each cell of code printed, by its source."""
    nbclient = pytest.importorskip("nbclient", reason="make extras")
    executed = notebook.build()
    for cell in executed.cells:
        if "dvc queue start" in cell.source and cell.cell_type == "code":
            # Four more runs would take too long here; tests/commands/test_compare.py runs such a queue.
            cell.source = "%%bash\ndvc queue remove --all"
    client = nbclient.NotebookClient(executed, resources={"metadata": {"path": str(clone.folder / "docs")}})
    client.execute(env=clone.environment)
    return {
        cell.source: "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for cell in executed.cells
        if cell.cell_type == "code"
    }


def printed(start: str, outputs: dict[str, str]) -> str:
    """The output of the block that starts so."""
    return next(output for block, output in outputs.items() if block.startswith(start))


def test_the_notebook_is_up_to_date() -> None:
    assert notebook.NOTEBOOK.read_text(encoding="utf-8") == notebook.text(), "run python -m tests.notebook"


def test_every_step_shows_and_does_what_the_page_says(clone: Clone) -> None:
    clone.set(**SMALL)
    clone.commit()
    outputs = run_notebook(clone)
    for cell in notebook.build().cells:
        if cell.cell_type == "code" and cell.outputs:
            # The order of ranked runs, each with its answer whether it is in the set, varies too.
            skipped = re.compile(r"|\.\.\.|.*ANSWER.*")
            shown = [line for line in shapes(cell.outputs[0].text) if not skipped.fullmatch(line)]
            output = outputs[cell.source]
            missing = [line for line in shown if line not in shapes(output)]
            assert not missing, f"not printed by\n{cell.source}\nbut\n{output}"

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
    by_command = re.findall(
        r"^\d+,(\w+),(.+)$", printed("%%bash -e\nsentiment predict", outputs), re.MULTILINE
    )
    expected = [f"{label} {float(probability):.4f}" for label, probability in by_command]
    by_python = printed("from sentiment import load_classifier", outputs)
    assert re.findall(r"^(?:POSITIVE|NEGATIVE) .+$", by_python, re.MULTILINE) == expected
