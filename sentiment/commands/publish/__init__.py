"""Publishes models/classifier/ with a model card in a repository on the Hugging Face Hub."""

import json
import re
import shutil
import tempfile
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from scmrepo.exceptions import SCMError

from sentiment import hub, project
from sentiment.atomic import replacing
from sentiment.data.schema import Source, read_source
from sentiment.errors import InputError, one_line
from sentiment.labels import LABELS
from sentiment.metrics.metrics_file import with_interval
from sentiment.pretrained import sources
from sentiment.runs.models import TITLES
from sentiment.runs.run import Run, repository
from sentiment.validation import shortened

MODEL = Path("models/classifier")
TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
# The licenses of the pretrained models that this project pins; for others, the card links to a page.
LICENSES = dict.fromkeys([sources.PACKAGED, *sources.PINNED], "apache-2.0")


def main(
    repo: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="the repository; created if it does not exist")
    ],
    private: Annotated[bool, typer.Option("--private", help="make the repository private")] = False,
    tag: Annotated[str | None, typer.Option(help="tag the published version, for example v1.0.0")] = None,
    dry_run: Annotated[
        Path | None,
        typer.Option(
            parser=project.path_from_top, metavar="FOLDER", help="only write the files to a new folder"
        ),
    ] = None,
) -> None:
    """Publish models/classifier/ on the Hugging Face Hub."""
    check_names(repo, tag)
    origin = committed_origin()
    if dry_run:
        if dry_run.exists():
            raise InputError(f"{dry_run}: already exists; name a new folder")
        write_files(dry_run, repo, origin)
        print(f"{dry_run}: the files to publish as {repo}")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / MODEL.name
        write_files(folder, repo, origin)
        message = f"Commit {origin['commit'][:7]}: test accuracy {with_interval(Run().scores_of())}"
        stale = [
            *sources.FILES,
            "added_tokens.json",
            "*.bin",
        ]  # an earlier model's, if any; they would be loaded with this model
        address, new = hub.upload(folder, repo, message, stale, private, tag)
    print(f"{address}{'' if new else ' (unchanged)'}{f', tag {tag}' if tag else ''}")


def check_names(repo: str, tag: str | None) -> None:
    """Raise InputError if the Hub does not allow the name of the repository or of the tag."""
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise InputError(one_line(str(error))) from None
    if "/" not in repo:
        raise InputError(f"{repo!r} has no owner; allowed: OWNER/NAME")
    if tag is not None and not re.fullmatch(r"\w[\w.-]*", tag):
        raise InputError(f"--tag {shortened(tag)} is not allowed; allowed: a name such as v1.0.0")


def committed_origin() -> dict[str, str]:
    """The origin of models/classifier/ and metrics/: the `commit`, and the `url` of its repository or "".

    Raises:
        InputError: a file that the pipeline reads or writes differs from dvc.lock or from the last commit.
    """
    with repository() as repo:
        if changed := repo.status():
            raise InputError(
                f"{', '.join(changed)}: not as in dvc.lock; run `dvc repro` (or `dvc pull`) and commit first"
            )
        staged, unstaged, untracked = repo.scm.status()
        used = {Path(item.fs_path) for stage in repo.index.stages for item in [*stage.deps, *stage.outs]}
        used |= {Path(repo.root_dir, file) for file in ("dvc.yaml", "dvc.lock")}
        files = [Path(repo.scm.root_dir, file) for file in chain(*staged.values(), unstaged, untracked)]
        if uncommitted := [file for file in files if used & {file, *file.parents}]:
            shown = ", ".join(sorted(str(file.relative_to(repo.root_dir)) for file in uncommitted))
            raise InputError(f"{one_line(shown)}: not committed; run `dvc repro` and commit first")
        try:
            remote = repo.scm.get_remote_url("origin")
        except SCMError:
            remote = ""
        return {"commit": repo.scm.get_rev(), "url": web_address(remote)}


def web_address(remote: str) -> str:
    """The web page of a Git remote, without user name or token; "" if the remote is a folder."""
    match = re.fullmatch(r"(?:\w+://)?(?:[^@/]+@)?([\w.-]+\.\w+)(?::\d+/|[:/])/?(.+?)(?:\.git)?/?", remote)
    return f"https://{match[1]}/{match[2]}" if match else ""


def write_files(folder: Path, repo: str, origin: dict[str, str]) -> None:
    """Write the files to publish: those of models/classifier/, and the model card as README.md."""
    with replacing(folder) as partial:
        shutil.copytree(MODEL, partial)
        model_card(repo, origin).save(partial / "README.md")


def model_card(repo: str, origin: dict[str, str]) -> ModelCard:
    """The model card; all its figures are from the files of the workspace's run.

    Args:
        repo: OWNER/NAME on the Hub.
        origin: the result of `committed_origin`.
    """
    from sentiment.model.encoding import Encoder  # imported late: transformers takes seconds

    run = Run()
    params = run.params
    config = json.loads(run.content(f"{MODEL}/config.json"))
    base, _, revision = config["base_model"].partition("@")  # a folder has no revision
    source = read_source(params["dataset"])
    sources_of_sets = {name: read_source(name) for name in run.evaluation_sets}
    scores = run.scores()
    license = LICENSES.get(base, "other" if revision else "unknown")
    results = eval_results(scores["test"]["classifier"], params["dataset"], source)
    for name, source_of_set in sources_of_sets.items():
        results += eval_results(scores[name]["classifier"], name, source_of_set)
    data = ModelCardData(
        license=license,
        license_name="that-of-the-base-model" if license == "other" else None,
        license_link=f"https://huggingface.co/{base}" if license == "other" else None,
        language=source.language,
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["sentiment-analysis"],
        metrics=["accuracy", "f1", "precision", "recall", "roc_auc"],
        base_model=base if revision else None,
        datasets=[source.hub] if source.hub else None,
        model_name=repo.split("/")[1],
        eval_results=results,
    )
    kept = Encoder(MODEL, params["max_length"], params["truncation"]).ends
    return ModelCard.from_template(
        data,
        str(TEMPLATE),
        **origin,
        scores=scores,
        titles=TITLES | {"classifier": "**this model**"},
        data=run.data,
        train=run.metrics("train"),
        repository=repo,
        base=base,
        revision=revision,
        source=source,
        sources_of_sets=sources_of_sets,
        kept=kept,
        params=params,
        with_interval=with_interval,
        labels=LABELS,
    )


def eval_results(metrics: dict[str, Any], dataset: str, source: Source) -> list[EvalResult]:
    """The content of a metrics JSON file in the Hub's format."""
    values = [
        ("accuracy", "Accuracy", metrics["accuracy"]),
        ("f1", "Macro F1", metrics["macro_f1"]),
        ("roc_auc", "ROC AUC", metrics["roc_auc"]),
    ]
    for label in LABELS:
        for name, value in metrics[label.lower()].items():
            values.append((name, f"{name.capitalize()} of {label}", value))
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
        for metric, title, value in values
    ]
