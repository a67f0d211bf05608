"""Sampling of training reviews by class."""

import pandas as pd

from sentiment.errors import InputError, reason
from sentiment.labels import LABELS


def capped(rows: pd.DataFrame, most: int | None, seed: int) -> pd.DataFrame:
    """All rows (`most` is None or no fewer than they are), or `most` of them, both classes alike, in their order.

    Raises:
        InputError: so few are drawn, or left, that a class would have none.
    """
    if most is None or most >= len(rows):
        return rows
    from sklearn.model_selection import train_test_split  # late: as above

    drawn = f"params.yaml: max_train_reviews: {most}, drawn by class of {len(rows)}"
    try:
        if len(rows) - most < len(LABELS):  # too few for train_test_split to leave out by class
            kept = rows.sample(most, random_state=seed).index
        else:
            kept, _ = train_test_split(rows.index, train_size=most, stratify=rows["label"], random_state=seed)
    except ValueError as error:
        raise InputError(f"{drawn}, cannot be: {reason(error)}") from None
    if rows.loc[kept, "label"].nunique() < len(LABELS):
        raise InputError(f"{drawn}, are all of one class")
    return rows.loc[sorted(kept)]
