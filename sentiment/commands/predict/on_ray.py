"""Scores Parquet files of any number on the cores of this machine, or on a Ray cluster.

Ray Data reads, scores and writes in a stream; the work of a worker that dies is done again by another. Needs
`pip install -e '.[ray]'`. RAY_ADDRESS names a cluster.
"""

import logging
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa

import sentiment
from sentiment.commands.predict.scorer import Scorer
from sentiment.commands.predict.scores import as_table
from sentiment.data.formats import rows_of
from sentiment.errors import InputError, extra, reason


class Worker:
    """The scorer of one worker: Arrow batches of reviews in, `id`, `label` and `probability` out."""

    def __init__(self, where: str, **settings: Any):
        self._where, self._id, self._score = where, settings["id"], Scorer(**settings)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score a batch."""
        rows = (row for part in batch.to_batches() for row in rows_of(part))
        # A batch does not know where in its file it begins: a row is named by its id.
        named = (
            row._replace(where=f"{self._where}: id {row.values[self._id]}", before=row.number) for row in rows
        )
        scores, fault = self._score(named)
        if fault:
            raise fault
        return as_table(scores)


def score_on_ray(input: str, output: str, settings: dict[str, Any], workers: int | None, block: int) -> None:
    """Score Parquet files into a new folder.

    Args:
        input: a Parquet file or a folder of them, local, s3:// or gs://.
        output: a folder, which must not exist.
        settings: of the Scorer, by their names, and `where`, the input for errors; all workers must see the model.
        workers: processes that score; None: the cores, or GPUs, there are.
        block: rows that a worker scores at a time.

    Raises:
        InputError: the extra `ray` is missing, or whatever a worker met.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    warnings.simplefilter("ignore")  # of Ray, to whoever writes pipelines
    with extra("ray"):
        import ray
        from ray.data import DataContext, SaveMode
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    start: dict[str, Any] = {"logging_level": logging.ERROR}
    if not os.environ.get("RAY_ADDRESS"):
        # One more than there are workers, or reading would wait for a core forever.
        start |= {"num_cpus": (workers or os.cpu_count() or 1) + 1, "include_dashboard": False}
    package = str(Path(str(sentiment.__file__)).parent)
    ray.init(**start, runtime_env={"py_modules": [package]}, log_to_driver=False)
    resources = ray.cluster_resources()
    workers = workers or int(resources.get("GPU") or max(1, resources["CPU"] - 1))
    DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
    try:
        reviews = ray.data.read_parquet(input).select_columns([*settings["text"], settings["id"]])
        scores = reviews.repartition(target_num_rows_per_block=block).map_batches(
            Worker,
            fn_constructor_kwargs=settings,
            batch_size=block,
            batch_format="pyarrow",
            concurrency=workers,
            num_gpus=1 if resources.get("GPU") else None,
        )
        scores.write_parquet(output, mode=SaveMode.ERROR)
    except Exception as error:  # pyarrow has many kinds, and Ray hands on what workers raise as text alone
        lines = re.findall(r"InputError: (.*)", str(error))
        raise InputError(lines[-1] if lines else reason(error)) from error
