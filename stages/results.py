"""Write the README's results table from metrics that Git holds.

Usage: python -m stages.results               the table, from metrics/ and from each kept run
       python -m stages.results --keep NAME   first keep this workspace's run as metrics/NAME/
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import networkx as nx
from dvc.repo import Repo

from stages import errors, outputs
from stages.errors import InputError
from stages.parameters import read_yaml

README = Path("README.md")
METRICS = Path("metrics")
START, END = "<!-- results: python -m stages.results -->\n", "<!-- end of results -->\n"
KINDS = {"baseline": "TF-IDF baseline", "zero_shot": "before fine-tuning", "test": "fine-tuned"}


def main() -> None:
    """Keep a run if asked to, and write the table between its marks in README.md."""
    parser = argparse.ArgumentParser(prog="python -m stages.results", description=str(__doc__).splitlines()[0])
    parser.add_argument("--keep", metavar="NAME", help="keep this workspace's metrics and params.yaml as metrics/NAME/")
    name = parser.parse_args().keep
    if name:
        keep(METRICS / name)
    readme = README.read_text(encoding="utf-8")
    if START not in readme or END not in readme:
        raise InputError(f"{README}: has no {START.strip()} and {END.strip()}; the table goes between them")
    before, after = readme.split(START)[0], readme.split(END)[1]
    with outputs.whole(README) as partial:
        partial.write_text(before + START + table() + END + after, encoding="utf-8")


def keep(target: Path) -> None:
    """Copy params.yaml and the metrics of every stage that is up to date, as all stages before it are, to `target`."""
    with Repo() as repo:
        changed = set(repo.status())
        kept = [
            out.def_path
            for stage in repo.index.stages
            if not changed & {before.addressing for before in {stage} | nx.descendants(repo.index.graph, stage)}
            for out in stage.outs
            if out.is_metric
        ]
    with outputs.whole(target) as folder:
        folder.mkdir()
        for path in ["params.yaml", *kept]:
            shutil.copy(path, folder)


def table() -> str:
    """The results as a Markdown table: a row for each model of each run, its 95 % interval behind its accuracy."""
    lines = [
        "| dataset | model | test accuracy | macro F1 | F1 negative, positive | challenge accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for run in [METRICS, *sorted(path.parent for path in METRICS.glob("*/params.yaml"))]:
        params = read_yaml(run / "params.yaml" if run != METRICS else "params.yaml")
        for kind in KINDS:
            if (run / f"{kind}.json").exists():
                lines.append(row(run, kind, params))
    return "\n".join(lines) + "\n"


def row(run: Path, kind: str, params: dict[str, Any]) -> str:
    """One model of one run: its metrics on the test split, and on the challenge set where it was scored there."""
    data, found = (json.loads((run / f"{name}.json").read_text(encoding="utf-8")) for name in ("data", kind))
    model = KINDS[kind]
    if kind != "baseline":
        model += f": {params['model'].split('/')[-1].split('@')[0]}"
    if kind == "test":
        model += f", `lr={params['lr']:g}`, `epochs={params['epochs']}`"
    dataset = f"{params['dataset']} ({data['rows']['train']:,} + {data['rows']['test']:,})"
    if isinstance(found["accuracy"], str):
        return f"| {dataset} | {model} | {found['accuracy']} | | | |"
    challenge = ""
    if kind == "test":
        challenge = interval(json.loads((run / "challenge.json").read_text(encoding="utf-8")))
    each = f"{found['negative']['f1']:.4f}, {found['positive']['f1']:.4f}"
    return f"| {dataset} | {model} | {interval(found)} | {found['macro_f1']:.4f} | {each} | {challenge} |"


def interval(found: dict[str, Any], name: str = "accuracy") -> str:
    """A metric with its 95 % interval."""
    return f"{found[name]:.4f} ({found[f'{name}_low']:.4f} to {found[f'{name}_high']:.4f})"


if __name__ == "__main__":
    errors.run(main)
