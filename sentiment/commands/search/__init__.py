"""Searches for good parameters: Optuna proposes, DVC runs trials as experiments, and validation decides.

A trial runs up to the stage `train`, so the test split chooses nothing. The state of a search is in its
experiments: a killed search resumes, and other runs with suitable parameters count as trials.
"""

import subprocess
import sys
import time
from typing import Annotated

import typer

from sentiment.commands.search.space import parse_space
from sentiment.commands.search.trials import Trial, Trials
from sentiment.data.schema import read_source
from sentiment.errors import InputError
from sentiment.params import FILE, Params
from sentiment.runs.run import WORKSPACE
from sentiment.validation import read_yaml


def main(
    space: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUES...",
            help="lr=1e-5..5e-4:log (a range, sampled on a log scale), dropout=0..0.3, epochs=1,2,3",
            show_default=False,
        ),
    ],
    trials: Annotated[
        int, typer.Option(min=1, max=10_000, help="the total number of trials, including earlier ones")
    ] = 20,
    jobs: Annotated[
        int, typer.Option(min=1, max=64, help="the number of trials that run in parallel, in DVC's queue")
    ] = 1,
    seed: Annotated[
        int, typer.Option(min=0, help="the seed of the proposals, which makes them reproducible")
    ] = 0,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="the prefix of the experiments' names; by default search- and a hash"
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="run the failed trials again")] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="apply the best trial to the workspace, and evaluate it")
    ] = False,
) -> None:
    """Search for the parameters with the highest validation accuracy; if killed, the same command resumes."""
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
            print("every combination has been tried")
            break
        started = time.monotonic()
        for trial in search.run(proposed):
            print(f"{in_words(trial)} ({time.monotonic() - started:.0f} s)", flush=True)
    best = search.best()
    print(f"best of {len(search.finished)}: {best.name}, validation accuracy {best.accuracy:.4f}")
    if not read_source(params["dataset"]).labels_validation:
        print("validation accuracy is agreement with the teachers, which label the validation reviews")
    if not apply:
        print(
            f"`sentiment best --search {search.name}` ranks the trials; "
            "--apply applies the best one and evaluates it"
        )
    elif best.name not in ("HEAD", WORKSPACE):
        for command in (["exp", "apply", best.name], ["repro"]):
            if subprocess.run([sys.executable, "-m", "dvc", *command], check=False).returncode:
                raise InputError(f"`dvc {' '.join(command)}` failed")


def in_words(trial: Trial) -> str:
    """A trial in one line: its name, parameters and result."""
    params = ", ".join(f"{key}={value}" for key, value in trial.params.items())
    if trial.accuracy is None:
        return f"{trial.name}: {params}: failed: {trial.why}"
    return f"{trial.name}: {params}: validation accuracy {trial.accuracy:.4f}, loss {trial.loss:.4f}"
