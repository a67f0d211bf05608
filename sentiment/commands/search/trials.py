"""The trials of a search: Optuna proposes parameters, and DVC runs them as experiments."""

import hashlib
import json
import re
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.trial import TrialState, create_trial

from sentiment import atomic
from sentiment.commands.search.rewrite_commit import remove_later_outputs
from sentiment.commands.search.space import Space, contains, rounded
from sentiment.errors import InputError, one_line
from sentiment.runs.run import WORKSPACE, Run, experiments, override, repository
from sentiment.validation import shortened

RECORDS = Path(".dvc/tmp/search")
UNSEARCHED = ("exports", "launch")  # parameters that change no result
_LOSS_WEIGHT = 1e-5  # of the loss against accuracy: less than one review among 50,000
_MOST_TRIALS = 10**6
_ATTEMPTS = 100  # to get a proposal that was not tried before


class Trial(NamedTuple):
    """One point of the search space that has been tried."""

    name: str  # of its experiment, or of a run with the same parameters
    params: dict[str, Any]  # the searched parameters
    accuracy: float | None  # on the validation split; None if the trial failed
    loss: float | None
    why: str = ""  # the reason of a failure

    @property
    def value(self) -> float:
        """Validation accuracy, with ties broken by lower loss."""
        assert self.accuracy is not None
        assert self.loss is not None
        return self.accuracy - _LOSS_WEIGHT * min(self.loss, 1.0)


class Trials:
    """The trials of one search: those that finished or failed before, and methods to propose and run more.

    The finished trials are read from the experiments in Git, so a killed search resumes, and other runs of
    HEAD with suitable parameters count. Failed trials leave no experiment; a JSON file in `.dvc/tmp/search`
    records them.

    Args:
        space: the search space. params: the content of params.yaml; parameters outside the space keep these
        values. seed: the seed of the proposals. name: the name of the search, the prefix of its
        experiments' names; None: a hash of the other arguments. retry: forget the failed trials, so that
        they are proposed again.

    Raises:
        InputError: no experiment can have such a name.
    """

    def __init__(
        self, space: Space, params: dict[str, Any], seed: int, name: str | None, retry: bool = False
    ):
        if name is not None and not re.fullmatch(r"\w[\w-]*", name):
            raise InputError(f"--name {shortened(name)}: allowed: letters, digits, - and _")
        self.space, self.seed = space, seed
        self.fixed = {key: value for key, value in params.items() if key not in (*space, *UNSEARCHED)}
        self.name = name or f"search-{self._digest()}"
        self._record = RECORDS / f"{self.name}.json"
        if retry:
            for trial in self._failed():
                _dvc("queue", "remove", trial.name)  # and its log, if it ran in the queue
            self._record.unlink(missing_ok=True)
        self.experiments = experiments()
        self.all = self._finished() + self._failed()

    def _digest(self) -> str:
        """Six hexadecimal digits that depend on the space, all other parameters and the seed."""
        space = {
            name: optuna.distributions.distribution_to_json(distribution)
            for name, distribution in self.space.items()
        }
        identity = json.dumps([space, self.fixed, self.seed], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:6]

    def _finished(self) -> list[Trial]:
        """All runs with suitable parameters among HEAD's experiments, HEAD and the workspace."""
        trials: dict[str, Trial] = {}
        for name in (*self.experiments, "HEAD", WORKSPACE):
            try:
                run = Run(name)
                trained = run.has_file("dvc.lock") and run.ran_on_current_inputs("train")
                if not trained or not self._suits(run.params):
                    continue
                searched = {key: run.params[key] for key in self.space}
                trials.setdefault(str(searched), _finished_trial(run, searched))
            except InputError:  # files of the run are not available
                continue
        return list(trials.values())

    def _suits(self, params: dict[str, Any]) -> bool:
        """Whether a run has the fixed parameters, and searched parameters within the space."""
        if not params or any(params.get(key) != value for key, value in self.fixed.items()):
            return False
        return contains(self.space, params)

    def _failed(self) -> list[Trial]:
        if not self._record.exists():
            return []
        failed = json.loads(self._record.read_text())["failed"]
        return [Trial(name, params, None, None, why) for name, params, why in failed]

    @property
    def finished(self) -> list[Trial]:
        """The trials that have a result."""
        return [trial for trial in self.all if trial.accuracy is not None]

    def best(self) -> Trial:
        """The trial with the highest validation accuracy; ties are broken by lower loss.

        Raises:
            InputError: no trial is finished.
        """
        if not self.finished:
            why = f"; the last one: {self.all[-1].why}" if self.all else ""
            raise InputError(f"{self.name}: no trial is finished{why}")
        return max(self.finished, key=lambda trial: trial.value)

    def propose(self, number: int) -> dict[str, dict[str, Any]]:
        """Up to `number` new points of the space, by experiment name; empty if all were tried."""
        proposed: dict[str, dict[str, Any]] = {}
        for name in self._free_names(number):
            tried = [trial.params for trial in self.all] + list(proposed.values())
            if params := self._ask(name, tried):
                proposed[name] = params
        return proposed

    def _free_names(self, number: int) -> list[str]:
        """Names for new experiments, so that none is overwritten, not even one of another search space."""
        taken = {trial.name for trial in self.all} | set(self.experiments)
        names: list[str] = []
        for index in range(1, _MOST_TRIALS + 1):
            if len(names) == number:
                break
            if (name := f"{self.name}-{index:02}") not in taken:
                names.append(name)
        return names

    def _ask(self, name: str, tried: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Ask Optuna for the trial of this name; the same earlier trials give the same answer."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        for attempt in range(_ATTEMPTS):
            key = hashlib.sha256(f"{self.seed} {name} {attempt}".encode()).digest()
            study = optuna.create_study(
                direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=int.from_bytes(key[:4]), n_startup_trials=5),
            )
            for trial in sorted(self.all, key=lambda trial: trial.name):  # the same order in each process
                state = {"state": TrialState.FAIL} if trial.accuracy is None else {"value": trial.value}
                study.add_trial(create_trial(params=trial.params, distributions=self.space, **state))
            params = rounded(self.space, study.ask(self.space).params)
            if params not in tried:
                return params
        return None

    def run(self, proposed: dict[str, dict[str, Any]]) -> list[Trial]:
        """Run proposed points as experiments up to the stage `train`, and return them as trials.

        A single trial runs in a temporary folder. Several run in DVC's queue, with one worker each.
        """
        logs = _run_in_folder(proposed) if len(proposed) == 1 else _run_in_queue(proposed)
        trials = []
        present = set(experiments())
        for name, params in proposed.items():
            if name in present:
                remove_later_outputs(name)
                trials.append(_finished_trial(Run(name), params))
            else:
                trials.append(Trial(name, params, None, None, _reason(logs[name])))
        self.all += trials
        failed = [[trial.name, trial.params, trial.why] for trial in self.all if trial.accuracy is None]
        if failed:
            atomic.write_json(self._record, {"failed": failed})
        return trials


