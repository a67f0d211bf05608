"""A person's verdicts on suspects, in the dataset's file of corrections, which may also be edited by hand."""

import csv
import threading

from sentiment import atomic
from sentiment.data import corrections
from sentiment.data.corrections import COLUMNS, Verdict
from sentiment.data.reader import Reader
from sentiment.data.schema import DATA, read_source


class Decisions:
    """The verdicts in a dataset's file of corrections. Each one is written as soon as it is made.

    The file is read again each time, so that changes by others while the page is open are kept.

    Args:
        name: the folder in data/.

    Attributes:
        path: the file that `corrections` in dataset.yaml names, or corrections.csv.
        to_apply: how to apply the verdicts, as Markdown.

    Raises:
        InputError: the dataset or the file has a fault. Methods raise it if the file has one by then.
    """

    def __init__(self, name: str):
        source, folder = read_source(name), DATA / name
        self.path = folder / (source.corrections or "corrections.csv")
        self._lock = threading.Lock()
        self.to_apply = f"commit {self.path} with Git, and run `dvc repro`"
        if not source.corrections:
            line = f"`corrections: {self.path.name}`"
            self.to_apply = f"add the line {line} to {folder / 'dataset.yaml'}, {self.to_apply}"
        self.by_id()

    def by_id(self) -> dict[str, str]:
        """The verdict on each review, by its id."""
        if not self.path.exists():
            return {}
        decided = corrections.read(self.path)
        return dict(zip(decided["id"], decided["verdict"], strict=True))

    def decide(self, id: str, verdict: Verdict, text: str) -> None:
        """Write a verdict on a review; it replaces an earlier one. Other columns of the file are kept.

        Args:
            id: of the review.
            verdict: the verdict.
            text: the normalised review, whose hash the file records.
        """
        with self._lock:
            rows: list[dict[str, str]] = []
            if self.path.exists():
                corrections.read(self.path)  # raises if the file has a fault
                rows = [dict(row.values) for row in Reader(self.path)]
            decided = {"id": id, "verdict": verdict, "text_hash": corrections.text_hash(text)}
            replaced = [row for row in rows if row["id"].strip() == id]
            for row in replaced:
                row.update(decided)
            if not replaced:
                rows.append(decided)
            columns = list(dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)]))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with (
                atomic.replacing(self.path) as partial,
                partial.open("w", encoding="utf-8", newline="") as file,
            ):
                writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
