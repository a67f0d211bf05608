"""The blend as a classifier: n-grams score every review, the encoder those that they do not decide."""

from collections.abc import Sequence

import numpy as np

from sentiment import progress
from sentiment.blend.saved import Blend
from sentiment.classifier import Classifier, Scores, TokenClassifier
from sentiment.progress import Advance


class BlendClassifier(Classifier):
    """Scores reviews with a blend.

    Args:
        blend: the weights and the cascade.
        ngrams: the n-gram baseline.
        encoder: the other model.
    """

    def __init__(self, blend: Blend, ngrams: Classifier, encoder: TokenClassifier):
        self.blend, self.ngrams, self.encoder = blend, ngrams, encoder
        self.independent = ngrams.independent and encoder.independent

    def score(self, texts: Sequence[str], advance: Advance = progress.ignore) -> Scores:
        """Score normalised reviews, at least one. Only the tokens that the encoder reads are counted.

        Args:
            texts: the reviews, as `data.text.normalise` returns them.
            advance: is called with the number of reviews scored since its last call.

        Raises:
            InputError: there is too little memory for even one review.
        """
        by_ngrams = self.ngrams.probabilities(texts)
        decided = self.blend.decided(by_ngrams)
        advance(int(decided.sum()))
        by_encoder = np.full(len(texts), np.nan)
        tokens = unknown = 0
        if not decided.all():
            undecided = np.flatnonzero(~decided)
            by_encoder[undecided], tokens, unknown = self.encoder.score(
                [texts[row] for row in undecided.tolist()], advance
            )
        return Scores(self.blend.probabilities(by_ngrams, by_encoder), tokens, unknown)
