"""Exports models/classifier/ to ONNX for CPUs, and measures its accuracy, size and speed.

usage: python -m stages.export {int8,fp32}

Writes models/int8/ and its metrics and predictions on all evaluation sets, or fp32. Not part of the default
run: `dvc exp run -S 'exports=[int8]'`.
"""

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.classifier import Classifier
from sentiment.metrics import evaluation_sets
from sentiment.metrics.metrics_file import accuracy_change
from sentiment.model.saved import load_transformer
from sentiment.model.transformer import load_weights
from sentiment.onnx import graph
from sentiment.onnx.runtime import OnnxClassifier
from sentiment.params import Params
from sentiment.progress import Progress

SOURCE = Path("models/classifier")
TIMED_REVIEWS = 128  # scored by both models, to compare their speed


def main() -> None:
    """Export the model, score all evaluation sets with it, and compare the scores with those of evaluate."""
    precision = sys.argv[1]
    target = Path("models", precision)
    Params.load()
    fine_tuned = load_transformer(SOURCE)
    scored = evaluation_sets.read_all()
    test, reviews = scored["test"], sum(map(len, scored.values()))
    sampled = test["text"].sample(min(TIMED_REVIEWS, len(test)), random_state=0).tolist()
    before = seconds_to_score(fine_tuned, sampled)

    with atomic.replacing(target) as folder:
        shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
        graph.write(load_weights(SOURCE), folder / "model.onnx", precision)
    exported = OnnxClassifier(target)
    ratio = before / seconds_to_score(exported, sampled)
    started = time.perf_counter()
    with Progress(f"scoring in {precision}", reviews) as bar:
        for rows in scored.values():
            rows["probability"] = exported.probabilities(rows["text"].tolist(), bar.update)
    seconds = time.perf_counter() - started

    extra: dict[str, dict[str, Any]] = {}
    for name, rows in scored.items():
        evaluated = pd.read_parquet(f"metrics/predictions/classifier/{name}.parquet")["probability"]
        extra[name] = accuracy_change(rows, evaluated.to_numpy(), rows["probability"].to_numpy())
    for name, path in {"megabytes": target, "megabytes_fine_tuned": SOURCE}.items():
        extra["test"][name] = round(sum(file.stat().st_size for file in path.iterdir()) / 1e6, 1)
    metrics = evaluation_sets.write(precision, scored, extra=extra)["test"]
    speed = {"seconds": seconds, "reviews_per_second": reviews / seconds, "times_fine_tuned": ratio}
    atomic.write_json(f"metrics/speed/{precision}.json", speed)
    print(
        f"{precision}: test accuracy {metrics['accuracy']:.4f}, {metrics['accuracy_change']:+.4f} "
        f"({metrics['accuracy_change_low']:+.4f} to {metrics['accuracy_change_high']:+.4f}); "
        f"{metrics['flipped']} of {len(test):,} predictions flipped; "
        f"{metrics['megabytes']} MB instead of {metrics['megabytes_fine_tuned']}, {ratio:.1f} times the speed"
    )


def seconds_to_score(classifier: Classifier, texts: list[str]) -> float:
    """Seconds that a classifier takes to score these reviews."""
    started = time.perf_counter()
    classifier.probabilities(texts)
    return time.perf_counter() - started


if __name__ == "__main__":
    stage_runner.run(main, f"export@{sys.argv[1]}")
