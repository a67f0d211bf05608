"""Rewrites the Git commit of a trial without test metrics, so that `dvc exp show` has none for it.

A trial runs up to the stage `train`. DVC then commits all files that Git tracks, with the metrics that the
later stages wrote for HEAD's model. They would look like results of the trial.
"""

import os
import subprocess
import tempfile

import networkx as nx

from sentiment.runs.run import Run, repository


def remove_later_outputs(name: str) -> None:
    """Replace the commit of HEAD's experiment `name` by one without files that stages after `train` wrote.

    Author, committer, message and all other files stay the same. An experiment that was evaluated is not
    changed.
    """
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

        # Git may have no identity, as in many containers. DVC then invents one; the new commit keeps it.
        for role in ("author", "committer"):
            for field in ("name", "email"):
                value = git("log", "-1", f"--format=%{role[0]}{field[0]}", reference)
                environment[f"GIT_{role}_{field}".upper()] = value
        git("read-tree", reference)
        git("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", "--", *files)
        message = git("log", "-1", "--format=%B", reference)
        commit = git("commit-tree", git("write-tree"), "-p", f"{reference}^", "-m", message)
        git("update-ref", reference, commit)
