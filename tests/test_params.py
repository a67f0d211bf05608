"""params.yaml: how it is read, and the message of each error."""

import os
from itertools import permutations
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from sentiment.errors import InputError
from sentiment.params import Params, PrepareParams, TrainParams
from sentiment.runs.run import override
from tests.conftest import ROOT

GOOD = (ROOT / "params.yaml").read_text()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def line(key: str) -> str:
    return next(line for line in GOOD.splitlines() if line.startswith(f"{key}:"))


@pytest.mark.parametrize("text", ["2e-5", "2e-05", "0.00002", "2E-5"])
def test_numbers_are_read_as_dvc_reads_them(text: str) -> None:
    Path("params.yaml").write_text(GOOD.replace(line("lr"), f"lr: {text}"))
    assert TrainParams.load().lr == 2e-5


LISTS = {
    "head": ["LABEL_0", "LABEL_1"],
    "teacher_head": ["NEG", "POS"],
    "teachers": [1, 2],
    "also_test": ["challenge", "other"],
    "exports": ["int8"],
}


@pytest.mark.parametrize("keys", list(permutations(LISTS)))
def test_dvc_can_set_lists_and_empty_them_again(keys: tuple[str, ...]) -> None:
    # DVC loses the line break after the key that follows a list, unless that key has its own comment.
    Path("params.yaml").write_text(GOOD)
    before = Params.load()
    for values in (LISTS, before.model_dump()):
        for key in keys:
            apply_overrides("params.yaml", [override(key, values[key])])
            assert getattr(Params.load(), key) == values[key]
    assert Params.load() == before


def test_a_stage_sees_only_its_own_parameters() -> None:
    Path("params.yaml").write_text(GOOD)
    assert not hasattr(PrepareParams.load(), "lr")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("lr", "fast", "'fast' is not allowed; allowed: a number above 0 and at most 1"),
        ("lr", "-1", "-1 is not allowed"),
        ("lr", "0", "0 is not allowed"),
        ("lr", ".nan", "nan is not allowed"),
        ("lr", ".inf", "inf is not allowed"),
        ("lr", "'2e-5'", "'2e-5' is not allowed"),
        ("lr", "true", "True is not allowed"),
        ("lr", "[1e-5]", "[1e-05] is not allowed"),
        ("lr", "", "None is not allowed"),
        ("epochs", "0", "0 is not allowed; allowed: a whole number from 1"),
        ("epochs", "1.5", "1.5 is not allowed"),
        ("batch_size", "0", "0 is not allowed"),
        ("max_length", "4", "4 is not allowed"),
        ("truncation", "middle", "'middle' is not allowed; allowed: head, tail or head_tail"),
        ("precision", "fp8", "'fp8' is not allowed; allowed: auto, bf16 or fp32"),
        ("validation_size", "0.9", "0.9 is not allowed"),
        ("max_train_reviews", "1", "1 is not allowed; allowed: null (all) or a whole number from 2"),
        ("dataset", "../x", "'../x' is not allowed; allowed: the name of a folder in data/"),
        ("dataset", "7", "7 is not allowed"),
        ("seed", "-1", "-1 is not allowed"),
        ("warmup_ratio", "1", "1 is not allowed"),
        ("model", "''", "'' is not allowed"),
        ("exports", "int8", "'int8' is not allowed; allowed: [], [int8], [fp32] or [int8, fp32]"),
        ("exports", "[int8, int8]", "['int8', 'int8'] is not allowed"),
    ],
)
def test_a_value_that_is_not_allowed_is_reported_in_one_line(key: str, value: str, said: str) -> None:
    Path("params.yaml").write_text(GOOD.replace(f"\n{line(key)}", f"\n{key}: {value}"))
    with pytest.raises(InputError) as error:
        TrainParams.load()
    assert str(error.value).startswith(f"params.yaml: {key}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GOOD + "learning_rate: 1\n",
            "params.yaml: unknown key 'learning_rate'; allowed: also_test, ",
        ),
        (GOOD + "epoch: 1\n", "params.yaml: unknown key 'epoch' (did you mean 'epochs'?); allowed: "),
        (GOOD.replace(line("lr") + "\n", ""), "params.yaml: lr is missing; allowed: a number above 0"),
        (GOOD + "lr: 1\n", "params.yaml, line "),
        (GOOD + "seed: !!python/object:os.system x\n", "params.yaml"),
        ("- a\n", "params.yaml: contains list; allowed: a mapping of keys to values"),
        ("", "params.yaml: contains NoneType"),
        ("a: [", "params.yaml, line "),
        ("a: \0", "params.yaml: not valid YAML"),
    ],
)
def test_an_invalid_file_is_reported_in_one_line(text: str, said: str) -> None:
    Path("params.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        TrainParams.load()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_export_is_reported() -> None:
    Path("params.yaml").write_text(GOOD.replace(line("exports"), "exports: [int4]"))
    with pytest.raises(
        InputError, match=r"params.yaml: exports.0: 'int4' is not allowed; allowed: \[\], \[int8\], "
    ):
        TrainParams.load()


def test_a_file_that_is_missing_or_not_utf8_is_reported() -> None:
    with pytest.raises(InputError, match="params.yaml: no such file"):
        TrainParams.load()
    Path("params.yaml").write_bytes(os.fsencode(GOOD) + b"\xff")
    with pytest.raises(InputError, match="is not UTF-8"):
        TrainParams.load()
