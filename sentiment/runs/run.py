"""A run by its name (commit, tag, branch, experiment or workspace): parameters, metrics, predictions, what made it."""

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc.repo import Repo
from dvc.scm import RevError, SCMError
from dvc_data.hashfile.tree import Tree
from dvc_data.index.index import DataIndexDirError
from scmrepo.exceptions import SCMError as GitError

from sentiment.errors import InputError, loading, reason
from sentiment.params import FILE
from sentiment.validation import parse_yaml

WORKSPACE = "workspace"
PREDICTIONS = "metrics/predictions/{}.parquet"
VALIDATION_PREDICTIONS = "metrics/validation/predictions.parquet"
PREPARED = "data/prepared/{}.parquet"
SOFT_LABELS = "data/soft_labels"
_ABSENT = {"deleted", "not in cache"}  # how `dvc status` calls a file that was not fetched


class Run:
    """One run of the pipeline; its files are read when they are asked for, from the workspace, Git, or DVC's cache or remote.

    Args:
        name: a commit, tag, branch, experiment, or `workspace`.

    Raises:
        InputError: there is no such run; later, for a file: it is not to be had, or damaged.
    """

    def __init__(self, name: str = WORKSPACE):
        self.name = name
        self._files: Any = localfs
        if name != WORKSPACE:
            try:
                self._files = DVCFileSystem(rev=name)
                _ = self._files.repo  # which is opened only when it is first asked for
            except RevError as error:
                allowed = f"a commit, tag, branch, experiment or {WORKSPACE}"
                if Path(".git/shallow").exists():
                    allowed += "; this clone is shallow: `git fetch --unshallow` brings earlier commits"
                raise InputError(f"{name}: no such run; allowed: {allowed}") from error
            except (DvcException, GitError) as error:
                raise InputError(f"{name}: cannot be read: {reason(error)}") from error

    @cached_property
    def lock(self) -> dict[str, Any]:
        """The stages that dvc.lock has, by name."""
        return dict(self.yaml("dvc.lock").get("stages") or {})

    @cached_property
    def params(self) -> dict[str, Any]:
        """The parameters that the stages ran with, in the order of params.yaml.

        params.yaml may have changed since, and `check` may have run with it: what the other stages ran with counts, and of
        these most what train did, since which the others may not have run.
        """
        used: dict[str, Any] = {}
        for name in sorted(self.lock, key=lambda name: (not name.startswith("check"), name == "train")):
            used |= self.lock[name].get("params", {}).get(FILE, {})
        return {key: used[key] for key in (*self.yaml(FILE), *used) if key in used}

    def metrics(self, name: str) -> Any:
        """All that metrics/<name>.json says of what was scored: its `details`."""
        path = f"metrics/{name}.json"
        with loading(self._called(path)):
            return json.loads(self.content(path))["details"][0]

    @property
    def data(self) -> Any:
        """The counts of metrics/data.json: rows, share of positive reviews, words, and what was dropped."""
        with loading(self._called("metrics/data.json")):
            return json.loads(self.content("metrics/data.json"))

    def has_file(self, path: str) -> bool:
        """Whether the run has this file."""
        return bool(self._files.exists(path))

    def table(self, path: str) -> pd.DataFrame:
        """A .csv, .tsv or .parquet file that a stage wrote."""
        content = io.BytesIO(self.content(path))
        with loading(self._called(path)):
            if path.endswith(".parquet"):
                return pd.read_parquet(content)
            return pd.read_csv(content, sep="\t" if path.endswith(".tsv") else ",")

    def scored_reviews(self, split: str) -> pd.DataFrame:
        """The prepared reviews of `validation`, `test` or `challenge`, with `probability` (of POSITIVE).

        Raises:
            InputError: they are not to be had, or are an earlier model's, as in a trial of a search.
        """
        stage, path = "evaluate", PREDICTIONS.format(split)
        if split == "validation":
            stage, path = "train", VALIDATION_PREDICTIONS
        predictions = self.table(path)[["id", "probability"]]
        if not self.ran_on_current_inputs(stage):
            raise InputError(
                f"{self.name}: {stage} has not run on what the stages before it wrote; `dvc repro` runs it"
            )
        return self.table(PREPARED.format(split)).merge(predictions, on="id", validate="one_to_one")

    def ran_on_current_inputs(self, stage: str) -> bool:
        """Whether the stage has not run on what the stages before it wrote last, or never, as dvc.lock says."""
        written = {out["path"]: out["md5"] for entry in self.lock.values() for out in entry.get("outs", [])}
        read = self.lock.get(stage, {}).get("deps", [])
        if any(dep["path"] == SOFT_LABELS for dep in read):
            written[SOFT_LABELS] = self._hash_of_soft_labels(written)
        return not read or any(written.get(dep["path"], dep["md5"]) != dep["md5"] for dep in read)

    def _hash_of_soft_labels(self, written: dict[str, str]) -> str:
        """The hash of the folder with the soft labels that the teachers of `train` wrote last."""
        hashes = [
            {"relpath": f"{teacher}.parquet", "md5": written.get(f"{SOFT_LABELS}/{teacher}.parquet")}
            for teacher in self._teachers()
        ]
        tree = Tree.from_list(hashes, hash_name="md5")
        tree.digest()
        return str(tree.oid)

    def _teachers(self) -> list[int]:
        """The teachers of `train`; dvc.lock also keeps those of earlier trainings, whose files are gone."""
        return self._locked_params("train").get("teachers") or []

    def stages_to_rerun(self, stage: str) -> list[str]:
        """The stages that have to run again before the outputs of `stage` are those of this run's params.yaml.

        In the workspace, code and data count too. A stage that runs on the outputs of another one is not among them
        until that one has run. `check` is left out, because it writes no results.
        """
        if self.name == WORKSPACE:
            with repository() as repo:
                status = repo.status(targets=[stage], with_deps=True)
            changed = [name for name, changes in status.items() if _leaves(_inputs(changes)) - _ABSENT]
        else:
            params = self.yaml(FILE)
            changed = [
                name
                for name in self._up_to(stage)
                if any(params.get(key) != value for key, value in self._locked_params(name).items())
            ]
        stale = [name for name in self._up_to(stage) if not self.ran_on_current_inputs(name)]
        return [name for name in dict.fromkeys(changed + stale) if name != "check"]

    def _locked_params(self, stage: str) -> dict[str, Any]:
        return dict(self.lock.get(stage, {}).get("params", {}).get(FILE, {}))

    def _up_to(self, stage: str) -> list[str]:
        """A stage and those whose outputs it depends on, through others too, as far as dvc.lock has them."""
        writers = {out["path"]: name for name, entry in self.lock.items() for out in entry.get("outs", [])}
        stages = [stage] if stage in self.lock else []
        for name in stages:  # which grows
            for dep in self.lock[name].get("deps", []):
                paths = [dep["path"]]
                if paths == [SOFT_LABELS]:
                    paths = [f"{SOFT_LABELS}/{teacher}.parquet" for teacher in self._teachers()]
                stages += {writers[path] for path in paths if path in writers} - set(stages)
        return stages

    def locked_hash(self, path: str) -> str | None:
        """The hash that dvc.lock has of an output or a dependency."""
        entries = [
            entry for stage in self.lock.values() for key in ("outs", "deps") for entry in stage.get(key, [])
        ]
        return next((entry["md5"] for entry in entries if entry["path"] == path), None)

    def content(self, path: str) -> bytes:
        """The content of a file of the run.

        Raises:
            InputError: it is neither here nor in DVC's cache or remote.
        """
        try:
            return bytes(self._files.read_bytes(path))
        except (DvcException, DataIndexDirError, OSError) as error:
            raise InputError(
                f"{self._called(path)} is not here; `dvc repro` makes it, `dvc pull` fetches what was pushed"
            ) from error

    def yaml(self, path: str) -> dict[str, Any]:
        """The content of a YAML file of the run."""
        return parse_yaml(self.content(path).decode(errors="replace"), self._called(path))

    def _called(self, path: str) -> str:
        return path if self._files is localfs else f"{self.name}: {path}"


