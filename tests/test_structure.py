"""The structure of the repository: stages, packages, commands, imports, and the declarations in dvc.yaml."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from sentiment import cli
from sentiment.commands import results
from sentiment.params import (
    EvaluateParams,
    Params,
    PrepareParams,
    ProbeParams,
    TeachParams,
    TrainParams,
)
from sentiment.runs.run import Run
from sentiment.validation import read_yaml
from tests.conftest import ROOT

PIPELINE = read_yaml(ROOT / "dvc.yaml")
STAGES: dict[str, dict[str, Any]] = {
    name: stage.get("do", stage) for name, stage in PIPELINE["stages"].items()
}
SCHEMAS: dict[str, type[BaseModel]] = {
    "prepare": PrepareParams,
    "probe": ProbeParams,
    "teach": TeachParams,
    "train": TrainParams,
    "evaluate": EvaluateParams,
}
PACKAGES = sorted(path.name for path in (ROOT / "sentiment").iterdir() if (path / "__init__.py").exists())
# Modules of sentiment/ itself that affect no result, so that a change to them reruns no stage.
SUPPORT = {
    "atomic",
    "classifier",
    "errors",
    "hub",
    "labels",
    "launch",
    "params",
    "progress",
    "project",
    "stage_runner",
    "startup",
    "validation",
}
# Declared modules that a stage never imports. `check` takes seconds, and no stage depends on what it imports.
NEVER_IMPORTED = {
    "check": {"data/splits"},
    "probe": {"model/saved"},
    "teach": {"metrics/evaluation_sets", "model/saved"},
    "also_test": {"data/splits"},
    "blend": {"blend/classifier"},
}
CODE = [
    path.relative_to(ROOT) for top in ("sentiment", "stages") for path in sorted((ROOT / top).rglob("*.py"))
]


def module_of(file: Path) -> str:
    """The dotted name of a file of the repository."""
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in CODE}


def imports(file: Path) -> set[Path]:
    """Files of the repository that a file imports, at its top or within a function; packages are left out.

    Imports for type checkers alone do not count.
    """
    names: set[str] = set()
    nodes: list[ast.AST] = [ast.parse((ROOT / file).read_text())]
    for node in nodes:
        nodes += [child for child in ast.iter_child_nodes(node) if not is_for_types(child)]
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES) or {node.module}
    files = {MODULES[name] for name in names & set(MODULES)}
    return {file for file in files if file.name != "__init__.py" or file.parts[1] == "commands"}


def is_for_types(node: ast.AST) -> bool:
    """Whether a node is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def place(file: Path) -> str:
    """The stage, command, package or single module that a file belongs to."""
    if file.parts[0] == "stages":
        return f"stage {file.stem}"
    if file.parts[1] == "commands" and len(file.parts) > 2:
        return f"command {Path(file.parts[2]).stem}"
    return Path(file.parts[1]).stem


def with_imports(file: Path) -> set[Path]:
    """A file and everything that it imports, directly or indirectly."""
    reached, waiting = {file}, [file]
    while waiting:
        new = imports(waiting.pop()) - reached
        reached |= new
        waiting += new
    return reached


def test_files_are_named_after_stages_and_commands() -> None:
    assert {path.stem for path in (ROOT / "stages").glob("*") if path.name != "__pycache__"} == set(STAGES)
    for name, stage in STAGES.items():
        assert stage["cmd"].removesuffix(" ${item}").endswith(f" -m stages.{name}")
    listed = {path.stem for path in (ROOT / "sentiment/commands").glob("[!_]*")}
    assert listed == set(cli.COMMANDS)


# The packages that each package may import, besides the modules of sentiment/ itself.
LOWER_PACKAGES: dict[str, set[str]] = {
    "blend": set(),
    "data": set(),
    "metrics": set(),
    "model": set(),
    "ngrams": set(),
    "onnx": {"model"},
    "pretrained": {"model"},
    "probe": {"model"},
    "training": {"model", "pretrained"},
    "teaching": {"pretrained", "training"},
    "checks": {"model", "onnx", "pretrained", "training"},
    "evaluation": {"metrics"},
    "runs": {"metrics", "evaluation"},
}


def test_imports_point_downwards() -> None:
    assert {*LOWER_PACKAGES, "commands"} == set(PACKAGES)
    anything = {*LOWER_PACKAGES, *SUPPORT, "api", "sampling"}
    for file in CODE:
        here = place(file)
        for used in imports(file):
            there = place(used)
            if here in LOWER_PACKAGES:
                assert there in {here, *LOWER_PACKAGES[here], *SUPPORT, "sampling"}, f"{file} imports {used}"
            elif here.startswith(("stage ", "command ")):
                assert there in {here, *anything, "listening"}, f"{file} imports {used}"
            elif here == "api":
                assert there in anything, f"{file} imports {used}"
            elif here not in ("cli", "__main__", "__init__"):
                assert there in {here, *SUPPORT}, f"{file} imports {used}"


def test_there_are_no_circular_imports() -> None:
    for file in CODE:
        for used in imports(file):
            assert file not in with_imports(used), f"{file} and {used} import each other"


