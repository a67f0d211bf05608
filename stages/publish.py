"""Publish models/classifier, with a model card, as a repository of the Hugging Face Hub.

Usage: python -m stages.publish OWNER/NAME [--private] [--tag v1.0.0]
       python -m stages.publish OWNER/NAME --dry-run FOLDER   write what would go up, with no request
"""

import argparse
import json
import re
import shutil
import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from scmrepo.exceptions import SCMError

from stages import checkpoints, encoding, errors, hub, outputs, parameters, reviews
from stages.errors import InputError
from stages.labels import LABELS
from stages.results import interval

MODEL = Path("models/classifier")
TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
# Of the checkpoints that this project knows; a card refers to all others.
LICENSES = dict.fromkeys([checkpoints.PACKAGED, *checkpoints.PINNED], "apache-2.0")


def main() -> None:
    """Check that the model is the one that the last commit says, write its card, and publish both."""
    parser = argparse.ArgumentParser(prog="python -m stages.publish", description=str(__doc__).splitlines()[0])
    parser.add_argument("repository", metavar="OWNER/NAME", help="where to; made if it is not there")
    parser.add_argument("--private", action="store_true", help="make it private")
    parser.add_argument("--tag", help="tag what goes up, as v1.0.0 for instance")
    parser.add_argument("--dry-run", metavar="FOLDER", type=Path, help="only write what would go up, as a new folder")
    chosen = parser.parse_args()
    check_names(chosen.repository, chosen.tag)
    origin = committed()
    if chosen.dry_run:
        if chosen.dry_run.exists():
            raise InputError(f"{chosen.dry_run}: is there already; name a new folder")
        write(chosen.dry_run, chosen.repository, origin)
        print(f"{chosen.dry_run}: what would go up to {chosen.repository}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / MODEL.name
        write(folder, chosen.repository, origin)
        message = f"Commit {origin['commit'][:7]}: test accuracy {interval(metrics('test'))}"
        stale = [*checkpoints.FILES, "added_tokens.json", "*.bin"]  # of another checkpoint, and read with this one
        where, new = hub.upload(folder, chosen.repository, message, stale, chosen.private, chosen.tag)
    print(f"{where}{'' if new else ' (unchanged)'}{f', tag {chosen.tag}' if chosen.tag else ''}")


def check_names(repository: str, tag: str | None) -> None:
    """Raise InputError if the Hub allows no such name of a repository or a tag."""
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise InputError(errors.one_line(str(error))) from None
    if "/" not in repository:
        raise InputError(f"{repository!r} names no owner; allowed: OWNER/NAME")
    if tag is not None and not re.fullmatch(r"\w[\w.-]*", tag):
        raise InputError(f"--tag {parameters.shortened(tag)} is not allowed; allowed: a name such as v1.0.0")


def committed() -> dict[str, str]:
    """Where models/classifier and metrics/ come from: the `commit`, and the `url` of its repository or "".

    Raises:
        InputError: they, or what they were made from, are not as dvc.lock and the last commit have them.
    """
    try:
        with Repo() as repo:
            if changed := repo.status():
                raise InputError(
                    f"{', '.join(changed)}: not what dvc.lock says; `dvc repro` (or `dvc pull`) and commit first"
                )
            staged, unstaged, untracked = repo.scm.status()
            used = {Path(item.fs_path) for stage in repo.index.stages for item in [*stage.deps, *stage.outs]}
            used |= {Path(repo.root_dir, file) for file in ("dvc.yaml", "dvc.lock")}
            files = [Path(repo.scm.root_dir, file) for file in chain(*staged.values(), unstaged, untracked)]
            loose = [file for file in files if used & {file, *file.parents}]
            if loose:
                shown = ", ".join(sorted(str(file.relative_to(repo.root_dir)) for file in loose))
                raise InputError(f"{errors.one_line(shown)}: not committed; `dvc repro` and commit first")
            try:
                remote = repo.scm.get_remote_url("origin")
            except SCMError:
                remote = ""
            return {"commit": repo.scm.get_rev(), "url": web_address(remote)}
    except (DvcException, SCMError) as error:
        raise InputError(f"which commit the model is of cannot be told: {errors.reason(error)}") from error


def web_address(remote: str) -> str:
    """The page of a Git remote, without the user or token in it; "" if it is a folder."""
    found = re.fullmatch(r"(?:\w+://)?(?:[^@/]+@)?([\w.-]+\.\w+)(?::\d+/|[:/])/?(.+?)(?:\.git)?/?", remote)
    return f"https://{found[1]}/{found[2]}" if found else ""


def write(folder: Path, repository: str, origin: dict[str, str]) -> None:
    """Write what goes up: the files of models/classifier, and README.md."""
    with outputs.whole(folder) as partial:
        shutil.copytree(MODEL, partial)
        card(repository, origin).save(partial / "README.md")


def metrics(name: str) -> Any:
    """What metrics/<name>.json holds."""
    return json.loads(Path(f"metrics/{name}.json").read_text(encoding="utf-8"))


def card(repository: str, origin: dict[str, str]) -> ModelCard:
    """The model card: what the files of this commit say, and nothing else."""
    params = parameters.load(parameters.Params)
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    base, _, revision = config["base_model"].partition("@")  # a folder has no revision
    source, challenge = reviews.read_source(params.dataset), reviews.read_source("challenge")
    license = LICENSES.get(base, "other" if revision else "unknown")
    data = ModelCardData(
        license=license,
        license_name="that-of-the-base-model" if license == "other" else None,
        license_link=f"https://huggingface.co/{base}" if license == "other" else None,
        language=source.language,
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["sentiment-analysis"],
        base_model=base if revision else None,
        datasets=[source.hub] if source.hub else None,
        metrics=["accuracy", "f1", "precision", "recall", "roc_auc"],
        model_name=repository.split("/")[1],
        eval_results=results("test", params.dataset, source) + results("challenge", "challenge", challenge),
    )
    return ModelCard.from_template(
        data,
        str(TEMPLATE),
        repository=repository,
        **origin,
        base=base,
        revision=revision,
        source=source,
        challenge_source=challenge,
        kept=encoding.Encoder(MODEL, params.max_length, params.truncation).ends,
        params=parameters.read_yaml(parameters.FILE),
        interval=interval,
        labels=LABELS,
        **{name: metrics(name) for name in ("data", "test", "zero_shot", "baseline", "challenge")},
    )


def results(name: str, dataset: str, source: reviews.Source) -> list[EvalResult]:
    """What metrics/<name>.json holds, as the Hub reads it."""
    found = metrics(name)
    values = {("accuracy", "Accuracy"): found["accuracy"], ("f1", "Macro F1"): found["macro_f1"]}
    values["roc_auc", "ROC AUC"] = found["roc_auc"]
    for label in LABELS:
        for metric, value in found[label.lower()].items():
            values[metric, f"{metric.capitalize()} of {label}"] = value
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Sentiment of reviews",
            dataset_type=source.hub or dataset,
            dataset_name=dataset,
            dataset_config=source.config,
            dataset_split="test",
            dataset_revision=source.revision,
            metric_type=metric,
            metric_name=title,
            metric_value=value,
        )
        for (metric, title), value in values.items()
    ]


if __name__ == "__main__":
    errors.run(main)
