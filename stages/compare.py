"""Say whether one run is better than another, worse, or within noise.

Usage: python -m stages.compare [OLD] [NEW]     each a commit, tag, branch, experiment, or `workspace`
       python -m stages.compare --seeds         mean and spread over experiments that differ in the seed alone
"""

import argparse
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem, exp_show
from dvc.exceptions import DvcException
from dvc.scm import SCMError
from dvc_data.index.index import DataIndexDirError
from scmrepo.exceptions import SCMError as GitError

from stages import errors, parameters, reviews, uncertainty
from stages.errors import InputError
from stages.metrics import SentimentMetrics

WORKSPACE = "workspace"
PREDICTIONS = "metrics/predictions/test.parquet"
TEST = "data/prepared/test.parquet"
LOWER_IS_BETTER = {"loss"}
WITHIN_NOISE = "within noise"


def main() -> None:
    """Compare two runs, or a group of seeds, as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m stages.compare", description=str(__doc__).splitlines()[0])
    parser.add_argument("old", nargs="?", default="HEAD", help="commit, tag, branch, experiment or workspace (HEAD)")
    parser.add_argument("new", nargs="?", default=WORKSPACE, help="the same (workspace)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--fail-if-worse", action="store_true", help="exit with status 1 if the new run is worse")
    parser.add_argument(
        "--seeds", action="store_true", help="mean and spread over experiments that differ in seed alone"
    )
    chosen = parser.parse_args()
    if chosen.seeds:
        table = seeds(pd.DataFrame(exp_show()))
        print(table.to_json(orient="records", indent=2) if chosen.json else table.to_string(index=False))
        return
    result = compare(read(chosen.old), read(chosen.new))
    print(json.dumps(result, indent=2) if chosen.json else in_words(result))
    if chosen.fail_if_worse and result["verdict"] == "worse":
        sys.exit(1)


@dataclass(frozen=True)
class Run:
    """One run: its name, parameters, fingerprint of its test split, and test reviews with `probability`."""

    name: str
    params: dict[str, Any]
    split: str
    test: pd.DataFrame


def read(name: str) -> Run:
    """Read a run from the workspace, or from Git and DVC's cache or remote.

    Raises:
        InputError: there is no such run, or its predictions are in neither cache nor remote.
    """
    try:
        files = None if name == WORKSPACE else DVCFileSystem(rev=name)

        def content(path: str) -> bytes:
            return Path(path).read_bytes() if files is None else files.read_bytes(path)

        params = parameters.parse_yaml(content("params.yaml").decode(), f"{name}: params.yaml")
        lock = parameters.parse_yaml(content("dvc.lock").decode(), f"{name}: dvc.lock")
        predictions = pd.read_parquet(io.BytesIO(content(PREDICTIONS)))
        test = pd.read_parquet(io.BytesIO(content(TEST)))
    except (SCMError, GitError) as error:
        raise InputError(f"{name}: no such run; allowed: a commit, tag, branch, experiment or workspace") from error
    except (DvcException, DataIndexDirError, OSError) as error:
        raise InputError(f"{name}: {PREDICTIONS} is not here; `dvc pull` or `dvc repro` it first") from error
    split = next(dep["md5"] for dep in lock["stages"]["evaluate"]["deps"] if dep["path"] == TEST)
    return Run(name, params, split, test.merge(predictions[["id", "probability"]], on="id", validate="one_to_one"))


def compare(old: Run, new: Run) -> dict[str, Any]:
    """Everything there is to say of two runs on the same test split.

    The verdict on a metric is its paired-bootstrap interval: within noise if 0 is in it. The verdict on the whole is
    that of accuracy, and only if McNemar's exact test agrees (p < 0.05).

    Raises:
        InputError: the test splits differ.
    """
    if old.split != new.split or not old.test["id"].equals(new.test["id"]):
        raise InputError(
            f"{old.name} and {new.name} were evaluated on different test splits "
            f"({len(old.test):,} and {len(new.test):,} reviews); only runs on the same one compare"
        )
    truth = old.test["label"].to_numpy()
    before, after = old.test["probability"].to_numpy(), new.test["probability"].to_numpy()
    group = old.test["group"].to_numpy() if "group" in old.test else None
    between = uncertainty.difference_intervals(truth, before, after, group)
    values = [flat(SentimentMetrics().compute(predictions=run, references=truth)) for run in (before, after)]
    metrics = {}
    for name, (low, high) in between.items():
        better = (high < 0) if name in LOWER_IS_BETTER else (low > 0)
        metrics[name] = {
            "old": values[0][name], "new": values[1][name], "difference": values[1][name] - values[0][name],
            "low": low, "high": high, "verdict": WITHIN_NOISE if low <= 0 <= high else "better" if better else "worse",
        }  # fmt: skip
    lost, won, p = uncertainty.mcnemar(truth, before, after)
    flipped = ((before >= 0.5) != (after >= 0.5)).nonzero()[0]
    largest = flipped[np.argsort(-np.abs(after - before)[flipped], kind="stable")][:6]
    return {
        "old": old.name,
        "new": new.name,
        "reviews": len(truth),
        "groups": None if group is None else len(set(group)),
        "verdict": metrics["accuracy"]["verdict"] if p < 0.05 else WITHIN_NOISE,
        "metrics": metrics,
        "mcnemar": {"only_old_right": lost, "only_new_right": won, "p": p},
        "params": {
            key: {"old": old.params.get(key), "new": new.params.get(key)}
            for key in {**old.params, **new.params}
            if old.params.get(key) != new.params.get(key)
        },
        "flips": [
            {"id": old.test["id"][row], "now": "right" if (after[row] >= 0.5) == truth[row] else "wrong",
             "text": reviews.in_short(old.test["text"][row], 120)} for row in largest
        ],
    }  # fmt: skip


def flat(report: dict[str, Any]) -> dict[str, float]:
    """`{"positive": {"f1": x}}` as `{"positive.f1": x}`."""
    found: dict[str, float] = {}
    for key, value in report.items():
        found |= {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
    return found


def in_words(result: dict[str, Any]) -> str:
    """The comparison as people read it."""
    drawn = f" of {result['groups']} groups" if result["groups"] else ""
    lines = [f"{result['old']} -> {result['new']}, {result['reviews']:,} test reviews{drawn}", ""]
    lines.append(f"{'metric':<19} {'old':>7} {'new':>7} {'diff':>8}  95 % interval       verdict")
    for name, row in result["metrics"].items():
        lines.append(
            f"{name:<19} {row['old']:7.4f} {row['new']:7.4f} {row['difference']:+8.4f}  "
            f"{row['low']:+.4f} to {row['high']:+.4f}  {row['verdict']}"
        )
    test = result["mcnemar"]
    lines += [
        "",
        f"{test['only_new_right']} reviews came right, {test['only_old_right']} went wrong; "
        f"exact McNemar test of accuracy: p = {test['p']:.2g}",
        f"Verdict: {result['verdict']}",
    ]
    if result["params"]:
        lines += ["", "parameters that differ"]
        lines += [f"  {key}: {value['old']} -> {value['new']}" for key, value in result["params"].items()]
    if result["flips"]:
        lines += ["", "reviews that flipped, the largest changes first"]
        lines += [f"  now {flip['now']}, {flip['id']}: {flip['text']}" for flip in result["flips"]]
    return "\n".join(lines)


def seeds(experiments: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and range of test metrics over runs that differ in the seed alone.

    Args:
        experiments: what `dvc.api.exp_show` gives: a row a run, parameters and metrics as columns.

    Raises:
        InputError: no two runs differ in the seed alone.
    """
    # DVC puts the file before a name that two files have.
    table = experiments.rename(
        columns=lambda name: str(name).removeprefix("params.yaml:").removeprefix("metrics/test.json:")
    )
    keys = [key for key in parameters.Params.model_fields if key != "seed"]
    metrics = ["accuracy", "macro_f1", "loss"]
    missing = {*keys, "seed", *metrics} - set(table)
    if missing:
        raise InputError(f"dvc exp show has no {', '.join(sorted(missing))}; run an experiment first")
    done = table.dropna(subset=metrics)
    rows = []
    for _, runs in done.groupby([done[key].astype(str) for key in keys], sort=False):
        runs = runs.drop_duplicates("seed")
        if len(runs) < 2:
            continue
        told = {key: runs[key].iloc[0] for key in keys if done[key].astype(str).nunique() > 1}
        for name in metrics:
            value = runs[name].astype(float)
            spread = {"mean": value.mean(), "sd": value.std(), "min": value.min(), "max": value.max()}
            rows.append(told | {"metric": name, "seeds": len(runs)} | spread)
    if not rows:
        raise InputError("no two runs differ in the seed alone; try `dvc exp run --queue -S seed=1,2,3,4,5`")
    return pd.DataFrame(rows).round(4)


if __name__ == "__main__":
    errors.run(main)
