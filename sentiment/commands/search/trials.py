"""The trials of a search: what Optuna proposes next, and runs of it as DVC experiments."""

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
from sentiment.commands.search.rewriting import without_evaluation
from sentiment.commands.search.space import Space, contains, rounded
from sentiment.errors import InputError, one_line
from sentiment.runs.run import WORKSPACE, Run, experiments, override, repository
from sentiment.validation import shortened

RECORDS = Path(".dvc/tmp/search")
UNSEARCHED = ("exports", "launch")  # no result depends on them
_LOSS = 1e-5  # of its weight against accuracy: less than a review among 50,000


class Trial(NamedTuple):
    """One point of the space that was tried."""

    name: str  # of its experiment, or of the run that stands for it
    params: dict[str, Any]  # those that are searched
    accuracy: float | None  # on the validation split; None: it failed
    loss: float | None
    why: str = ""  # it failed

    @property
    def value(self) -> float:
        """Validation accuracy, and for equal accuracies the lower loss."""
        assert self.accuracy is not None
        assert self.loss is not None
        return self.accuracy - _LOSS * min(self.loss, 1.0)


class Trials:
    """The trials of one search, those that are finished or failed, and the running of more.

    Args:
        space: what is searched.
        params: the content of params.yaml; what is not searched stays as it is there.
        seed: of the proposals.
        name: of the search, the beginning of its experiments' names; None: one that follows from all of this.
        retry: whether to forget the trials that failed, so that they are proposed again.

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
        facts = [
            {key: optuna.distributions.distribution_to_json(ends) for key, ends in space.items()},
            self.fixed,
            seed,
        ]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self.name = name or f"search-{digest[:6]}"
        self._record = RECORDS / f"{self.name}.json"
        if retry:
            for trial in self._failed():
                _dvc("queue", "remove", trial.name)  # with its log, where it ran in the queue
            self._record.unlink(missing_ok=True)
        self.experiments = experiments()
        self.all = self._finished() + self._failed()

    def _finished(self) -> list[Trial]:
        """The runs that have these parameters, whoever ran them: HEAD's experiments, HEAD and the workspace."""
        trials: dict[str, Trial] = {}
        for name in (*self.experiments, "HEAD", WORKSPACE):
            try:
                run = Run(name)
                params = run.params if run.has_file("dvc.lock") and run.ran_on_current_inputs("train") else {}
                same = params and all(params.get(key) == value for key, value in self.fixed.items())
                if not same or not contains(self.space, params):
                    continue
                tried = {key: params[key] for key in self.space}
                trials.setdefault(str(tried), _finished_trial(run, tried))
            except InputError:  # a run whose files are not to be had
                continue
        return list(trials.values())

    def _failed(self) -> list[Trial]:
        if not self._record.exists():
            return []
        return [
            Trial(name, params, None, None, why)
            for name, params, why in json.loads(self._record.read_text())["failed"]
        ]

    @property
    def finished(self) -> list[Trial]:
        """Those that have a result."""
        return [trial for trial in self.all if trial.accuracy is not None]

    def best(self) -> Trial:
        """The one with the highest validation accuracy.

        Raises:
            InputError: none is finished.
        """
        if not self.finished:
            why = f"; the last one: {self.all[-1].why}" if self.all else ""
            raise InputError(f"{self.name}: no trial is finished{why}")
        return max(self.finished, key=lambda trial: trial.value)

    def propose(self, number: int) -> dict[str, dict[str, Any]]:
        """Up to `number` points that were not tried yet, by the names of their experiments; none: all were tried."""
        proposed: dict[str, dict[str, Any]] = {}
        names = {trial.name for trial in self.all} | set(
            self.experiments
        )  # of another space too: none is overwritten
        free = (name for at in range(10**6) if (name := f"{self.name}-{at + 1:02}") not in names)
        for name in (next(free) for _ in range(number)):
            tried = [trial.params for trial in self.all] + list(proposed.values())
            if params := self._ask(name, tried):
                proposed[name] = params
        return proposed

    def _ask(self, name: str, tried: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Ask Optuna for the trial of this name: it answers the same whenever the trials before it are the same."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        for attempt in range(100):
            key = hashlib.sha256(f"{self.seed} {name} {attempt}".encode()).digest()
            study = optuna.create_study(
                direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=int.from_bytes(key[:4]), n_startup_trials=5),
            )
            for trial in sorted(self.all, key=lambda trial: trial.name):  # whichever way it came to be known
                state = {"state": TrialState.FAIL} if trial.accuracy is None else {"value": trial.value}
                study.add_trial(create_trial(params=trial.params, distributions=self.space, **state))
            params = rounded(self.space, study.ask(self.space).params)
            if params not in tried:
                return params
        return None

    def run(self, proposed: dict[str, dict[str, Any]]) -> list[Trial]:
        """Run proposed points as experiments up to the stage `train`, and return what they came to.

        A single one runs in a folder of its own, several in DVC's queue, as many workers as there are.
        """
        logs = _alone(proposed) if len(proposed) == 1 else _in_queue(proposed)
        trials = []
        there = set(experiments())
        for name, params in proposed.items():
            if name in there:
                without_evaluation(name)
                trials.append(_finished_trial(Run(name), params))
            else:
                trials.append(Trial(name, params, None, None, _why(logs[name])))
        self.all += trials
        failed = [[trial.name, trial.params, trial.why] for trial in self.all if trial.accuracy is None]
        if failed:
            atomic.write_json(self._record, {"failed": failed})
        return trials


def _finished_trial(run: Run, params: dict[str, Any]) -> Trial:
    return Trial(run.name, params, **json.loads(run.content("metrics/validation.json")))


def _alone(proposed: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Run the only experiment in a folder of its own; return what it printed, by its name."""
    ((name, params),) = proposed.items()
    return {name: _dvc("exp", "run", "--temp", "--force", "--name", name, *_settings(params), "train")}


def _in_queue(proposed: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Run experiments in DVC's queue, all at once; return what each printed, by its name."""
    waiting = _in_progress()
    for name in proposed:
        if name not in waiting:  # it is, where a search was killed
            _dvc("exp", "run", "--queue", "--force", "--name", name, *_settings(proposed[name]), "train")
    _dvc("queue", "start", "--jobs", str(len(proposed)))
    while _in_progress() & set(proposed):
        time.sleep(2)
    return {name: _dvc("queue", "logs", name) for name in proposed}


def _in_progress() -> set[str]:
    with repository() as repo:
        queue = repo.experiments.celery_queue
        return {str(entry.name) for entry in chain(queue.iter_queued(), queue.iter_active())}


def _settings(params: dict[str, Any]) -> list[str]:
    return [part for key, value in params.items() for part in ("-S", override(key, value))]


def _dvc(*command: str) -> str:
    """Run a dvc command, and return what it printed, whether it succeeds or not."""
    run = subprocess.run(
        [sys.executable, "-m", "dvc", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.stdout


def _why(log: str) -> str:
    """The line of an experiment's output that says why it failed."""
    lines = [line for line in log.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")] or lines[-1:] or ["it printed nothing"]
    return one_line(said[-1].removeprefix("error: "))