def previous_run() -> Run | None:
    """The run of the last commit, HEAD included, that locks other predictions than the workspace does."""
    predictions = str(Path(PREDICTIONS).parent)
    current = Run().locked_hash(predictions)
    with repository() as repo:
        git = repo.scm.gitpython.repo
        commits = git.iter_commits(paths=str(Path(repo.root_dir, "dvc.lock"))) if git.head.is_valid() else ()
        for commit in commits:
            run = Run(commit.hexsha[:7])
            if run.has_file("dvc.lock") and run.locked_hash(predictions) not in (None, current):
                return run
    return None


def experiments(*revisions: str) -> list[str]:
    """Names of the experiments that started from HEAD, from one of these commits, or where one of these experiments did.

    Those that are queued, run, or failed are not among them.

    Raises:
        InputError: there is no commit.
    """
    with repository() as repo:
        if repo.scm.no_commits:
            raise InputError("there is no commit yet, from which experiments start; `git commit` makes one")
        started = [repo.experiments.get_baseline(name) or name for name in revisions]
        found = repo.experiments.ls(rev=["HEAD", *started])
    return sorted({name for names in found.values() for name, _ in names})


def out_of_date_runs(runs: Iterable[Run], stage: str) -> dict[str, list[str]]:
    """Those of the runs whose outputs of `stage` are out of date: the stages that have to run again, by the run's name."""
    return {run.name: stages for run in runs if (stages := run.stages_to_rerun(stage))}


