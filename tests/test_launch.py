"""The parameter `launch`: allowed launchers, and the outputs of the last run if one cannot start."""

import os
import sys

import pytest
from pydantic import ValidationError

from sentiment import launch
from sentiment.errors import InputError
from sentiment.params import Params
from sentiment.validation import read_yaml
from tests.conftest import ROOT, Clone

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


def command(value: str) -> list[str]:
    """The command for `launch: value` in params.yaml."""
    params = Params.model_validate(read_yaml(ROOT / "params.yaml") | {"launch": value})
    return launch.command(params.launch)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("python", [sys.executable]),
        ("python -u", [sys.executable, "-u"]),
        ("torchrun", TORCHRUN),
        ("torchrun --standalone --nproc-per-node 8", [*TORCHRUN, "--standalone", "--nproc-per-node", "8"]),
        ("torchrun  --nproc_per_node=2 ", [*TORCHRUN, "--nproc_per_node=2"]),
        ("python -m torch.distributed.run --nnodes 1", [*TORCHRUN, "--nnodes", "1"]),
    ],
)
def test_a_launcher_runs_in_this_python_environment(value: str, expected: list[str]) -> None:
    before = dict(os.environ)
    assert command(value) == expected
    assert os.environ == before


@pytest.mark.parametrize(
    "value",
    [
        *[
            "",
            "torchrunn",
            "Torchrun",
            "python3",
            "/usr/bin/torchrun",
            "accelerate launch",
            "mpirun -n 2 python",
        ],
        *[
            "python -c pass",
            "python train.py",
            "python -m pdb",
            "python -I",
            "CUDA_VISIBLE_DEVICES=0 torchrun",
        ],
        *[
            "torchrun; ls",
            "torchrun && ls",
            "torchrun | tee log",
            "torchrun --nproc-per-node $(nproc)",
            "torchrun `ls`",
        ],
        *[
            "torchrun --log-dir $HOME",
            "torchrun --log-dir ~",
            "torchrun > log",
            "torchrun\npython",
            "torchrun 'a b'",
        ],
    ],
)
def test_other_launchers_and_shell_syntax_are_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="String should match pattern"):
        command(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--nproc-per-nodes 2", "unrecognized arguments: --nproc-per-nodes"),
        ("--nproc-per-node", "argument --nproc-per-node/--nproc_per_node: expected one argument"),
        ("--nproc-per-node two", "ValueError: Unsupported nproc_per_node value: two"),
        ("--nproc-per-node 0", "--nproc-per-node is at least 1"),
        ("--nnodes 0", "AssertionError: min_nodes must be > 0"),
        ("--max-restarts -1", "AssertionError: max_restarts must be >= 0"),
        ("--start-method thread", "argument --start-method/--start_method: invalid choice: 'thread'"),
        ("--redirects 9", "ValueError: 9 does not match"),
        ("--no-python", "ValueError: Don't use both the '--no-python' flag and the '--module' flag"),
        ("--help", "it only prints its help"),
        ("train.py", "only options are allowed"),
        ("-m stages.check", "only options are allowed"),
        ("--run-path", "only options are allowed"),
    ],
)
def test_options_that_torchrun_rejects_are_refused(
    options: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as refused:
        command(f"torchrun {options}")
    assert str(refused.value).startswith(f"params.yaml: launch: torchrun does not accept it: {message}")
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_a_launcher_that_cannot_start_leaves_earlier_outputs(copy: Clone) -> None:
    outputs = ("data/prepared", "models", "metrics")
    before = copy.bytes_of(*outputs)
    for launcher, ask, line in [
        (
            "torchrunn",
            "exp run",
            "error: params.yaml: launch: 'torchrunn' is not allowed; allowed: python, or torchrun",
        ),
        (
            "torchrun --nproc-per-nodes 2",
            "repro train",
            "error: params.yaml: launch: torchrun does not accept it: unrec",
        ),
        (
            "touch x; python",
            "repro --single-item train",
            "error: params.yaml: launch: 'touch x; python' is not allowed",
        ),
        # torchrun's parser accepts it, and its start fails.
        (
            "torchrun --rdzv-backend nosuch",
            "repro --single-item train",
            "ValueError: The rendezvous backend 'nosuch'",
        ),
    ]:
        copy.set(launch=launcher)
        output = copy.run(f"dvc {ask}", fails=True)
        assert line in output
        assert copy.bytes_of(*outputs) == before, launcher
        copy.run("git restore .")
    assert not (copy.folder / "x").exists()
    assert "Data and pipelines are up to date." in copy.run("dvc status")
