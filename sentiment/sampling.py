"""Stratified sampling of training reviews."""

import pandas as pd

from sentiment.errors import InputError, reason
from sentiment.labels import LABELS


def capped(rows: pd.DataFrame, most: int | None, seed: int) -> pd.DataFrame:
    """Draw at most `most` rows, stratified by class, in their original order; None draws all.

    Raises:
        InputError: so few are drawn or left out that a class would have none.
    """
    if most is None or most >= len(rows):
        return rows
    from sklearn.model_selection import train_test_split  # late: this takes as long as all else

    fault = f"params.yaml: max_train_reviews: cannot draw {most} of {len(rows)} reviews, stratified by class"
    try:
        if len(rows) - most < len(LABELS):  # train_test_split cannot leave out fewer reviews than classes
            drawn = rows.sample(most, random_state=seed).index
        else:
            drawn, _ = train_test_split(
                rows.index, train_size=most, stratify=rows["label"], random_state=seed
            )
    except ValueError as error:
        raise InputError(f"{fault}: {reason(error)}") from None
    if rows.loc[drawn, "label"].nunique() < len(LABELS):
        raise InputError(f"{fault}: all would be of one class")
    return rows.loc[sorted(drawn)]