def out_of_date_warnings(out_of_date: dict[str, list[str]]) -> list[str]:
    """A warning for each run that is out of date."""
    return [
        f"{name} is out of date: {', '.join(stages)} did not run with its present parameters, code and data; "
        f"the figures are those of the last run (`dvc repro` runs {'it' if len(stages) == 1 else 'them'})"
        for name, stages in out_of_date.items()
    ]


def override(key: str, value: Any) -> str:
    """A parameter as `dvc exp run -S` takes it, in Hydra's grammar."""
    return f"{key}={_in_hydra(value)}"


def _in_hydra(value: Any) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, list):
        return f"[{','.join(map(_in_hydra, value))}]"
    if isinstance(value, str):
        return str(QuotedString(value, Quote.single).with_quotes())
    return json.dumps(value)


def provenance() -> dict[str, Any]:
    """The origin of the workspace's run: the `commit` that HEAD is, and `stale` stages, which changed or whose files did."""
    with repository() as repo:
        git, status = repo.scm.gitpython.repo, repo.status()
        return {
            "commit": git.git.describe("--always", "--dirty") if git.head.is_valid() else "no commit yet",
            # What was only not fetched, such as the weights, is no change.
            "stale": [name for name, changes in status.items() if not _leaves(changes) <= _ABSENT],
        }


def _inputs(changes: list[Any]) -> list[Any]:
    """The changes in a stage's dependencies, parameters and command, among those that `dvc status` lists."""
    return [change for change in changes if not (isinstance(change, dict) and "changed outs" in change)]


def commit_date() -> str | None:
    """The date of the commit that recorded the workspace's run; None if no commit has."""
    with repository() as repo:
        git, lock = repo.scm.gitpython.repo, str(Path(repo.root_dir, "dvc.lock"))
        if not git.head.is_valid() or git.is_dirty(path=lock):
            return None
        commit = next(git.iter_commits(paths=lock, max_count=1), None)
        return commit and str(commit.committed_datetime.isoformat(" ", "minutes"))


def _leaves(tree: Any) -> set[str]:
    """The values within nested lists and dictionaries."""
    if not isinstance(tree, dict | list):
        return {tree}
    return set().union(*map(_leaves, tree.values() if isinstance(tree, dict) else tree))


@contextmanager
def repository() -> Iterator[Repo]:
    """The DVC repository around the working directory.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    try:
        with Repo() as repo:
            yield repo
    except (DvcException, SCMError, GitError) as error:
        raise InputError(f"the repository cannot be read: {reason(error)}") from error
