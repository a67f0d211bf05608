"""Starts a training stage with the launcher in params.yaml: one process, or several that share the batch.

usage: python -m sentiment.launch -m stages.train [argument]

DVC runs commands in a shell. Because the launcher is not part of the command, no shell interprets it, and if
it cannot start, the outputs of the last run are restored.
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

SECONDS_TO_STOP = 10.0  # grace period of the launcher after Ctrl-C, which it receives too


def command(launch: str) -> list[str]:
    """The launcher as an argument list that runs in this Python environment.

    Args:
        launch: the parameter `launch`.

    Raises:
        InputError: torchrun does not accept its options.
    """
    program, *options = launch.split()
    if program == "python" and options[:2] != ["-m", "torch.distributed.run"]:
        return [sys.executable, *options]
    if program != "torchrun":  # python -m torch.distributed.run
        options = options[2:]
    _check_torchrun(options)
    return [sys.executable, "-m", "torch.distributed.run", *options]


def _check_torchrun(options: list[str]) -> None:
    """Raise InputError unless torchrun's own parser accepts these options and would start a module."""
    from torch.distributed import run  # the import takes seconds

    def refuse(message: str) -> Never:
        raise InputError(
            f"params.yaml: launch: torchrun does not accept it: {one_line(message)}; see torchrun --help"
        )

    parser = run.get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    environment = dict(os.environ)
    run.logger.setLevel(logging.ERROR)  # torchrun repeats its warnings when it starts
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
    except Exception as error:  # ValueError, AssertionError, KeyError and others, depending on the option
        refuse(reason(error))
    finally:
        os.environ.clear()  # config_from_args sets OMP_NUM_THREADS
        os.environ.update(environment)


def start(*arguments: str) -> None:
    """Run Python with these arguments under the launcher of params.yaml, and exit with its status.

    Raises:
        InputError: params.yaml is not valid.
    """
    params = TrainParams.load()
    launcher = command(params.launch)
    if "torch.distributed.run" not in launcher:
        os.execv(launcher[0], [*launcher, *arguments])
    process = subprocess.Popen([*launcher, *arguments])
    try:
        status = process.wait()
    except KeyboardInterrupt:
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:  # the signal came from `kill` and reached only this process
            process.terminate()
            process.wait()
        raise
    if status:
        sys.exit(status)  # its processes have printed the reason


if __name__ == "__main__":
    _, module, *item = sys.argv[1:]
    stage = "@".join([module.removeprefix("stages."), *item])
    stage_runner.run(lambda: start(*sys.argv[1:]), stage)
