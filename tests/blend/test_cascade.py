"""The cascade of a blend: its margin, and the labels that it changes."""

import numpy as np
import pytest

from sentiment.blend import cascade, weights
from sentiment.blend.cascade import Cascade
from sentiment.blend.weights import Weights, logits
from tests.helpers.blends import scores_of_two_models


def labels_changed(chosen: Cascade, blend: Weights, ngrams: np.ndarray, encoder: np.ndarray) -> np.ndarray:
    """Whether the cascade gives each review another label than the blend without it."""
    without = blend.probabilities(ngrams, encoder) >= 0.5
    return chosen.decides(ngrams) & ((chosen.probabilities(ngrams) >= 0.5) != without)


@pytest.mark.parametrize("seed", range(5))
def test_the_margin_is_the_smallest_that_changes_at_most_one_label_in_a_thousand(seed: int) -> None:
    labels, ngrams, encoder = scores_of_two_models(3500, seed)
    blend = weights.fit(ngrams, encoder, labels)
    chosen = cascade.choose(blend, ngrams, encoder, labels)
    assert chosen
    assert labels_changed(chosen, blend, ngrams, encoder).sum() <= 3
    assert 0.1 < chosen.decides(ngrams).mean() < 1
    # Any smaller margin would let the n-grams decide a review whose label is the fourth to change.
    next_review = np.abs(logits(ngrams[~chosen.decides(ngrams)])).max()
    smaller = chosen.model_copy(update={"margin": next_review})
    changed = labels_changed(smaller, blend, ngrams, encoder).sum()
    assert changed == 4 or chosen.margin - next_review < 0.001


def test_the_probabilities_of_decided_reviews_are_calibrated() -> None:
    labels, ngrams, encoder = scores_of_two_models(8000)
    fitted, held_out = slice(0, 4000), slice(4000, 8000)
    blend = weights.fit(ngrams[fitted], encoder[fitted], labels[fitted])
    chosen = cascade.choose(blend, ngrams[fitted], encoder[fitted], labels[fitted])
    assert chosen
    decided = chosen.decides(ngrams[held_out])
    scores = chosen.probabilities(ngrams[held_out])[decided]
    confidence = np.maximum(scores, 1 - scores)
    right = (scores >= 0.5) == labels[held_out][decided]
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.03)


def test_there_is_no_cascade_with_few_reviews() -> None:
    labels, ngrams, encoder = scores_of_two_models(cascade.MIN_REVIEWS)
    blend = weights.fit(ngrams, encoder, labels)
    assert cascade.choose(blend, ngrams, encoder, labels)
    assert cascade.choose(blend, ngrams[1:], encoder[1:], labels[1:]) is None


def test_there_is_no_cascade_if_the_ngrams_decide_only_one_label() -> None:
    labels, _, _ = scores_of_two_models(2000)
    ngrams, encoder = np.where(labels == 1, 0.9, 0.3), np.full(2000, 0.9)
    assert cascade.choose(Weights(ngrams=0.1, encoder=1), ngrams, encoder, labels) is None


def test_models_that_always_agree_need_no_encoder() -> None:
    labels, ngrams, _ = scores_of_two_models(2000)
    chosen = cascade.choose(Weights(ngrams=1, encoder=1), ngrams, ngrams, labels)
    assert chosen
    assert chosen.decides(ngrams).mean() > 0.999  # the margin is rounded up