def _finished_trial(run: Run, params: dict[str, Any]) -> Trial:
    return Trial(run.name, params, **json.loads(run.content("metrics/validation.json")))


def _run_in_folder(proposed: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Run a single experiment in a temporary folder; return its output by its name."""
    ((name, params),) = proposed.items()
    return {name: _dvc("exp", "run", "--temp", "--force", "--name", name, *_overrides(params), "train")}


def _run_in_queue(proposed: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Run experiments in DVC's queue, all at the same time; return their outputs by name."""
    queued = _in_progress()
    for name, params in proposed.items():
        if name not in queued:  # it may be in the queue if a search was killed
            _dvc("exp", "run", "--queue", "--force", "--name", name, *_overrides(params), "train")
    _dvc("queue", "start", "--jobs", str(len(proposed)))
    while _in_progress() & set(proposed):
        time.sleep(2)
    return {name: _dvc("queue", "logs", name) for name in proposed}


def _in_progress() -> set[str]:
    """The names of the experiments that are queued or running."""
    with repository() as repo:
        queue = repo.experiments.celery_queue
        return {str(entry.name) for entry in chain(queue.iter_queued(), queue.iter_active())}


def _overrides(params: dict[str, Any]) -> list[str]:
    """Parameters as arguments of `dvc exp run`."""
    arguments = []
    for key, value in params.items():
        arguments += ["-S", override(key, value)]
    return arguments


def _dvc(*command: str) -> str:
    """Run a dvc command, and return its output, whether it succeeds or fails."""
    run = subprocess.run(
        [sys.executable, "-m", "dvc", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.stdout


def _reason(log: str) -> str:
    """The line of a failed experiment's output that gives the reason."""
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")] or lines[-1:] or ["it printed nothing"]
    return one_line(errors[-1].removeprefix("error: "))
