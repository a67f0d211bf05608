"""What the files of the repository say of each other."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stages import parameters, results
from tests.conftest import ROOT

PIPELINE = parameters.read_yaml(ROOT / "dvc.yaml")
STAGES: dict[str, dict[str, Any]] = {name: stage.get("do", stage) for name, stage in PIPELINE["stages"].items()}
SCHEMAS: dict[str, type[BaseModel]] = {
    "check_data": parameters.PrepareParams,
    "prepare": parameters.PrepareParams,
    "zero_shot": parameters.ModelParams,
    "train": parameters.TrainParams,
    "evaluate": parameters.EvaluateParams,
}


def stage_file(stage: str) -> str:
    command = STAGES[stage]["cmd"].split()
    return f"stages/{command[2].removeprefix('stages.')}.py"


# Modules that decide whether a stage fails, never what it comes to.
NEUTRAL = {"errors", "hub", "outputs", "parameters"}


def imported(file: str) -> set[str]:
    """Files of stages/ that a file needs, itself and those behind its imports included, but for the neutral ones."""
    found = {file}
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module == "stages":
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stages."):
            names = [str(node.module).removeprefix("stages.")]
        for name in names:
            if name not in NEUTRAL:
                found |= imported(f"stages/{name}.py")
    return found


def code_of(stage: str) -> set[str]:
    """What decides the result of a stage; check.py imports for both of its checks."""
    return imported("stages/splits.py" if stage == "check_data" else stage_file(stage))


@pytest.mark.parametrize("stage", SCHEMAS)
def test_a_stage_declares_exactly_the_parameters_that_it_reads(stage: str) -> None:
    declared = STAGES[stage]["params"]
    assert declared == sorted(declared)
    assert set(declared) == set(SCHEMAS[stage].model_fields)
    code = "".join((ROOT / file).read_text() for file in code_of(stage))
    read = set(re.findall(r"\bparams\.(\w+)", code)) - {"yaml", "model_dump"}
    assert read == set(declared)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_runs(stage: str) -> None:
    declared = [dep for dep in STAGES[stage]["deps"] if dep.startswith("stages/")]
    needed = code_of(stage)
    if stage == "check_data":
        needed |= {"stages/check.py"}
    if stage == "check_params":
        needed |= {"stages/parameters.py"}  # what it checks by
    assert declared == sorted(needed)


def test_no_stage_depends_on_a_part_of_an_output() -> None:
    # In `dvc exp run`, DVC would look for the whole of it as HEAD had it: see the slow test of such experiments.
    outputs = {Path(path) for stage in STAGES.values() for path in stage.get("outs", [])}
    assert len(outputs) > 5
    for stage in STAGES.values():
        assert not outputs & {parent for path in stage["deps"] for parent in Path(path).parents}


def test_stages_never_import_each_other() -> None:
    files = {stage_file(stage) for stage in STAGES}
    for file in files:
        assert imported(file) & files == {file}


def test_the_committed_run_is_the_default_and_good(tmp_path: Path) -> None:
    lock = parameters.read_yaml(ROOT / "dvc.lock")
    assert lock["stages"]["check_params"]["params"]["params.yaml"] == parameters.read_yaml(ROOT / "params.yaml")
    assert json.loads((ROOT / "metrics/test.json").read_text())["accuracy"] >= 0.92
    assert set(lock["stages"]) == {name for name, stage in PIPELINE["stages"].items() if "foreach" not in stage}


def test_the_lock_installs_cuda_where_there_is_a_gpu() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert "torch==2.13.0" in lines
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines if not line.startswith("#"))


def test_the_readme_shows_the_results_that_git_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = (ROOT / "README.md").read_text().split(results.START)[1].split(results.END)[0]
    assert shown == results.table()


def test_the_readme_explains_every_parameter() -> None:
    readme = (ROOT / "README.md").read_text()
    values: dict[str, Any] = parameters.read_yaml(ROOT / "params.yaml")
    for key, value in values.items():
        shown = "null" if value is None else str(value)
        row = re.search(rf"^\| `{key}` \| `([^`]+)` \|", readme, re.MULTILINE)
        assert row, key
        assert row[1] == shown or float(row[1]) == float(shown), key
