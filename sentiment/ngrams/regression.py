"""Baseline: TF-IDF n-grams with naive-Bayes weights and logistic regression.

The weighted features are those of Wang and Manning 2012 ("Baselines and Bigrams", ACL), with logistic
regression instead of the SVM because it gives probabilities.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, diags
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from sentiment import progress
from sentiment.classifier import Classifier, Scores
from sentiment.errors import InputError
from sentiment.progress import Advance

# Features are hashed: a vocabulary would be larger than the model.
FEATURES = 2**21
BLOCK = 10_000  # reviews whose features are in memory at the same time
STRENGTHS = (10.0, 100.0, 1000.0, 10_000.0)  # inverse regularisation; the validation split chooses one
# Time to fit one regression, relative to counting the n-grams: the mean over STRENGTHS on IMDb.
FIT_TIME = 2.4


class BaselineClassifier(Classifier):
    """Scores reviews with the n-gram baseline: n-gram counts, TF-IDF, and logistic regression.

    Args:
        tfidf: fitted on n-gram counts.
        regression: fitted on TF-IDF features.
    """

    independent = True

    def __init__(self, tfidf: TfidfTransformer, regression: LogisticRegression):
        self.tfidf, self.regression = tfidf, regression

    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        """Score normalised reviews, at least one. Hashed n-grams have no unknown tokens, so none are counted.

        Args:
            texts: the reviews, as `data.text.normalise` returns them.
            advance: is called with the number of reviews scored since its last call.
        """
        probabilities: list[np.ndarray] = []
        for start in range(0, len(texts), BLOCK):
            counts = ngram_counts(progress.each(texts[start : start + BLOCK], advance))
            probabilities.append(self.regression.predict_proba(self.tfidf.transform(counts))[:, 1])
        return Scores(np.concatenate(probabilities))


def ngram_counts(texts: Iterable[str]) -> csr_matrix:
    """Counts of hashed n-grams of 1 to 3 words or punctuation marks: float32 matrix (reviews, FEATURES)."""
    vectorizer = HashingVectorizer(
        n_features=FEATURES,
        ngram_range=(1, 3),
        token_pattern=r"\w+|[^\w\s]",
        alternate_sign=False,
        norm=None,
        dtype=np.float32,
    )
    return vectorizer.transform(texts)


def work(train: pd.DataFrame, validation: pd.DataFrame) -> float:
    """Duration of `fit`, in units of scoring one review, for the progress bar."""
    return len(train) * (1 + FIT_TIME * len(STRENGTHS)) + len(validation)


def fit(
    train: pd.DataFrame, validation: pd.DataFrame, advance: Advance = progress.ignore
) -> tuple[BaselineClassifier, float]:
    """Fit one baseline per value of STRENGTHS, and choose the one with the lowest validation loss.

    Args:
        train: prepared reviews: `text`, and `label`, an index into LABELS.
        validation: the same.
        advance: is called with the part of `work` done since its last call.

    Returns:
        The baseline, and its inverse regularisation.
    """
    tfidf = TfidfTransformer(sublinear_tf=True)
    label = train["label"].to_numpy()
    unweighted = tfidf.fit_transform(ngram_counts(progress.each(train["text"], advance)))
    weight = naive_bayes_weight(unweighted, label)
    # In float64, because liblinear would otherwise convert a copy for each strength.
    weighted = (unweighted @ diags(weight)).astype(np.float64)
    del unweighted  # frees memory
    held_out = tfidf.transform(ngram_counts(progress.each(validation["text"], advance))) @ diags(weight)
    losses = {}
    for strength in STRENGTHS:
        regression = LogisticRegression(C=strength, solver="liblinear", random_state=0)
        with threadpool_limits(1):  # several threads would add in another order, and are no faster
            regression.fit(weighted, label)
        losses[strength] = log_loss(validation["label"], regression.predict_proba(held_out)), regression
        advance(FIT_TIME * len(train))
    strength = min(losses, key=lambda strength: losses[strength][0])
    regression = losses[strength][1]
    regression.coef_ = regression.coef_ * weight  # it then applies to unweighted TF-IDF features
    return BaselineClassifier(tfidf, regression), strength


def naive_bayes_weight(features: csr_matrix, label: np.ndarray) -> np.ndarray:
    """Log-count ratio of each feature, POSITIVE over NEGATIVE, with add-one smoothing.

    Args:
        features: shape (reviews, features); only whether a value is zero counts.
        label: indices into LABELS, shape (reviews,).

    Returns:
        float32 array of shape (features,).
    """
    present = features.astype(bool).astype(np.float32)
    positive = np.asarray(present[label == 1].sum(axis=0)).ravel()
    negative = np.asarray(present[label == 0].sum(axis=0)).ravel()
    ratio = np.log((positive + 1) / (positive + 1).sum()) - np.log((negative + 1) / (negative + 1).sum())
    return ratio.astype(np.float32)


def save(classifier: BaselineClassifier, path: Path) -> None:
    """Write a baseline as compressed arrays; the same model gives the same bytes."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            idf=classifier.tfidf.idf_,
            coef=classifier.regression.coef_,
            intercept=classifier.regression.intercept_,
        )


def save_unavailable(path: Path, why: str) -> None:
    """Write a file that `load` refuses with this reason, where no baseline could be fitted."""
    with path.open("wb") as file:
        np.savez_compressed(file, unavailable=np.array(why))


def load(path: Path) -> BaselineClassifier:
    """Read a baseline that `save` wrote. The file contains arrays only, no code.

    Raises:
        InputError: the file says that no baseline is available.
        Exception: the file cannot be read; see `errors.loading`.
    """
    tfidf, regression = TfidfTransformer(sublinear_tf=True), LogisticRegression(solver="liblinear")
    with np.load(path, allow_pickle=False) as arrays:
        if "unavailable" in arrays:
            raise InputError(f"{path}: n-grams are {arrays['unavailable']}")
        tfidf.idf_ = arrays["idf"]
        regression.coef_, regression.intercept_ = arrays["coef"], arrays["intercept"]
    regression.classes_ = np.array([0, 1])
    return BaselineClassifier(tfidf, regression)
