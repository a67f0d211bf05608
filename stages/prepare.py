"""Splits the dataset that params.yaml names, without what it shares with evaluation sets: data/prepared/."""

import pandas as pd

from sentiment import atomic, progress, stage_runner
from sentiment.data import also_test, splits
from sentiment.params import PrepareParams


def main() -> None:
    """Prepare the dataset, and write metrics/data.json."""
    params = PrepareParams.load()
    prepared, dropped, in_also_test = splits.split_dataset(params, also_test.read_prepared(params.also_test))
    shared = splits.shared_groups(prepared)
    with atomic.replacing("data/prepared") as folder:
        folder.mkdir()
        for name, rows in prepared.items():
            rows.drop(columns="split", errors="ignore").to_parquet(folder / f"{name}.parquet", index=False)
    counts = summary(prepared) | dropped
    held_out = 0
    if "held_out" in prepared["unlabelled"]:
        held_out = counts["unlabelled_held_out"] = int(prepared["unlabelled"]["held_out"].sum())
    atomic.write_json("metrics/data.json", {**counts, "also_test_dropped": in_also_test, **shared})
    sizes = {name: len(rows) for name, rows in prepared.items() if len(rows)}
    print(", ".join(f"{name} {rows:,}" for name, rows in sizes.items()), "reviews in data/prepared/")
    if prepared["train"].empty:
        print("there are no labelled training reviews: teachers label the unlabelled ones")
    if held_out:
        print(f"{held_out:,} of the unlabelled reviews are held out for validation, with labels by teachers")
    elif (prepared["validation"]["split"] == "validation").all():
        print("validation is the dataset's own split; validation_size is not used")
    for name, count in in_also_test.items():
        if count:
            print(f"dropped from training: {count:,} reviews that also occur in data/{name}")
    for key, count in shared.items():
        print(
            f"warning: {count:,} {key.replace('_', ' ')}; scores on reviews of shared groups may be too high"
        )


def summary(prepared: dict[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    """Rows, share of positive reviews, and words per review (median, 95th percentile) in each split."""
    figures: dict[str, dict[str, float]] = {
        "rows": {},
        "positive_share": {},
        "words_median": {},
        "words_p95": {},
    }
    with progress.Progress("counting words", sum(map(len, prepared.values()))) as bar:
        for name, rows in prepared.items():
            if not len(rows):
                continue
            words = pd.Series([len(text.split()) for text in progress.each(rows["text"], bar.update)])
            figures["rows"][name] = len(rows)
            if "label" in rows:
                figures["positive_share"][name] = float(rows["label"].mean())
            figures["words_median"][name] = float(words.median())
            figures["words_p95"][name] = float(words.quantile(0.95))
    return figures


if __name__ == "__main__":
    stage_runner.run(main, "prepare")
