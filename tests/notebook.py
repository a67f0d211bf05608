"""Writes docs/tutorial.ipynb, the tutorial as a notebook for Jupyter and Colab.

`python -m tests.notebook` writes it from docs/tutorial.md. Commands become cells of Bash, YAML blocks cells
that write the file, and the outputs that the page shows the stored outputs of their cells.
"""

import re

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.conftest import ROOT

PAGE = ROOT / "docs/tutorial.md"
NOTEBOOK = ROOT / "docs/tutorial.ipynb"
SET_UP_TEXT = """\
Run the cells from top to bottom. A GPU is not needed; with one, training is faster, and the metrics differ
slightly. On Colab, first replace `URL` below by the address of your copy of the repository. If Colab asks you
to restart the session, do so, and run the cell again. The stored outputs are from one machine, and `...`
marks omitted lines. The digits of metrics vary with the processor, and with them a verdict can change.
"""
SET_UP = """\
from pathlib import Path

if Path("../dvc.yaml").exists():  # in a clone of the repository, whose environment Jupyter runs in
    %cd -q ..
elif not Path("dvc.yaml").exists():  # on Colab
    if not Path("imdb-sentiment-dvc").exists():
        !git clone -q URL imdb-sentiment-dvc
    %cd -q imdb-sentiment-dvc
    %pip install -q -r requirements.lock
    %pip install -q --no-deps -e .
    !git config user.name "Your name" && git config user.email you@example.org"""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def build() -> nbformat.NotebookNode:
    """The notebook."""
    introduction, first, steps = PAGE.read_text(encoding="utf-8").partition("\n## 1. ")
    introduction = introduction.partition("\nInstall the project once")[0]
    cells = [new_markdown_cell(f"{introduction}\n{SET_UP_TEXT}".strip()), new_code_cell(SET_UP)]
    # The parts between fenced blocks, and after each the language and content of the next.
    text, *parts = FENCE.split(first + steps)
    texts = [text, *parts[2::3]]
    blocks = list(zip(parts[::3], parts[1::3], strict=True))
    for position, text in enumerate(texts):
        if text.strip():
            cells.append(new_markdown_cell(text.strip()))
        if position < len(blocks):
            cells.append(code_cell(*blocks[position]))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def code_cell(language: str, content: str) -> nbformat.NotebookNode:
    """The cell that does what a block of the page says."""
    if language == "python":
        return new_code_cell(content.strip())
    if language == "yaml":
        return new_code_cell(f"%%writefile data/mine/dataset.yaml\n{content.strip()}")
    if language == "sh":
        return new_code_cell(f"%%bash -e\n{content.strip()}")
    lines = content.splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    shown = "".join(f"{line}\n" for line in lines if not line.startswith("$ "))
    refused = "--no-raise-error " if "error: " in content else ""
    source = "\n".join([f"%%bash {refused}-e", *commands])
    return new_code_cell(source, outputs=[new_output("stream", name="stdout", text=shown)])


def text() -> str:
    """The content of the file."""
    notebook = build()
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(text(), encoding="utf-8")
