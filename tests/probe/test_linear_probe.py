"""The linear probe with the real MiniLM weights: what it learns, and how its regularisation is chosen."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from sentiment.pretrained import sources
from sentiment.probe import linear_probe
from tests.architectures import reviews
from tests.probe.test_features import mean_pooled


@pytest.fixture(scope="module")
def splits() -> list[pd.DataFrame]:
    """Reviews to fit on, to choose the regularisation, and to test."""
    labelled = reviews()[["text", "label"]].assign(label=reviews()["label"].eq("positive").astype(int))
    return [labelled[:300], labelled[300:400], labelled[400:]]


def test_it_separates_the_classes_and_is_deterministic(splits: list[pd.DataFrame]) -> None:
    train, validation, test = splits
    torch.manual_seed(0)
    probe, strength = linear_probe.fit(mean_pooled(sources.PACKAGED, 32), train, validation)
    probability = probe.probabilities(test["text"].tolist())
    assert ((probability >= 0.5) == test["label"]).mean() > 0.6  # of 32 tokens per review

    torch.manual_seed(1)  # another classification head, which the probe does not use
    again, same_strength = linear_probe.fit(mean_pooled(sources.PACKAGED, 32), train, validation)
    assert same_strength == strength
    assert again.probabilities(test["text"].tolist()).tobytes() == probability.tobytes()


def test_the_regularisation_has_the_lowest_validation_loss(splits: list[pd.DataFrame]) -> None:
    train, validation, test = splits
    pooled = mean_pooled(sources.PACKAGED, 32)
    probe, strength = linear_probe.fit(pooled, train, validation)
    scaler = StandardScaler().fit(pooled.features(train["text"].tolist()))
    fitted, held_out, tested = (scaler.transform(pooled.features(rows["text"].tolist())) for rows in splits)
    losses, probabilities = {}, {}
    for value in linear_probe.STRENGTHS:
        regression = LogisticRegression(C=value, max_iter=1000).fit(fitted, train["label"])
        losses[value] = log_loss(validation["label"], regression.predict_proba(held_out))
        probabilities[value] = regression.predict_proba(tested)[:, 1]
    assert strength == min(losses, key=lambda value: losses[value])
    assert min(linear_probe.STRENGTHS) < strength < max(linear_probe.STRENGTHS)
    scores = probe.score(test["text"].tolist())
    np.testing.assert_allclose(scores.probabilities, probabilities[strength], atol=1e-3)
    assert scores.tokens > 10 * len(test)
