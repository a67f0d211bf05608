"""A run by its name: its parameters, metrics, predictions and provenance."""

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

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
from sentiment.metrics.evaluation_sets import NO_SETS
from sentiment.params import FILE
from sentiment.validation import parse_yaml

WORKSPACE = "workspace"
Model = Literal["baseline", "probe", "classifier", "blend", "int8", "fp32"]
# The stage that scores each model.
STAGES: dict[Model, str] = {
    "baseline": "baseline",
    "probe": "probe",
    "classifier": "evaluate",
    "blend": "blend",
    "int8": "export@int8",
    "fp32": "export@fp32",
}
ALSO_TEST_METRICS = "metrics/sets/{}"
PREDICTIONS = "metrics/predictions/{}"
VALIDATION_PREDICTIONS = "metrics/validation/predictions.parquet"
PREPARED = "data/prepared/{}.parquet"
ALSO_TEST = "data/also_test/{}.parquet"
# Where runs of earlier code have these files.
_EARLIER_PATHS = {
    "metrics/probe.json": "metrics/zero_shot.json",
    "metrics/sets/classifier/challenge.json": "metrics/challenge.json",
    "metrics/predictions/classifier/test.parquet": "metrics/predictions/test.parquet",
    "metrics/predictions/classifier/challenge.parquet": "metrics/predictions/challenge.parquet",
    "data/also_test/challenge.parquet": "data/prepared/challenge.parquet",
}
# Folders that stages depend on and other stages fill, a file each; by the parameter that lists the files.
_FOLDERS = {"data/soft_labels": ("train", "teachers"), "data/also_test": ("prepare", "also_test")}
_NOT_FETCHED = {"deleted", "not in cache"}  # states in `dvc status` of a file that was not fetched


