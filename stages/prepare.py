"""Turn the dataset that params.yaml names into data/prepared/{train,validation,test}.parquet."""

import pandas as pd

from stages import errors, outputs, parameters, splits


def main() -> None:
    """Prepare the dataset and write metrics/data.json."""
    parts, dropped = splits.load(parameters.load(parameters.PrepareParams))
    with outputs.whole("data/prepared") as folder:
        folder.mkdir()
        for name, split in parts.items():
            split.drop(columns="split").to_parquet(folder / f"{name}.parquet", index=False)
    outputs.write_json("metrics/data.json", summary(parts) | dropped)
    print(", ".join(f"{name} {len(split):,}" for name, split in parts.items()), "reviews in data/prepared/")


def summary(splits: dict[str, pd.DataFrame]) -> dict[str, object]:
    """Rows, share of positive reviews, and words a review (median, 95th percentile), for each split."""
    words = {name: pd.Series([len(text.split()) for text in split["text"]]) for name, split in splits.items()}
    return {
        "rows": {name: len(split) for name, split in splits.items()},
        "positive_share": {name: float(split["label"].mean()) for name, split in splits.items()},
        "words_median": {name: float(count.median()) for name, count in words.items()},
        "words_p95": {name: float(count.quantile(0.95)) for name, count in words.items()},
    }


if __name__ == "__main__":
    errors.run(main)
