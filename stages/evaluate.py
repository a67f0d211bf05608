"""Evaluates models/classifier/ on the test split and the challenge set: metrics, predictions and plots."""

import time

import pandas as pd

from sentiment import atomic, stage_runner
from sentiment.classifier import unknown_tokens_warning
from sentiment.evaluation import plots
from sentiment.evaluation.hf_metric import SentimentMetrics
from sentiment.evaluation.mistakes import as_markdown, worst_mistakes
from sentiment.metrics.metrics_file import compute_with_intervals, metrics_json, with_interval
from sentiment.model.saved import load_transformer
from sentiment.params import EvaluateParams
from sentiment.progress import Progress


def main() -> None:
    """Score both sets of reviews once, and write everything that depends on the predictions."""
    classifier = load_transformer("models/classifier", EvaluateParams.load().precision)
    scored = {name: pd.read_parquet(f"data/prepared/{name}.parquet") for name in ("test", "challenge")}
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

    with atomic.replacing("metrics/predictions") as folder:
        folder.mkdir()
        for name, rows in scored.items():
            rows[["id", "label", "probability"]].to_parquet(folder / f"{name}.parquet", index=False)
        (folder / "mistakes.md").write_text(as_markdown(worst_mistakes(scored["test"])), encoding="utf-8")
    with atomic.replacing("metrics/plots") as folder:
        folder.mkdir()
        for name, table in plots.tables(scored["test"]).items():
            table.round(6).to_csv(folder / f"{name}.csv", index=False)
    for name, rows in scored.items():
        values = SentimentMetrics().compute(predictions=rows["probability"], references=rows["label"])
        metrics = compute_with_intervals(rows, rows["probability"].to_numpy(), values)
        atomic.write_json(f"metrics/{name}.json", metrics_json(metrics))
        print(f"{name} accuracy {with_interval(metrics)}")
    rate = sum(map(len, scored.values())) / seconds
    atomic.write_json("metrics/speed/evaluate.json", {"seconds": seconds, "reviews_per_second": rate})


if __name__ == "__main__":
    stage_runner.run(main, "evaluate")