@pytest.mark.parametrize("stage", SCHEMAS)
def test_a_stage_declares_exactly_the_parameters_that_it_reads(stage: str) -> None:
    declared = STAGES[stage]["params"]
    assert declared == sorted(declared)
    assert set(declared) == set(SCHEMAS[stage].model_fields)
    # The program that starts the stage, and the stage itself.
    programs = [MODULES[module] for module in re.findall(r"-m ([\w.]+)", STAGES[stage]["cmd"])]
    code = "".join((ROOT / file).read_text() for program in programs for file in with_imports(program))
    read = set(re.findall(r"\bparams\.(\w+)", code)) - {"yaml", "model_dump"} & set(Params.model_fields)
    assert set(declared) <= read | ({"precision"} if "Params.load().precision" in code else set())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_runs(stage: str) -> None:
    declared = [dep for dep in STAGES[stage]["deps"] if dep.startswith(("stages/", "sentiment/"))]
    assert declared == sorted(declared)
    imported = {file for file in with_imports(Path(f"stages/{stage}.py")) if place(file) not in SUPPORT}
    within = {file for file in CODE if any(file.is_relative_to(dep) for dep in declared)}
    assert imported <= within
    unused = {
        str(file.relative_to("sentiment").with_suffix(""))
        for file in within - imported
        if file.name != "__init__.py"
    }
    assert unused == NEVER_IMPORTED.get(stage, set())


def test_every_stage_depends_on_check() -> None:
    (checked,) = STAGES["check"]["outs"][0]
    assert all(checked in stage["deps"] for name, stage in STAGES.items() if name != "check")


def test_no_stage_depends_on_a_part_of_an_output() -> None:
    # In `dvc exp run`, DVC would look for the whole output of HEAD: see the slow test of such experiments.
    outputs = {
        Path(path) for stage in STAGES.values() for path in stage.get("outs", []) if isinstance(path, str)
    }
    assert len(outputs) > 5
    for stage in STAGES.values():
        assert not outputs & {parent for path in stage["deps"] for parent in Path(path).parents}


# Modules that each program must not load when it starts: `evaluate` and `datasets` take seconds, torch more.
MODELS = ["torch", "evaluate", "datasets", "transformers", "sklearn"]
LIGHT = {
    "stages.check": ["torch", "evaluate", "datasets", "sklearn"],
    "stages.also_test": ["torch", "evaluate", "datasets", "transformers", "sklearn"],
    "stages.prepare": ["torch", "evaluate", "datasets", "transformers"],
    "stages.baseline": ["torch", "evaluate", "datasets", "transformers"],
    "stages.probe": ["torch", "evaluate", "datasets", "sklearn"],
    "stages.blend": ["torch", "evaluate", "datasets", "transformers", "sklearn"],
    "sentiment.cli": ["torch", "pandas", "numpy", "pydantic", "dvc"],
    "sentiment.commands.best": MODELS,
    "sentiment.commands.compare": MODELS,
    "sentiment.commands.report": MODELS,
    "sentiment.commands.results": MODELS,
    "sentiment.commands.predict": [*MODELS, "pandas", "scipy", "ray"],
    "sentiment.commands.serve": [*MODELS, "pandas", "dvc", "fastapi"],
    "sentiment.commands.share": ["torch", "pandas", "sklearn"],
    "sentiment.commands.verify": ["torch", "pandas", "sklearn"],
}


@pytest.mark.parametrize("module", LIGHT)
def test_heavy_libraries_are_not_imported_at_start(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {LIGHT[module]} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.split() == []


def test_stages_configure_threads_before_pytorch_is_imported() -> None:
    for stage in STAGES:
        heads = [
            node
            for node in ast.parse((ROOT / f"stages/{stage}.py").read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = {alias.name for node in heads for alias in node.names} | {
            str(getattr(node, "module", "")) for node in heads
        }
        assert not names & {"torch", "transformers", "datasets", "accelerate", "sklearn"}, stage


def test_docstrings_start_with_plain_words() -> None:
    unclear = re.compile(r"^(What|Which|Whatever)\b|\bwindow\b")
    for file in CODE:
        tree = ast.parse((ROOT / file).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
                first = (ast.get_docstring(node) or "").split("\n")[0]
                assert not unclear.search(first), f"{file}: {first}"


def test_the_committed_run_has_default_parameters_and_good_accuracy() -> None:
    lock = read_yaml(ROOT / "dvc.lock")
    assert lock["stages"]["check"]["params"]["params.yaml"] == read_yaml(ROOT / "params.yaml")
    assert json.loads((ROOT / "metrics/test.json").read_text())["accuracy"] >= 0.92
    stages = {name for name, stage in PIPELINE["stages"].items() if "foreach" not in stage}
    assert set(lock["stages"]) == stages | {"also_test@challenge"}


def test_the_lock_file_pins_the_default_build_of_torch() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert "torch==2.13.0" in lines
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines if not line.startswith("#"))


def test_pages_contain_the_tables_that_the_command_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    named = re.findall(r"<!-- results: sentiment results (\w+)", (ROOT / "README.md").read_text())
    if any(subprocess.run(["git", "cat-file", "-e", commit], check=False).returncode for commit in named):
        pytest.skip("a clone without the whole history")
    of_workspace = results.pages()
    # On AMX or CUDA, a run in the workspace has other figures than the committed one.
    monkeypatch.setattr(results, "Run", lambda name="HEAD": Run(name))
    for page, text in results.pages().items():
        assert page.read_text() in (text, of_workspace[page]), f"{page}: `sentiment results` writes its table"
    parameters = (ROOT / "docs/parameters.md").read_text()
    assert all(f"| `{key}` |" in parameters for key in read_yaml(ROOT / "params.yaml"))
