"""Score Parquet files of any number on the cores of this machine, or on a Ray cluster, with the code of predict.

python -m stages.predict_ray --input s3://bucket/reviews/ --output s3://bucket/scores/

Ray Data reads, scores and writes in a stream; the work of a worker that dies is done again by another. Needs
`pip install -e '.[ray]'`. RAY_ADDRESS names a cluster.
"""

import argparse
import logging
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from stages import errors, parameters, predict, streams
from stages.errors import InputError


class Scorer:
    """The predictor of one worker: Arrow batches of reviews in, `id`, `label` and `probability` out.

    Args:
        model: folder of the model, which every worker sees.
        precision: `auto`, `bf16` or `fp32`.
        text: column with the review.
        id: column with its id.
        skip: leave rows with a fault out; else the first raises an InputError.
    """

    def __init__(self, model: str, precision: str, text: str, id: str, skip: bool):
        self._predictor = predict.Predictor(model, precision)
        self._text, self._id, self._skip = text, id, skip

    def __call__(self, batch: pa.Table) -> pd.DataFrame:
        """Score a batch."""
        found = []
        for part in batch.to_batches():
            for row in map(predict.normalised, streams.rows_of(part, self._text, self._id)):
                if not row.fault:
                    found.append(row)
                elif not self._skip:
                    raise InputError(f"{self._id} {row.id}: {row.fault} (--on-error skip leaves such rows out)")
        return self._predictor(found)


def main() -> None:
    """Score what the command line names."""
    chosen = arguments()
    precision = parameters.load(parameters.PrecisionParams).precision
    if not (chosen.model / "config.json").is_file():
        raise InputError(f"{chosen.model}: no classifier there; `dvc repro` trains one, `dvc pull` fetches one")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    warnings.simplefilter("ignore")  # of Ray, to whoever writes pipelines
    with errors.extra("ray"):
        import ray
        from ray.data import DataContext, SaveMode
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    start: dict[str, Any] = {"logging_level": logging.ERROR}
    if not os.environ.get("RAY_ADDRESS"):
        # One more than there are workers, or reading would wait for a core forever.
        start |= {"num_cpus": (chosen.workers or os.cpu_count() or 1) + 1, "include_dashboard": False}
    ray.init(**start, runtime_env={"py_modules": [str(Path(__file__).parent)]}, log_to_driver=False)
    resources = ray.cluster_resources()
    workers = chosen.workers or int(resources.get("GPU") or max(1, resources["CPU"] - 1))
    DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
    try:
        reviews = ray.data.read_parquet(chosen.input).select_columns([chosen.text, chosen.id])
        scores = reviews.repartition(target_num_rows_per_block=chosen.window).map_batches(
            Scorer,
            fn_constructor_args=(
                str(chosen.model.resolve()),
                precision,
                chosen.text,
                chosen.id,
                chosen.on_error == "skip",
            ),
            batch_size=chosen.window,
            batch_format="pyarrow",
            concurrency=workers,
            num_gpus=1 if resources.get("GPU") else None,
        )
        scores.write_parquet(chosen.output, mode=SaveMode.ERROR)
    except Exception as error:  # pyarrow has many kinds, and Ray hands on what workers raise as text alone
        told = re.findall(r"InputError: (.*)", str(error))
        raise InputError(told[-1] if told else errors.reason(error)) from error


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.predict_ray", description=str(__doc__).splitlines()[0])
    add = parser.add_argument
    add("--input", required=True, metavar="PATH", help="a Parquet file or a folder of them, local, s3:// or gs://")
    add("--output", required=True, metavar="PATH", help="a folder, which must not exist")
    add("--text", default="text", metavar="COLUMN", help="column with the review (text)")
    add("--id", default="id", metavar="COLUMN", help="column with its id (id)")
    add("--on-error", choices=["stop", "skip"], default="stop", help="what to do at a row with a fault (stop)")
    add("--workers", type=int, metavar="N", help="processes that score (the cores, or GPUs, there are)")
    add("--window", type=int, default=8192, metavar="ROWS", help="rows that a worker scores at a time (8192)")
    add(
        "--model",
        type=Path,
        default="models/classifier",
        metavar="FOLDER",
        help="seen by every worker (models/classifier)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    errors.run(main)
