"""The command `sentiment`: listing, completion, wrong arguments, and both ways to call it."""

import os
import subprocess
import sys

import pytest

from sentiment.cli import COMMANDS
from tests.conftest import ROOT


def run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of this project in a terminal of 100 columns."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"  # noqa: PTH120
    variables = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100"} | environment
    return subprocess.run(
        command, shell=True, cwd=ROOT, env=variables, text=True, capture_output=True, check=False
    )


@pytest.mark.parametrize("command", ["sentiment", "python -m sentiment"])
def test_help_lists_every_command_with_its_description(command: str) -> None:
    listed = " ".join(run(f"{command} --help").stdout.split())
    for name, line in COMMANDS.items():
        assert f"{name} {line}" in listed


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_begins_with_its_description(name: str) -> None:
    shown = " ".join(run(f"sentiment {name} --help").stdout.split())
    assert COMMANDS[name].rstrip(".") in shown
    assert "--help" in shown


def test_shells_complete_commands_and_their_options() -> None:
    complete = {"_SENTIMENT_COMPLETE": "complete_bash"}
    assert run("sentiment", COMP_WORDS="sentiment pu", COMP_CWORD="1", **complete).stdout.split() == [
        "publish"
    ]
    options = run(
        "sentiment", COMP_WORDS="sentiment compare --fail", COMP_CWORD="2", **complete
    ).stdout.split()
    assert options == ["--fail-if-worse"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nosuch", "No such command 'nosuch'"),
        ("compare --jsn", "No such option: --jsn"),
        ("publish", "Missing argument"),
        ("bench --rounds 0", "'--rounds': Input should be greater than or equal to 1"),
        ("bench --seconds -1", "'--seconds': Input should be greater than or equal to 0.1"),
        ("compare HEAD other 101 --seeds", "Input should be less than or equal to 100"),
        ("search lr=1e-4,2e-4 --trials 0", "'--trials': Input should be greater than or equal to 1"),
    ],
)
def test_a_wrong_argument_is_named(arguments: str, line: str) -> None:
    ended = run(f"sentiment {arguments}")
    assert ended.returncode == 2
    assert line in ended.stderr
    assert "Traceback" not in ended.stderr


def test_ctrl_c_while_modules_are_imported_is_one_line() -> None:
    code = "import sentiment.cli; raise KeyboardInterrupt  # as during the import of a command"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stderr=subprocess.PIPE, check=False
    )
    assert ended.stderr == "error: interrupted; nothing half-written was kept\n"
    assert ended.returncode != 0


@pytest.mark.parametrize(("command", "package"), [("demo", "gradio"), ("serve", "fastapi")])
def test_a_missing_extra_is_one_line_before_anything_is_read(command: str, package: str) -> None:
    code = f"import sys; sys.modules['{package}'] = None; from sentiment.cli import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code, command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert process.stderr == f"error: {package} is not installed: pip install -e '.[{command}]'\n"
    assert process.returncode == 1
