"""Tiny models of many architectures work as docs/reference/architectures.md says."""

from pathlib import Path

import pytest

from tests import architectures

FAST = ("distilbert", "xlnet", "gpt2", "t5", "bart", "mpnet", "ibert")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind in FAST else pytest.mark.slow) for kind in architectures.KINDS],
)
def test_an_architecture_works_as_documented(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
    assert architectures.row(kind, tmp_path) == architectures.rows()[kind]


def test_every_architecture_is_documented() -> None:
    assert list(architectures.rows()) == list(architectures.KINDS)


def test_the_exceptions_are_those_of_the_table() -> None:
    written = architectures.between_markers(architectures.EXCEPTIONS_PAGE)
    assert written == architectures.exceptions(architectures.rows().values())
