"""Common file formats of reviews (shapes.yaml): writes such files, and the tables of two pages about them.

`python -m tests.data.shapes` writes the tables: docs/your-reviews.md shows what is read, and
docs/reference/messages.md what is refused.
"""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.validation import read_yaml
from tests.conftest import ROOT
from tests.helpers.hub import COMMIT

READ = ROOT / "docs/your-reviews.md"
REFUSED = ROOT / "docs/reference/messages.md"
PARTS: dict[str, dict[str, dict[str, Any]]] = read_yaml(ROOT / "tests/data/shapes.yaml")
SHAPES = {f"{part}: {name}": shape for part, shapes in PARTS.items() for name, shape in shapes.items()}
PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
NAMES = "names of labels"
START, END = "<!-- {}: tests/data/shapes.py -->\n", "<!-- end of {} -->\n"


def write_files(shape: dict[str, Any], folder: Path) -> None:
    """Write the files of a shape."""
    for name, content in shape["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            pq.write_table(table(content), path)
        else:
            path.write_bytes(
                PACK.get(path.suffix.lower(), bytes)(content.encode(shape.get("encoding", "utf-8")))
            )


def table(content: dict[str, list[Any]]) -> pa.Table:
    """A table of columns; `names of labels` are the class names that `datasets` keeps in its metadata."""
    columns = {name: values for name, values in content.items() if name != NAMES}
    if NAMES not in content:
        return pa.table(columns)
    classes = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=content[NAMES])
    )
    return pa.table(columns, schema=classes.arrow_schema)


def dataset_yaml(shape: dict[str, Any]) -> str:
    """The dataset.yaml of a shape."""
    return str(shape["dataset"]).replace("COMMIT", COMMIT)


def markdown_table(part: str) -> str:
    """The Markdown table of one part of shapes.yaml."""
    refused = is_refused(part)
    header = (
        "| message | cause | dataset.yaml |" if refused else "| reviews | the file begins | dataset.yaml |"
    )
    rows = [header, "|---|---|---|"]
    for name, shape in PARTS[part].items():
        dataset = "<br>".join(map(code, shape["dataset"].replace("COMMIT", "…").splitlines()))
        if refused:
            rows.append(f"| {code(shape['error'])} | {name} | {dataset} |")
        else:
            begins = shape.get("begins") or first_line(next(iter(shape["files"].values())))
            rows.append(f"| {name} | {code(begins)} | {dataset} |")
    return "\n".join([*rows, ""])


def is_refused(part: str) -> bool:
    """Whether a part of shapes.yaml contains reviews that are refused."""
    return "error" in next(iter(PARTS[part].values()))


def first_line(content: str | dict[str, Any]) -> str:
    """How a file begins: a line, or the columns of a Parquet file."""
    if isinstance(content, dict):
        return ", ".join(name for name in content if name != NAMES)
    return content.splitlines()[0].replace("\t", "⇥")


def code(text: str) -> str:
    """Text as code in a table's cell."""
    marks = "``" if "`" in text else "`"
    return f"{marks} {text} {marks}".replace("|", r"\|") if "`" in text else f"`{text}`".replace("|", r"\|")


def pages() -> dict[Path, str]:
    """Both pages, each with up-to-date tables between their markers."""
    texts = {page: page.read_text(encoding="utf-8") for page in (READ, REFUSED)}
    for part in PARTS:
        page = REFUSED if is_refused(part) else READ
        start, end = START.format(part), END.format(part)
        before, rest = texts[page].split(start)
        texts[page] = before + start + markdown_table(part) + end + rest.split(end)[1]
    return texts


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
