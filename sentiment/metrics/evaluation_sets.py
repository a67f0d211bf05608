"""The evaluation sets, and the files with the metrics and predictions of one model on all of them.

The evaluation sets are the test split and the datasets in `also_test` of params.yaml.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sentiment import atomic
from sentiment.metrics.classification import compute
from sentiment.metrics.metrics_file import compute_with_intervals, metrics_json

TEST = Path("data/prepared/test.parquet")
ALSO_TEST = Path("data/also_test")
# Git keeps no empty folders: without further sets, a folder of metrics contains this file with `{}`.
NO_SETS = "none.json"

# The file in a folder of predictions that says why there are none.
UNAVAILABLE = "unavailable.txt"
NO_LABELS = "not available: the dataset has no labelled training reviews"

# Metrics by name from labels and probabilities of POSITIVE, as `classification.compute`.
Compute = Callable[[np.ndarray, np.ndarray], dict[str, float]]


def read_all() -> dict[str, pd.DataFrame]:
    """The prepared reviews of each evaluation set by name: `test`, then those of `also_test` by name."""
    return {name: pd.read_parquet(path) for name, path in _files().items()}


def _files() -> dict[str, Path]:
    """The file with the prepared reviews of each evaluation set, by name."""
    return {"test": TEST, **{path.stem: path for path in sorted(ALSO_TEST.glob("*.parquet"))}}


def metrics_path(model: str, reviews: str) -> Path:
    """The file with the metrics of a model on an evaluation set; the fine-tuned model is `classifier`."""
    if reviews == "test":
        return Path("metrics", "test.json" if model == "classifier" else f"{model}.json")
    return Path("metrics/sets", model, f"{reviews}.json")


def write(
    model: str,
    scored: Mapping[str, pd.DataFrame],
    *,
    extra: Mapping[str, Mapping[str, Any]] | None = None,
    files: Mapping[str, pd.DataFrame | str] | None = None,
    compute: Compute = compute,
) -> dict[str, dict[str, Any]]:
    """Write the metrics and predictions of one model on all evaluation sets.

    Writes metrics/<model>.json (test.json for the classifier), metrics/sets/<model>/ and
    metrics/predictions/<model>/, as dvc.yaml declares them.

    Args:
        model: `baseline`, `probe`, `classifier`, `blend`, `int8` or `fp32`.
        scored: the result of `read_all`, with `probability` (of POSITIVE) in each frame.
        extra: by evaluation set, further values for its metrics.
        files: by name, further files of the folder of predictions: text, or reviews with `probability`.
        compute: computes the metrics by name, as `classification.compute`.

    Returns:
        The metrics by evaluation set, as `compute_with_intervals` returns them, and `extra`.
    """
    metrics: dict[str, dict[str, Any]] = {}
    for name, rows in scored.items():
        probability = rows["probability"].to_numpy()
        values = compute(rows["label"].to_numpy(), probability)
        metrics[name] = compute_with_intervals(rows, probability, values)
        metrics[name] |= (extra or {}).get(name, {})

    with atomic.replacing(predictions_folder(model)) as folder:
        folder.mkdir()
        for name, rows in scored.items():
            _write_predictions(rows, folder / f"{name}.parquet")
        for name, content in (files or {}).items():
            if isinstance(content, str):
                (folder / name).write_text(content, encoding="utf-8")
            else:
                _write_predictions(content, folder / name)
    _write_metrics(model, {name: metrics_json(values) for name, values in metrics.items()})
    return metrics


def write_unavailable(model: str, why: str) -> None:
    """Write the files of `write` for a model that cannot score reviews, so that each says why.

    In the metrics of each evaluation set, this text takes the place of `accuracy` in `details`. DVC shows no
    figures.

    Args:
        model: `baseline`, `probe` or `blend`.
        why: the reason, such as NO_LABELS.
    """
    with atomic.replacing(predictions_folder(model)) as folder:
        folder.mkdir()
        (folder / UNAVAILABLE).write_text(f"{why}\n", encoding="utf-8")
    _write_metrics(model, {name: {"details": [{"accuracy": why}]} for name in _files()})


def why_unavailable(model: str) -> str | None:
    """The reason that `write_unavailable` wrote for a model; None if the model scored reviews."""
    path = predictions_folder(model) / UNAVAILABLE
    return path.read_text(encoding="utf-8").strip() if path.exists() else None


def predictions_folder(model: str) -> Path:
    """The folder with the predictions of a model, a file for each evaluation set."""
    return Path("metrics/predictions", model)


def _write_metrics(model: str, content: Mapping[str, dict[str, Any]]) -> None:
    """Write the metrics JSON of a model on each evaluation set."""
    with atomic.replacing(Path("metrics/sets", model)) as folder:
        folder.mkdir()
        others = {f"{name}.json": values for name, values in content.items() if name != "test"}
        for name, values in (others or {NO_SETS: {}}).items():
            atomic.write_json(folder / name, values)
    atomic.write_json(metrics_path(model, "test"), content["test"])


def _write_predictions(scored: pd.DataFrame, path: Path) -> None:
    scored[["id", "label", "probability"]].to_parquet(path, index=False)


def in_words(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """The accuracy on each evaluation set: `accuracy test 0.9704, challenge 0.7357`."""
    return "accuracy " + ", ".join(f"{name} {values['accuracy']:.4f}" for name, values in metrics.items())
