"""Starts a training stage with the launcher that params.yaml names: one process, or several that share the batch.

usage: python -m sentiment.launch -m stages.train [argument]

DVC runs commands in a shell. The launcher is no part of the command, so no shell interprets it, and if it cannot
start, the outputs of the last run are restored.
"""

import contextlib
import io
import logging
import os
import subprocess
import sys
from typing import Never

from sentiment import stage_runner
from sentiment.errors import InputError, one_line, reason
from sentiment.params import TrainParams

SECONDS_TO_END = 10.0  # that the launcher has after Ctrl-C, which it receives too


def command(launch: str) -> list[str]:
    """The command that the parameter `launch` stands for, in this Python environment.

    Raises:
        InputError: torchrun does not accept its options.
    """
    python, *options = launch.split()
    if python == "python" and options[:2] != ["-m", "torch.distributed.run"]:
        return [sys.executable, *options]
    options = options if python == "torchrun" else options[2:]
    _check_torchrun(options)
    return [sys.executable, "-m", "torch.distributed.run", *options]


def _check_torchrun(options: list[str]) -> None:
    """Raise InputError unless torchrun itself accepts these options and would start a module."""
    from torch.distributed import run  # late: it takes seconds

    def refuse(message: str) -> Never:
        raise InputError(
            f"params.yaml: launch: torchrun does not accept it: {one_line(message)}; see torchrun --help"
        )

    parser = run.get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    environment = dict(os.environ)
    run.logger.setLevel(logging.ERROR)  # torchrun gives its warnings when it starts
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            args = parser.parse_args([*options, "-m", "module"])
        if [args.training_script, *args.training_script_args] != ["module"] or args.run_path:
            refuse("only options are allowed, and none that names another program")
        config, *_ = run.config_from_args(args)
        if config.nproc_per_node < 1:
            refuse("--nproc-per-node is at least 1")
    except SystemExit:
        refuse("it only prints its help")
    except InputError:
        raise
    except Exception as error:  # ValueError, AssertionError, KeyError and others, by the option
        refuse(reason(error))
    finally:
        os.environ.clear()  # it sets OMP_NUM_THREADS
        os.environ.update(environment)


def start(*arguments: str) -> None:
    """Run Python with these arguments under the launcher of params.yaml; end as it ends."""
    params = TrainParams.load()
    launcher = command(params.launch)
    if "torch.distributed.run" not in launcher:
        os.execv(launcher[0], [*launcher, *arguments])
    process = subprocess.Popen([*launcher, *arguments])
    try:
        status = process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:  # `kill` has reached this process alone
            process.terminate()
            process.wait()
        raise
    if status:
        sys.exit(status)  # the processes have said why


if __name__ == "__main__":
    _, module, *item = sys.argv[1:]
    stage_runner.run(lambda: start(*sys.argv[1:]), "@".join([module.removeprefix("stages."), *item]))
