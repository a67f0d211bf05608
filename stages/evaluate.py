"""Evaluates models/classifier/ on all evaluation sets: metrics, predictions and plots."""

import time

import numpy as np

from sentiment import atomic, stage_runner
from sentiment.classifier import unknown_tokens_warning
from sentiment.evaluation import plots
from sentiment.evaluation.hf_metric import SentimentMetrics
from sentiment.evaluation.mistakes import as_markdown, worst_mistakes
from sentiment.metrics import evaluation_sets
from sentiment.metrics.metrics_file import with_interval
from sentiment.model.saved import load_transformer
from sentiment.params import EvaluateParams
from sentiment.progress import Progress


def main() -> None:
    """Score each set of reviews once, and write everything that depends on the predictions."""
    classifier = load_transformer("models/classifier", EvaluateParams.load().precision)
    scored = evaluation_sets.read_all()
    tokens = unknown = 0
    started = time.perf_counter()
    with Progress("scoring", sum(map(len, scored.values()))) as bar:
        for rows in scored.values():
            scores = classifier.score(rows["text"].tolist(), bar.update)
            rows["probability"] = scores.probabilities
            tokens += scores.tokens
            unknown += scores.unknown
    seconds = time.perf_counter() - started
    if warning := unknown_tokens_warning(tokens, unknown):
        print(warning)

    mistakes = as_markdown(worst_mistakes(scored["test"]))
    metrics = evaluation_sets.write(
        "classifier", scored, files={"mistakes.md": mistakes}, compute=with_package_evaluate
    )
    with atomic.replacing("metrics/plots") as folder:
        folder.mkdir()
        tables = plots.tables(scored["test"]) | {"sets": plots.accuracy_by_set(scored)}
        for name, table in tables.items():
            table.round(6).to_csv(folder / f"{name}.csv", index=False)
    for name, values in metrics.items():
        print(f"{name} accuracy {with_interval(values)}")
    rate = sum(map(len, scored.values())) / seconds
    atomic.write_json("metrics/speed/evaluate.json", {"seconds": seconds, "reviews_per_second": rate})


def with_package_evaluate(truth: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """All metrics from label indices and probabilities of POSITIVE, computed by the package `evaluate`."""
    values = SentimentMetrics().compute(predictions=probability, references=truth)
    return dict(values or {})


if __name__ == "__main__":
    stage_runner.run(main, "evaluate")
