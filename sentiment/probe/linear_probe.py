"""Linear probe: logistic regression on the frozen features of a pretrained model (Alain and Bengio 2016).

It shows how well a model separates the classes before fine-tuning (arXiv 1610.01644).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sentiment import progress
from sentiment.classifier import Classifier, Scores
from sentiment.model.scoring import BLOCK
from sentiment.probe.features import MeanPooled
from sentiment.progress import Advance

# Inverse regularisation, for features of variance 1; the validation split chooses one.
STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)


class LinearProbe(Classifier):
    """Scores reviews by logistic regression on the features of a frozen model.

    Args:
        pooled: computes the features.
        regression: fitted on features of the training reviews.
    """

    def __init__(self, pooled: MeanPooled, regression: Pipeline):
        self.pooled, self.regression = pooled, regression
        self.independent = pooled.independent

    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        """Score normalised reviews, at least one.

        Args:
            texts: the reviews, as `data.text.normalise` returns them.
            advance: is called with the number of reviews scored since its last call.

        Raises:
            InputError: there is too little memory for even one review.
        """
        probabilities = []
        tokens = unknown = 0
        for start in range(0, len(texts), BLOCK):
            encoded = self.pooled.encoder(texts[start : start + BLOCK])
            features = self.pooled.outputs(encoded.ids, advance)
            probabilities.append(probabilities_of_features(self.regression, features))
            tokens += encoded.tokens
            unknown += encoded.unknown
        return Scores(np.concatenate(probabilities), tokens, unknown)


def fit(
    pooled: MeanPooled, train: pd.DataFrame, validation: pd.DataFrame, advance: Advance = progress.ignore
) -> tuple[LinearProbe, float]:
    """Fit one regression per value of STRENGTHS, and choose the one with the lowest validation loss.

    Args:
        pooled: computes the features.
        train: prepared reviews: `text`, and `label`, an index into LABELS.
        validation: the same.
        advance: is called with the number of reviews done since its last call.

    Returns:
        The probe, and its inverse regularisation.

    Raises:
        InputError: there is too little memory for even one review.
    """
    features = pooled.features(train["text"].tolist(), advance)
    held_out = pooled.features(validation["text"].tolist(), advance)
    losses = {}
    for strength in STRENGTHS:
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        with threadpool_limits(1):  # several threads would add in another order
            regression.fit(features.astype(np.float64), train["label"])
        loss = log_loss(validation["label"], probabilities_of_features(regression, held_out), labels=[0, 1])
        losses[strength] = loss, regression
    strength = min(losses, key=lambda strength: losses[strength][0])
    return LinearProbe(pooled, losses[strength][1]), strength


def probabilities_of_features(regression: Pipeline, features: np.ndarray) -> np.ndarray:
    """Probabilities of POSITIVE, float64 array of shape (reviews,).

    Args:
        regression: fitted.
        features: shape (reviews, numbers per review).
    """
    with threadpool_limits(1):
        probabilities: np.ndarray = regression.predict_proba(features.astype(np.float64))[:, 1]
    return probabilities
