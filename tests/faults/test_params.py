"""Bad params.yaml in numbers: each file is read rightly, or refused in one line that names it."""

import re
from pathlib import Path
from typing import Any

import pytest

from sentiment.params import Params, TrainParams
from tests.helpers.fuzzing import PARAMS, TOKENS, cases, check_refusal, explore, refusal, tried, yaml_of

pytestmark = pytest.mark.usefixtures("elsewhere")


@cases("params")
def test_a_file(case: dict[str, Any]) -> None:
    text = case.get("text", PARAMS)
    for key, value in case.get("set", {}).items():
        text, count = re.subn(f"(?m)^{key}: .*$", lambda _: f"{key}: {value}", text)  # noqa: B023
        assert count == 1
    text = case.get("before", "") + text + case.get("after", "")
    text = text.replace("\n", case.get("line_end", "\n"))
    Path("params.yaml").write_bytes(text.encode(case.get("encoding", "utf-8")))
    check_refusal(refusal(TrainParams.load, "params.yaml"), case["error"])


def test_a_folder() -> None:
    Path("params.yaml").mkdir()
    assert refusal(TrainParams.load, "params.yaml: Is a directory")


@tried(150, 5_000)
def test_a_file_of_any_kind(examples: int) -> None:
    def test(content: bytes) -> None:
        Path("params.yaml").write_bytes(content)
        loaded: list[Params] = []
        if refusal(lambda: loaded.append(Params.load()), "params.yaml") is None:
            params = loaded[0]
            assert 0 < params.lr <= 1
            assert 0 < params.validation_size <= 0.5
            assert 0 <= params.weight_decay <= 1
            assert 0 <= params.warmup_ratio < 1
            assert min(params.batch_size, params.epochs, params.max_length - 7) >= 1
            assert max(params.seed, params.split_seed) < 2**32
            assert params.model.isprintable()

    explore(yaml_of(PARAMS, TOKENS), examples, test)
