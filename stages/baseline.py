"""What a minute of classical work gives: TF-IDF n-grams, weighted by how they part the classes, and logistic regression.

The NB-weighted features are those of Wang and Manning 2012 ("Baselines and Bigrams", ACL), with logistic regression in
place of the SVM because it gives probabilities.

Fitting holds all features in memory, so MOST says how many reviews it sees; of more, as many are drawn, both classes
alike, and metrics/baseline.json says so (`fit_on`). The test split is scored whole.
"""

import time

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, diags
from sklearn.base import clone
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline

from stages import errors, outputs, reviews
from stages.metrics import report

# Hashed features need no vocabulary, which would be larger than the model.
FEATURES = 2**21
STRENGTHS = (10.0, 100.0, 1000.0, 10_000.0)  # inverse regularisation; the validation split picks one
MOST = {"train": 100_000, "validation": 20_000}
AT_ONCE = 10_000  # reviews whose features are in memory when the test split is scored


def main() -> None:
    """Fit on the training split, and write models/baseline.skops and metrics/baseline.json."""
    train, validation, test = (
        pd.read_parquet(f"data/prepared/{split}.parquet") for split in ("train", "validation", "test")
    )
    whole = len(train)
    capped = len(train) > MOST["train"] or len(validation) > MOST["validation"]
    train = reviews.capped(train, MOST["train"], seed=0)
    validation = reviews.capped(validation, MOST["validation"], seed=0)
    started = time.perf_counter()
    model, strength = fit(train, validation)
    with outputs.whole("models/baseline.skops") as path:
        outputs.write_skops(model, path)  # before its first use, in which the vectorizer notes an address in memory
    probability = scored(model, test["text"])
    seconds = time.perf_counter() - started

    found = report(test, probability) | {"strength": strength}
    note = ""
    if capped:
        found["fit_on"] = {"train": len(train), "validation": len(validation)}
        note = f", fit on {len(train):,} of {whole:,} training reviews"
    outputs.write_json("metrics/baseline.json", found)
    outputs.write_json("metrics/speed/baseline.json", {"seconds": seconds})
    print(f"baseline: test accuracy {found['accuracy']:.4f} in {seconds:.0f} s{note}")


def scored(model: Pipeline, text: pd.Series) -> np.ndarray:
    """Probability of POSITIVE for each review."""
    starts = range(0, len(text), AT_ONCE)
    return np.concatenate([model.predict_proba(text.iloc[start : start + AT_ONCE])[:, 1] for start in starts])


def fit(train: pd.DataFrame, validation: pd.DataFrame) -> tuple[Pipeline, float]:
    """The model with the lowest validation loss, a plain scikit-learn pipeline from text, and its strength."""
    features = make_pipeline(
        HashingVectorizer(
            n_features=FEATURES, ngram_range=(1, 3), token_pattern=r"\w+|[^\w\s]", alternate_sign=False, norm=None,
            dtype=np.float32,
        ),
        TfidfTransformer(sublinear_tf=True),
    )  # fmt: skip
    label = train["label"].to_numpy()
    counted = features.fit_transform(train["text"])
    weight = class_weight(counted, label)
    weighted = (counted @ diags(weight)).astype(np.float64)  # which liblinear would make a copy of for each strength
    del counted
    held_out = features.transform(validation["text"]) @ diags(weight)
    losses = {}
    for strength in STRENGTHS:
        classifier = LogisticRegression(C=strength, solver="liblinear", random_state=0).fit(weighted, label)
        losses[strength] = log_loss(validation["label"], classifier.predict_proba(held_out)), classifier
    strength = min(losses, key=lambda strength: losses[strength][0])
    classifier = losses[strength][1]
    classifier.coef_ = classifier.coef_ * weight  # so that it applies to plain TF-IDF features
    return Pipeline([("n-grams", clone(features[0])), ("tf-idf", features[1]), ("classifier", classifier)]), strength


def class_weight(features: csr_matrix, label: np.ndarray) -> np.ndarray:
    """Log-count ratio of each feature, POSITIVE over NEGATIVE, add-one smoothed."""
    present = features.astype(bool).astype(np.float32)
    positive, negative = (np.asarray(present[label == index].sum(axis=0)).ravel() for index in (1, 0))
    ratio = np.log((positive + 1) / (positive + 1).sum()) - np.log((negative + 1) / (negative + 1).sum())
    return ratio.astype(np.float32)


if __name__ == "__main__":
    errors.run(main)
