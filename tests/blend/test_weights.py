"""The weights of a blend: they weight the models and calibrate the sum."""

import numpy as np
import pytest
from scipy.special import expit

from sentiment.blend import weights
from tests.helpers.blends import scores_of_two_models


def test_a_blend_of_models_with_different_mistakes_is_better_than_either() -> None:
    labels, one, other = scores_of_two_models(4000)
    fitted, held_out = slice(0, 2000), slice(2000, 4000)
    blend = weights.fit(one[fitted], other[fitted], labels[fitted])
    blended = blend.probabilities(one[held_out], other[held_out])
    right = [
        ((scores >= 0.5) == labels[held_out]).mean() for scores in (one[held_out], other[held_out], blended)
    ]
    assert right[2] > max(right[:2]) + 0.02
    assert blended[blended > 0.9].size
    assert labels[held_out][blended > 0.9].mean() == pytest.approx(blended[blended > 0.9].mean(), abs=0.03)
    assert blend.ngrams == pytest.approx(blend.encoder, rel=0.2)


def test_extreme_probabilities_and_weights_give_finite_probabilities() -> None:
    blend = weights.Weights(ngrams=500, encoder=1)
    scores = blend.probabilities(np.array([0.0, 1.0, 0.5]), np.array([1.0, 0.0, 0.5]))
    assert scores.tolist() == [pytest.approx(0, abs=1e-12), pytest.approx(1), 0.5]


def test_a_score_does_not_depend_on_the_other_reviews() -> None:
    probabilities = np.random.default_rng(0).random(1003)
    together = weights.probabilities(3 * weights.logits(probabilities))
    alone = [
        weights.probabilities(3 * weights.logits(probabilities[row : row + 1]))[0] for row in range(1003)
    ]
    assert together.tolist() == alone
    np.testing.assert_allclose(weights.probabilities(weights.logits(probabilities)), probabilities)
    np.testing.assert_allclose(together, expit(3 * np.log(probabilities / (1 - probabilities))))