class Run:
    """One run of the pipeline. It reads files on demand, from the workspace, Git, or DVC's cache or remote.

    Args:
        name: a commit, tag, branch or experiment, or `workspace`.

    Raises:
        InputError: there is no such run. Methods raise it if a file is not available or damaged.
    """

    def __init__(self, name: str = WORKSPACE):
        self.name = name
        self._files: Any = localfs
        if name != WORKSPACE:
            try:
                self._files = DVCFileSystem(rev=name)
                _ = self._files.repo  # opens the repository, which raises if there is no such revision
            except RevError as error:
                allowed = f"a commit, tag, branch, experiment or {WORKSPACE}"
                if Path(".git/shallow").exists():
                    allowed += "; this clone is shallow: `git fetch --unshallow` brings earlier commits"
                raise InputError(f"{name}: no such run; allowed: {allowed}") from error
            except (DvcException, GitError) as error:
                raise InputError(f"{name}: cannot be read: {reason(error)}") from error

    @cached_property
    def lock(self) -> dict[str, Any]:
        """The stages in dvc.lock, by name."""
        return dict(self.yaml("dvc.lock").get("stages") or {})

    @cached_property
    def params(self) -> dict[str, Any]:
        """The parameters that the stages ran with, in the order of params.yaml.

        They can differ from params.yaml, which may have changed since, and with which `check` may have run
        again. If stages ran with different values, those of train count.
        """
        stages = sorted(self.lock, key=lambda name: (not name.startswith("check"), name == "train"))
        used: dict[str, Any] = {}
        for name in stages:  # later ones override earlier ones: check is first, train is last
            used |= self._locked_params(name)
        return {key: used[key] for key in (*self.yaml(FILE), *used) if key in used}

    @cached_property
    def evaluation_sets(self) -> list[str]:
        """The evaluation sets other than the test split that the fine-tuned model was scored on."""
        folder = ALSO_TEST_METRICS.format("classifier")
        names = []
        if self.has_file(folder):
            files = map(Path, self._files.ls(folder, detail=False))
            names = sorted(file.stem for file in files if file.suffix == ".json" and file.name != NO_SETS)
        elif self.has_file(f"{folder}/challenge.json"):  # at its earlier path
            names = ["challenge"]
        return names

    @cached_property
    def models(self) -> list[Model]:
        """The models that the run scored on the test split."""
        return [model for model in STAGES if self.has_file(_metrics_path(model, "test"))]

    def scores(self) -> dict[str, dict[Model, Any]]:
        """The `details` of the metrics of each model on each evaluation set, by the name of the set.

        A model without metrics is left out, such as one of `unavailable`.
        """
        scores: dict[str, dict[Model, Any]] = {}
        for name in ("test", *self.evaluation_sets):
            scores[name] = {}
            for model in self.models:
                if self.has_file(_metrics_path(model, name)):
                    metrics = self.scores_of(model, name)
                    if not isinstance(metrics["accuracy"], str):
                        scores[name][model] = metrics
        return scores

    @property
    def unavailable(self) -> dict[Model, str]:
        """The models that could not score any reviews, with the reason."""
        reasons = {model: self.why_unavailable(model) for model in self.models}
        return {model: reason for model, reason in reasons.items() if reason}

    def why_unavailable(self, model: Model) -> str | None:
        """The reason why a model could not score any reviews; None if it could, or did not run.

        Without labelled training reviews, there are no n-grams, no blend and no linear probe. In earlier
        code, a model without a head could not be scored before training.
        """
        if not self.has_file(_metrics_path(model, "test")):
            return None
        accuracy = self.scores_of(model)["accuracy"]
        return accuracy if isinstance(accuracy, str) else None

    def scores_of(self, model: Model = "classifier", reviews: str = "test") -> Any:
        """The `details` of the metrics of a model on the test split or another evaluation set."""
        return self.metrics(_metrics_path(model, reviews).removeprefix("metrics/").removesuffix(".json"))

    def metrics(self, name: str) -> Any:
        """The `details` of metrics/<name>.json."""
        path = f"metrics/{name}.json"
        with loading(self._display_path(path)):
            return json.loads(self.content(path))["details"][0]

    @property
    def data(self) -> Any:
        """The content of metrics/data.json: rows, share of positive reviews, words, and dropped reviews."""
        with loading(self._display_path("metrics/data.json")):
            return json.loads(self.content("metrics/data.json"))

    def has_file(self, path: str) -> bool:
        """Whether the run has this file or folder."""
        return bool(self._files.exists(self._path(path)))

    def table(self, path: str) -> pd.DataFrame:
        """Read a .csv, .tsv or .parquet file of the run."""
        content = io.BytesIO(self.content(path))
        with loading(self._display_path(path)):
            if path.endswith(".parquet"):
                return pd.read_parquet(content)
            return pd.read_csv(content, sep="\t" if path.endswith(".tsv") else ",")

    def scored_reviews(self, split: str, model: Model = "classifier") -> pd.DataFrame:
        """The reviews of `validation`, `test` or another evaluation set, with `probability` (of POSITIVE).

        If teachers labelled the validation reviews, these have a column `held_out`.

        Args:
            split: the split or evaluation set.
            model: the model that scored the reviews.

        Raises:
            InputError: they are not available, or are those of an earlier model, as in a trial of a search.
        """
        stage, path = STAGES[model], f"{PREDICTIONS.format(model)}/{split}.parquet"
        if split == "validation" and model == "classifier":
            stage, path = "train", VALIDATION_PREDICTIONS
        if model != "classifier" and (why := self.why_unavailable(model)):
            raise InputError(f"{self.name}: {model}: {why}")
        predictions = self.table(path)
        if not self.ran_on_current_inputs(stage):
            raise InputError(
                f"{self.name}: {stage} has not run since its inputs changed; `dvc repro` runs it"
            )
        prepared = PREPARED if split in ("validation", "test") else ALSO_TEST
        reviews = self.table(prepared.format(split))
        columns = ["id", "probability"]
        if split == "validation" and reviews.empty:  # teachers labelled some of the unlabelled reviews
            reviews = self.table(PREPARED.format("unlabelled"))
            columns.append("label")
        return reviews.merge(predictions[columns], on="id", validate="one_to_one")

    def ran_on_current_inputs(self, stage: str) -> bool:
        """Whether dvc.lock records that the stage ran on the latest outputs of the stages before it.

        False if the stage never ran.
        """
        written = {out["path"]: out["md5"] for entry in self.lock.values() for out in entry.get("outs", [])}
        read = {dep["path"]: dep["md5"] for dep in self.lock.get(stage, {}).get("deps", [])}
        for folder in _FOLDERS.keys() & read.keys():
            written[folder] = _hash_of_folder(self._files_in(folder), written)
        return bool(read) and all(written.get(path, md5) == md5 for path, md5 in read.items())

    def _files_in(self, folder: str) -> list[str]:
        """The files in one of _FOLDERS; dvc.lock also lists earlier ones, which were removed."""
        stage, key = _FOLDERS[folder]
        return [f"{folder}/{name}.parquet" for name in self._locked_params(stage).get(key) or []]

    def stages_to_rerun(self, stage: str) -> list[str]:
        """The stages that must run again before the outputs of `stage` match the run's params.yaml.

        In the workspace, they must also match code and data. A stage downstream of a changed one is included
        only once that one has run. `check` is left out because it writes no results.
        """
        if self.name == WORKSPACE:
            with repository() as repo:
                status = repo.status(targets=[stage], with_deps=True)
            changed = [name for name, changes in status.items() if _leaves(_inputs(changes)) - _NOT_FETCHED]
        else:
            changed = [name for name in self._up_to(stage) if self._ran_with_other_params(name)]
        stale = [name for name in self._up_to(stage) if not self.ran_on_current_inputs(name)]
        return [name for name in dict.fromkeys(changed + stale) if name != "check"]

    def _ran_with_other_params(self, stage: str) -> bool:
        params = self.yaml(FILE)
        return any(params.get(key) != value for key, value in self._locked_params(stage).items())

    def _locked_params(self, stage: str) -> dict[str, Any]:
        return dict(self.lock.get(stage, {}).get("params", {}).get(FILE, {}))

    def _up_to(self, stage: str) -> list[str]:
        """A stage and all stages upstream of it, as far as dvc.lock contains them."""
        writers = {out["path"]: name for name, entry in self.lock.items() for out in entry.get("outs", [])}
        stages = [stage] if stage in self.lock else []
        for name in stages:  # the list grows in the loop
            for dep in self.lock[name].get("deps", []):
                paths = [dep["path"]]
                if dep["path"] in _FOLDERS:
                    paths = self._files_in(dep["path"])
                stages += {writers[path] for path in paths if path in writers} - set(stages)
        return stages

    def locked_hash(self, path: str) -> str | None:
        """The hash of an output or a dependency in dvc.lock; None if it does not occur there."""
        for stage in self.lock.values():
            for entry in (*stage.get("outs", []), *stage.get("deps", [])):
                if entry["path"] == path:
                    return str(entry["md5"])
        return None

    def content(self, path: str) -> bytes:
        """Read a file of the run.

        Raises:
            InputError: it is not available, neither in the run itself nor in DVC's cache or remote.
        """
        try:
            return bytes(self._files.read_bytes(self._path(path)))
        except (DvcException, DataIndexDirError, OSError) as error:
            raise InputError(
                f"{self._display_path(path)} is not here; "
                "`dvc repro` makes it, `dvc pull` fetches what was pushed"
            ) from error

    def yaml(self, path: str) -> dict[str, Any]:
        """Read a YAML file of the run."""
        return parse_yaml(self.content(path).decode(errors="replace"), self._display_path(path))

    def _path(self, path: str) -> str:
        """Where the run has a file: runs of earlier code have some at another path."""
        earlier = _EARLIER_PATHS.get(path)
        if earlier and not self._files.exists(path) and self._files.exists(earlier):
            return earlier
        return path

    def _display_path(self, path: str) -> str:
        return path if self._files is localfs else f"{self.name}: {path}"


