"""Corrections of labels: a person's verdicts on reviews, in the CSV file that `corrections` names.

Verdicts never change the labels of an evaluation set, which gets the corrected labels in another column.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from sentiment.data.labels import spelling
from sentiment.data.reader import Reader
from sentiment.data.row import Row, missing
from sentiment.errors import InputError
from sentiment.validation import shortened

Verdict = Literal["keep", "flip", "drop"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
# The columns of the file. `text_hash` is optional: without it, a changed text is not noticed.
COLUMNS = ["id", "verdict", "text_hash"]


def text_hash(text: str) -> str:
    """A short hash of a normalised review, such as `sha256:0123456789ab`.

    The prefix keeps spreadsheets from reading a hash as a number.
    """
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def read(path: Path) -> pd.DataFrame:
    """Read the verdicts in a file.

    Returns:
        One row per review: `id`, `verdict` (one of VERDICTS), `text_hash` (empty: not checked), and `place`
        (the file and row, for errors).

    Raises:
        InputError: the file is missing or damaged, lacks a column, has an unknown verdict, or has two
            verdicts on one review.
    """
    reader = Reader(path)
    reader.require("id", "verdict")
    records: dict[str, dict[str, str]] = {}
    for row in reader:
        try:
            record = _record(row)
            earlier = records.setdefault(record["id"], record)
            if earlier["verdict"] != record["verdict"]:
                where = earlier["place"].removeprefix(f"{row.where}: ")
                raise InputError(
                    f"the verdict on {shortened(record['id'])} is {record['verdict']}, but "
                    f"{earlier['verdict']} in {where}; remove one of the two rows"
                )
        except InputError as error:
            raise InputError(f"{row.place}: {error}") from None
    return pd.DataFrame(list(records.values()), columns=[*COLUMNS, "place"], dtype="str")


def _record(row: Row) -> dict[str, str]:
    """The columns of `read` for a row of the file."""
    id, value = row.value("id"), row.value("verdict")
    if missing(id) or not str(id).strip():
        raise InputError("the id is missing")
    verdict = spelling(value)
    if verdict not in VERDICTS:
        raise InputError(f"verdict {shortened(value)} is not allowed; allowed: {', '.join(VERDICTS)}")
    checked = row.values.get("text_hash")
    hash = "" if missing(checked) else str(checked).strip()
    return {"id": str(id).strip(), "verdict": verdict, "text_hash": hash, "place": row.place}


def verdicts(reviews: pd.DataFrame, path: Path) -> pd.Series:
    """The verdict on each review of a dataset; NaN: none.

    A verdict also covers other reviews with the same text and label, unless they have one of their own.

    Args:
        reviews: all reviews with labels, as `dataset.load` reads them: `id`, `text` and `label`.
        path: the file of corrections.

    Raises:
        InputError: as for `read`; a verdict is on a review that does not exist, or whose text has changed.
    """
    decided = read(path)
    by_id = reviews.drop_duplicates("id").set_index("id")
    for row in decided.itertuples():
        if row.id not in by_id.index:
            raise InputError(
                f"{row.place}: there is no review {shortened(row.id)} with a label; allowed: split "
                f"and number, such as {by_id.index[0]}; remove the row, or correct the id"
            )
        if row.text_hash and row.text_hash != text_hash(str(by_id.at[row.id, "text"])):
            raise InputError(
                f"{row.place}: the text of {row.id} has changed since the verdict; read it again and empty "
                "text_hash, or remove the row"
            )
    own = reviews["id"].map(decided.set_index("id")["verdict"])
    shared = own.groupby([reviews["text"], reviews["label"]]).transform("first")
    return own.fillna(shared).astype("str")


def applied(reviews: pd.DataFrame) -> pd.DataFrame:
    """Reviews for training with their verdicts applied: flipped labels, and without dropped reviews.

    Args:
        reviews: `label` and `verdict`. Without a column `verdict`, all reviews are returned as they are.
    """
    if "verdict" not in reviews:
        return reviews
    flipped = reviews["verdict"] == "flip"
    corrected = reviews.assign(label=reviews["label"].where(~flipped, 1 - reviews["label"]))
    return corrected[corrected["verdict"] != "drop"]


def with_corrected_labels(reviews: pd.DataFrame) -> pd.DataFrame:
    """Reviews of an evaluation set, with their own labels and, in `corrected_label`, the corrected ones.

    Args:
        reviews: `label`, and `verdict` if the dataset has corrections.

    Returns:
        The reviews as they are if there is no verdict on any of them; else with `corrected_label`: 0 or 1 as
        Int64, missing for a dropped review.
    """
    if "verdict" not in reviews:
        return reviews
    if reviews["verdict"].isna().all():
        return reviews.drop(columns="verdict")
    label = reviews["label"].astype("Int64")
    corrected = label.mask(reviews["verdict"] == "flip", 1 - label).mask(reviews["verdict"] == "drop")
    return reviews.assign(corrected_label=corrected)


def counts(splits: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """The number of reviews by split and verdict, such as {"train": {"keep": 1, "flip": 2, "drop": 0}}.

    Args:
        splits: reviews with `verdict`, before `applied`.
    """
    numbers: dict[str, dict[str, int]] = {}
    for name, rows in splits.items():
        by_verdict = rows["verdict"].value_counts()
        numbers[name] = {verdict: int(by_verdict.get(verdict, 0)) for verdict in VERDICTS}
    return numbers
