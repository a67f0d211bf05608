"""The challenge set: its wording must not reveal its labels (docs/studies/challenge-wording.md)."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from tests.conftest import ROOT

FOLDER = ROOT / "data/challenge"
TOKENS = r"\w+|[^\w\s]"


def accuracy_of_wording(reviews: pd.DataFrame) -> float:
    """Accuracy of logistic regression on words and pairs of words, trained on other films of the set."""
    vectorizer = TfidfVectorizer(
        token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), min_df=2, sublinear_tf=True
    )
    features = vectorizer.fit_transform(reviews["text"])
    positive = (reviews["label"] == "positive").to_numpy()
    probability = np.zeros(len(reviews))
    folds = GroupKFold(5, shuffle=True, random_state=0)
    for train, held_out in folds.split(features, groups=reviews["film"]):
        model = LogisticRegression(C=10, max_iter=300).fit(features[train], positive[train])
        probability[held_out] = model.predict_proba(features[held_out])[:, 1]
    return float(((probability >= 0.5) == positive).mean())


def test_wording_does_not_reveal_the_labels() -> None:
    kept, removed = (pd.read_csv(FOLDER / f"{name}.csv") for name in ("reviews", "predictable"))
    assert accuracy_of_wording(kept) < 0.6
    assert accuracy_of_wording(pd.concat([kept, removed], ignore_index=True)) > 0.8  # so it can detect it
    assert kept["label"].value_counts().to_dict() == {"positive": 512, "negative": 512}
    assert not set(kept["text"]) & set(removed["text"])
