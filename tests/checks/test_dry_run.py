"""The dry run of a pretrained model: check refuses in one line what would fail later."""

from pathlib import Path
from typing import Any

import pytest

from sentiment.checks import dry_run
from sentiment.errors import InputError
from sentiment.pretrained import sources
from tests.architectures import PARAMS, write_pretrained


@pytest.mark.parametrize(
    ("kind", "update", "line"),
    [
        ("bart", {"dropout": 0.0}, None),
        ("t5", {"dropout": 0.0}, None),
        ("gpt2", {"precision": "bf16"}, None),
        # A short review would change its attention.
        ("big_bird", {"dropout": 0.0, "max_length": 128}, None),
        ("bert", {"max_length": 131}, "params.yaml: max_length: 131 is not allowed; bert reads at most 130"),
        # Training reads at most max_length tokens.
        ("bert", {"train_max_length": 131}, None),
        (
            "bert",
            {"head": ["a", "b"]},
            "params.yaml: head: ['a', 'b']: bert has no trained head; allowed: auto, new",
        ),
    ],
)
def test_a_dry_run_accepts_or_refuses_a_model(
    tmp_path: Path, kind: str, update: dict[str, Any], line: str | None
) -> None:
    base = sources.fetch(str(write_pretrained(tmp_path / kind, kind)))
    params = PARAMS.model_copy(update=update)
    if line is None:
        dry_run.try_model(base, params)
        return
    with pytest.raises(InputError) as refused:
        dry_run.try_model(base, params)
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("kind", "precision", "works"), [("distilbert", "int8", True), ("gemma2", "fp32", False)]
)
def test_a_model_that_cannot_be_exported_is_refused_if_exports_are_requested(
    tmp_path: Path, kind: str, precision: str, works: bool
) -> None:
    pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
    base = sources.fetch(str(write_pretrained(tmp_path / kind, kind)))
    dry_run.try_model(base, PARAMS)
    params = PARAMS.model_copy(update={"exports": [precision]})
    if works:
        dry_run.try_model(base, params)
        return
    with pytest.raises(InputError) as refused:
        dry_run.try_model(base, params)
    assert str(refused.value) == (
        "params.yaml: exports: fp32 is not allowed: gemma2 cannot be exported (TorchExportError); allowed: []"
    )