def _hash_of_folder(files: list[str], hashes: dict[str, str]) -> str:
    """The hash that DVC gives to a folder with these files, which have these hashes."""
    listed = [{"relpath": Path(file).name, "md5": hashes.get(file)} for file in files]
    tree = Tree.from_list(listed, hash_name="md5")
    tree.digest()
    return str(tree.oid)


def _metrics_path(model: Model, reviews: str) -> str:
    """The metrics JSON of a model on the test split or another evaluation set."""
    if reviews != "test":
        return f"{ALSO_TEST_METRICS.format(model)}/{reviews}.json"
    return "metrics/test.json" if model == "classifier" else f"metrics/{model}.json"


def previous_run() -> Run | None:
    """The run of the latest commit, HEAD included, whose predictions differ from those of the workspace."""
    current = _predictions_hash(Run())
    with repository() as repo:
        git = repo.scm.gitpython.repo
        commits = git.iter_commits(paths=str(Path(repo.root_dir, "dvc.lock"))) if git.head.is_valid() else ()
        for commit in commits:
            run = Run(commit.hexsha[:7])
            if run.has_file("dvc.lock") and _predictions_hash(run) not in (None, current):
                return run
    return None


def _predictions_hash(run: Run) -> str | None:
    """The hash of the predictions of the fine-tuned model; None if it was never evaluated."""
    return run.locked_hash(PREDICTIONS.format("classifier")) or run.locked_hash("metrics/predictions")


