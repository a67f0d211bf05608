"""Shapes in which reviews come (shapes.yaml): writes their files, and the tables of docs/your-reviews.md."""

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

PAGE = ROOT / "docs/your-reviews.md"
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


def tables() -> dict[str, str]:
    """A Markdown table for each part of shapes.yaml."""
    lines = {}
    for part, shapes in PARTS.items():
        what = "what is said" if "error" in next(iter(shapes.values())) else "the file begins"
        rows = [f"| reviews | {what} | dataset.yaml |", "|---|---|---|"]
        for name, shape in shapes.items():
            shown = shape.get("error", shape.get("begins") or first_line(next(iter(shape["files"].values()))))
            dataset = shape["dataset"].replace("COMMIT", "…").splitlines()
            rows.append(f"| {name} | {code(shown)} | {'<br>'.join(map(code, dataset))} |")
        lines[part] = "\n".join([*rows, ""])
    return lines


def first_line(content: str | dict[str, Any]) -> str:
    """How a file begins: a line, or the columns of a Parquet file."""
    return (
        ", ".join(name for name in content if name != NAMES)
        if isinstance(content, dict)
        else content.splitlines()[0].replace("\t", "⇥")
    )


def code(text: str) -> str:
    """Text as code in a table's cell."""
    marks = "``" if "`" in text else "`"
    return f"{marks} {text} {marks}".replace("|", r"\|") if "`" in text else f"`{text}`".replace("|", r"\|")


def page(text: str) -> str:
    """A page with each table between its marks as `tables` makes it."""
    for part, table in tables().items():
        start, end = START.format(part), END.format(part)
        before, rest = text.split(start)
        text = before + start + table + end + rest.split(end)[1]
    return text


if __name__ == "__main__":  # python -m tests.data.shapes
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
