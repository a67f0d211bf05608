"""Takes out of an experiment what evaluate wrote of other weights, so that `dvc exp show` has no test figures for it."""

import os
import subprocess
import tempfile

import networkx as nx

from sentiment.runs.run import Run, repository


def without_evaluation(name: str) -> None:
    """Rewrite HEAD's experiment of this name, which ran up to `train`, without the later stages' files in Git: HEAD's."""
    if Run(name).ran_on_current_inputs("evaluate"):
        return
    with repository() as repo:
        (train,) = repo.stage.collect("train")
        later = nx.ancestors(repo.index.graph, train)
        files = [out.def_path for stage in later for out in stage.outs if not out.use_cache]
        head = repo.scm.get_rev()
    reference = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"GIT_INDEX_FILE": f"{folder}/index"}

        def git(*command: str) -> str:
            return subprocess.run(
                ["git", *command], env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout.strip()

        # DVC makes up an identity where Git has none, as in many containers; the new commit keeps what DVC wrote.
        for role in ("author", "committer"):
            for field in ("name", "email"):
                value = git("log", "-1", f"--format=%{role[0]}{field[0]}", reference)
                environment[f"GIT_{role}_{field}".upper()] = value
        git("read-tree", reference)
        git("rm", "--cached", "--quiet", "--ignore-unmatch", "--", *files)
        message = git("log", "-1", "--format=%B", reference)
        commit = git("commit-tree", git("write-tree"), "-p", f"{reference}^", "-m", message)
        git("update-ref", reference, commit)