def experiments(*revisions: str) -> list[str]:
    """Names of the finished experiments that are based on HEAD or on the commits of the given revisions.

    The base of an experiment among the revisions is the commit that it started from.

    Raises:
        InputError: there is no commit.
    """
    with repository() as repo:
        if repo.scm.no_commits:
            raise InputError("there is no commit yet for experiments to start from; `git commit` creates one")
        bases = [repo.experiments.get_baseline(name) or name for name in revisions]
        by_base = repo.experiments.ls(rev=["HEAD", *bases])
    return sorted({name for listed in by_base.values() for name, _ in listed})


def out_of_date_runs(runs: Iterable[Run], stage: str) -> dict[str, list[str]]:
    """The stages that must run again, by run, for the runs whose outputs of `stage` are out of date."""
    stages_by_run = {run.name: run.stages_to_rerun(stage) for run in runs}
    return {name: stages for name, stages in stages_by_run.items() if stages}


def out_of_date_warnings(out_of_date: dict[str, list[str]]) -> list[str]:
    """A warning for each run of `out_of_date_runs`."""
    warnings = []
    for name, stages in out_of_date.items():
        them = "it" if len(stages) == 1 else "them"
        warnings.append(
            f"{name} is out of date: {', '.join(stages)} did not run "
            "with its present parameters, code and data; "
            f"the figures are those of the last run (`dvc repro` runs {them})"
        )
    return warnings


def override(key: str, value: Any) -> str:
    """Format a parameter for `dvc exp run -S`, in Hydra's grammar."""
    return f"{key}={_in_hydra(value)}"


def _in_hydra(value: Any) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    if isinstance(value, list):
        return f"[{','.join(map(_in_hydra, value))}]"
    if isinstance(value, str):
        return str(QuotedString(value, Quote.single).with_quotes())
    return json.dumps(value)


def provenance() -> dict[str, Any]:
    """Provenance of the workspace's run: the `commit` of HEAD, and the stages that are `stale`."""
    with repository() as repo:
        git, status = repo.scm.gitpython.repo, repo.status()
        commit = git.git.describe("--always", "--dirty") if git.head.is_valid() else "no commit yet"
        # A file that was not fetched, such as the weights, is no change.
        stale = [name for name, changes in status.items() if not _leaves(changes) <= _NOT_FETCHED]
    return {"commit": commit, "stale": stale}


def _inputs(changes: list[Any]) -> list[Any]:
    """The changes that `dvc status` lists for a stage, without those of its outputs."""
    return [change for change in changes if not (isinstance(change, dict) and "changed outs" in change)]


def commit_date() -> str | None:
    """The date of the commit with the workspace's run; None if the run is not committed."""
    with repository() as repo:
        git, lock = repo.scm.gitpython.repo, str(Path(repo.root_dir, "dvc.lock"))
        if not git.head.is_valid() or git.is_dirty(path=lock):
            return None
        commit = next(git.iter_commits(paths=lock, max_count=1), None)
        return commit and str(commit.committed_datetime.isoformat(" ", "minutes"))


def _leaves(tree: Any) -> set[str]:
    """The values in nested lists and dictionaries."""
    if isinstance(tree, dict):
        return _leaves(list(tree.values()))
    if isinstance(tree, list):
        return set().union(*map(_leaves, tree))
    return {tree}


@contextmanager
def repository() -> Iterator[Repo]:
    """Open the DVC repository that contains the working directory.

    Raises:
        InputError: there is no repository, or it cannot be read.
    """
    try:
        with Repo() as repo:
            yield repo
    except (DvcException, SCMError, GitError) as error:
        raise InputError(f"the repository cannot be read: {reason(error)}") from error
