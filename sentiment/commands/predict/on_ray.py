"""Scores any number of Parquet files with Ray Data, on the cores of this machine or on a Ray cluster.

Ray Data reads, scores and writes in a stream. If a worker dies, another one repeats its work. Needs
`pip install -e '.[ray]'`. RAY_ADDRESS names a cluster.
"""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

import sentiment
from sentiment.classifier import check_exists
from sentiment.commands.predict.output import as_table
from sentiment.commands.predict.scorer import Scorer
from sentiment.commands.predict.settings import Settings
from sentiment.commands.predict.steps import MAX_ROWS
from sentiment.data.formats import rows_of
from sentiment.data.row import Row
from sentiment.errors import InputError, extra, reason
from sentiment.params import scoring_precision


class Worker:
    """Scores Arrow batches of reviews in a process of its own: `id`, `label` and `probability`.

    Args:
        input: the path of the files, for error messages.
        options: the arguments of the Scorer, by name.
    """

    def __init__(self, input: str, **options: Any):
        self._input, self._id = input, options["id"]
        self._score = Scorer(**options)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score a batch."""
        scores, fault = self._score(self._rows(batch))
        if fault:
            raise fault
        return as_table(scores)

    def _rows(self, batch: pa.Table) -> Iterator[Row]:
        """The rows, named by their ids, because a batch does not know its place in its file."""
        for part in batch.to_batches():
            for row in rows_of(part):
                yield row._replace(where=f"{self._input}: id {row.values[self._id]}", before=row.number)


def predict_on_ray(settings: Settings) -> None:
    """Score Parquet files, local, s3:// or gs://, into a new folder.

    All workers must be able to read the model.

    Raises:
        InputError: the extra `ray` is missing, or a worker failed.
    """
    options: dict[str, Any] = {
        "model": str(settings.model.resolve()),
        "precision": scoring_precision(),
        "text": settings.columns,
        "id": settings.id or "id",
        "skip": settings.skip_faults,
    }
    check_exists(settings.model)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    warnings.simplefilter("ignore")  # Ray's, meant for developers
    with extra("ray"):
        import ray
        from ray.data import DataContext, SaveMode
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    connect(settings.workers)
    resources = ray.cluster_resources()
    workers = settings.workers or int(resources.get("GPU") or max(1, resources["CPU"] - 1))
    rows = settings.window or MAX_ROWS
    DataContext.get_current().enable_progress_bars = sys.stderr.isatty()
    try:
        reviews = ray.data.read_parquet(settings.input).select_columns([*options["text"], options["id"]])
        scores = reviews.repartition(target_num_rows_per_block=rows).map_batches(
            Worker,
            fn_constructor_kwargs={"input": settings.input, **options},
            batch_size=rows,
            batch_format="pyarrow",
            concurrency=workers,
            num_gpus=1 if resources.get("GPU") else None,
        )
        scores.write_parquet(settings.output, mode=SaveMode.ERROR)
    except Exception as error:  # pyarrow has many types, and Ray passes on the errors of workers only as text
        lines = re.findall(r"InputError: (.*)", str(error))
        raise InputError(lines[-1] if lines else reason(error)) from error


def connect(workers: int | None) -> None:
    """Connect to the cluster that RAY_ADDRESS names, or start one on this machine."""
    import ray

    options: dict[str, Any] = {"logging_level": logging.ERROR}
    if not os.environ.get("RAY_ADDRESS"):
        # One core more than there are workers; otherwise reading would wait for a core forever.
        options |= {"num_cpus": (workers or os.cpu_count() or 1) + 1, "include_dashboard": False}
    package = str(Path(str(sentiment.__file__)).parent)
    ray.init(**options, runtime_env={"py_modules": [package]}, log_to_driver=False)
