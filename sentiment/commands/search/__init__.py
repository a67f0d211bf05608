"""Searches for good parameters: Optuna proposes, DVC runs each trial as an experiment, and validation decides.

A trial goes up to the stage `train`, so no choice looks at the test split. What was tried is read from the experiments
themselves: a search that was cut off goes on, and runs that somebody made by hand count.
"""

import subprocess
import sys
import time
from typing import Annotated

import typer

from sentiment.commands.search.space import parse_space
from sentiment.commands.search.trials import Trials
from sentiment.errors import InputError
from sentiment.params import FILE, Params
from sentiment.validation import read_yaml


def main(
    space: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUES...",
            help="lr=1e-5..5e-4:log (a range, even in the logarithm), dropout=0..0.3, epochs=1,2,3",
            show_default=False,
        ),
    ],
    trials: Annotated[
        int, typer.Option(min=1, max=10_000, help="how many, with those that there are already")
    ] = 20,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="at once, by DVC's queue")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="of the proposals: the same proposes the same")] = 0,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="what the experiments are called, with a number  [default: search-…]"
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="run the trials again that failed before")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="apply the best one to the workspace, and evaluate it")
    ] = False,
) -> None:
    """Search for the parameters with the highest validation accuracy; killed, the same call goes on."""
    Params.load()
    params = read_yaml(FILE)
    search = Trials(parse_space(space, params), params, seed, name, retry)
    if search.all:
        failed = len(search.all) - len(search.finished)
        advice = "; --retry runs them again" if failed else ""
        print(f"{search.name}: {len(search.finished)} finished, {failed} failed before{advice}")
    while len(search.all) < trials:
        proposed = search.propose(min(jobs, trials - len(search.all)))
        if not proposed:
            print("every combination was tried")
            break
        started = time.monotonic()
        for trial in search.run(proposed):
            result = (
                f"failed: {trial.why}"
                if trial.accuracy is None
                else f"validation accuracy {trial.accuracy:.4f}, loss {trial.loss:.4f}"
            )
            chosen = ", ".join(f"{key}={value}" for key, value in trial.params.items())
            print(f"{trial.name}: {chosen}: {result} ({time.monotonic() - started:.0f} s)", flush=True)
    best = search.best()
    print(f"best of {len(search.finished)}: {best.name}, validation accuracy {best.accuracy:.4f}")
    if not apply:
        print(
            f"`sentiment best --search {search.name}` ranks them; with --apply, the best one is applied and evaluated"
        )
    elif best.name not in ("HEAD", "workspace"):
        for command in (["exp", "apply", best.name], ["repro"]):
            if subprocess.run([sys.executable, "-m", "dvc", *command], check=False).returncode:
                raise InputError(f"`dvc {' '.join(command)}` failed")
