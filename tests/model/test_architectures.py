"""Tiny models of many architectures go through the pipeline's code as the table in docs/models.md says."""

from pathlib import Path

import pytest

from tests import architectures

FAST = ("distilbert", "xlnet", "gpt2", "t5", "bart", "mpnet", "ibert")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind in FAST else pytest.mark.slow) for kind in architectures.KINDS],
)
def test_an_architecture_works_as_the_page_says(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
    assert architectures.row(kind, tmp_path) == architectures.rows()[kind]


def test_the_page_has_every_architecture() -> None:
    assert list(architectures.rows()) == list(architectures.KINDS)
