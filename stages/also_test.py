"""Prepares an evaluation set beside the test split: writes data/also_test/NAME.parquet.

The argument of stages.also_test is NAME, a dataset in data/ of which only the test split is used.
"""

import sys

from sentiment import atomic, stage_runner
from sentiment.data import also_test


def main() -> None:
    """Read and check the test split of the dataset, and write it."""
    name = sys.argv[1]
    reviews = also_test.load(name)
    with atomic.replacing(also_test.path(name)) as path:
        reviews.drop(columns="split").to_parquet(path, index=False)
    print(f"{also_test.path(name)}: {len(reviews):,} reviews to evaluate on")


if __name__ == "__main__":
    stage_runner.run(main, f"also_test@{sys.argv[1]}")
