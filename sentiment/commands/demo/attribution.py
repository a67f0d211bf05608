"""Word attribution by occlusion: scores the review again without each of its words in turn.

Occlusion (Li et al. 2016, arXiv 1612.08220) uses the same scoring as evaluate, and anyone can check it by
deleting the word. In a long review, only the words with the steepest gradients are tried. They include nearly
all of the ten strongest words (64 of 224 words on IMDb: 92 %, 128: all).

For a blend, the n-grams score the review without the word too. They read the whole review, so words that the
encoder does not read can also have an effect. Where they decide alone, the encoder is skipped, as in scoring.
"""

import re
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import logit

from sentiment.blend.classifier import BlendClassifier
from sentiment.classifier import Classifier
from sentiment.errors import InputError
from sentiment.model.scoring import TransformerClassifier

MAX_TOKENS = 2**15  # limits the time: about four seconds with MiniLM on two cores
MAX_WORDS = 2**19  # that n-grams read in total if a blend also tries words that the encoder does not read
_STEP_TOKENS = 2**11  # scored between two progress reports
_CLIP = 1e-15  # log-odds are computed from probabilities at this distance from 0 and 1
_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]+")  # a word, or consecutive punctuation marks or emoji


def attribute(
    classifier: Classifier, text: str, max_tokens: int = MAX_TOKENS
) -> Generator[float, None, pd.DataFrame]:
    """Compute how much each word of a normalised review adds to the log-odds of POSITIVE.

    Yields the completed share of the work from time to time, so that a caller can show it, or stop.

    Args:
        classifier: scores the review; a model in PyTorch, or a blend of one.
        text: the review.
        max_tokens: tokens to score in total, which limits the number of words that are tried.

    Raises:
        InputError: as for `encoder_of`.

    Returns:
        One row per word, in text order: `start` and `end` in the text; `word` (text[start:end]); `read`
        (False if truncation removed the word, or the tokenizer has no token for it); `without` (the
        probability of POSITIVE without the word); `effect` (what the word adds to the log-odds of POSITIVE).
        The last two are NaN for words that were not tried.
    """
    matches = [(*match.span(), match[0]) for match in _WORD.finditer(text)]
    words = pd.DataFrame(matches, columns=["start", "end", "word"])
    encoder = encoder_of(classifier)
    ids, spans = encoder.encoder.with_offsets(text)
    # The row of the word that a token belongs to: the last that starts before the token ends.
    rows = [None if span is None else max(int(words["start"].searchsorted(span[1])) - 1, 0) for span in spans]
    tried = list(dict.fromkeys(row for row in rows if row is not None))
    words["read"] = words.index.isin(tried)
    if len(tried) * len(ids) > max_tokens:
        steepness = pd.Series(_steepness(encoder, ids)).groupby(rows).sum()
        tried = steepness.nlargest(max_tokens // len(ids)).index.astype(int).tolist()
    if isinstance(classifier, BlendClassifier):
        not_by_encoder = words.index[~words["read"]].tolist()
        if (len(tried) + len(not_by_encoder)) * len(words) <= MAX_WORDS:
            tried += not_by_encoder
        words["read"] = True  # by the n-grams
    texts, reviews = [text], [ids]  # the whole review, then the review without each word
    for word in tried:
        texts.append(text[: words.at[word, "start"]] + text[words.at[word, "end"] :])
        reviews.append([token for token, row in zip(ids, rows, strict=True) if row != word])
    yield 0.0
    if isinstance(classifier, BlendClassifier):
        probabilities = yield from _by_blend(classifier, texts, reviews)
    else:
        probabilities = yield from _by_encoder(encoder, reviews)
    words["without"] = pd.Series(probabilities[1:], tried)
    words["effect"] = _log_odds(probabilities[0]) - _log_odds(words["without"])
    return words


def encoder_of(classifier: Classifier) -> TransformerClassifier:
    """The model in PyTorch: the classifier, or the encoder of a blend.

    Raises:
        InputError: it is another model, which has no gradients.
    """
    encoder = classifier.encoder if isinstance(classifier, BlendClassifier) else classifier
    if not isinstance(encoder, TransformerClassifier):
        raise InputError("the demo cannot show this model; allowed: models/classifier, or a blend of it")
    return encoder


def _by_encoder(
    encoder: TransformerClassifier, reviews: Sequence[Sequence[int]]
) -> Generator[float, None, np.ndarray]:
    """Score encoded reviews in steps: float64 array of shape (reviews,). Yields the completed share."""
    scored = [np.empty(0)]
    reviews_per_step = max(1, _STEP_TOKENS // max(map(len, reviews), default=1))
    for start in range(0, len(reviews), reviews_per_step):
        if start:
            yield start / len(reviews)
        scored.append(encoder.probabilities_of_ids(reviews[start : start + reviews_per_step]))
    return np.concatenate(scored)


def _by_blend(
    classifier: BlendClassifier, texts: Sequence[str], reviews: Sequence[Sequence[int]]
) -> Generator[float, None, np.ndarray]:
    """Score reviews, given as texts and encoded, with a blend. Yields the completed share."""
    by_ngrams = classifier.ngrams.probabilities(texts)
    undecided = np.flatnonzero(~classifier.blend.decided(by_ngrams)).tolist()
    # Without a word that the encoder does not read, the encoded review stays the same.
    distinct = list(dict.fromkeys(tuple(reviews[row]) for row in undecided))
    scored = yield from _by_encoder(encoder_of(classifier), distinct)
    probability_of = dict(zip(distinct, scored, strict=True))
    by_encoder = np.full(len(reviews), np.nan)
    by_encoder[undecided] = [probability_of[tuple(reviews[row])] for row in undecided]
    return classifier.blend.probabilities(by_ngrams, by_encoder)


def _log_odds(probabilities: pd.Series | float) -> Any:
    return logit(np.clip(probabilities, _CLIP, 1 - _CLIP))


def _steepness(classifier: TransformerClassifier, ids: Sequence[int]) -> list[float]:
    """The norm of the gradient of the difference between the logits, at the embedding of each token."""
    model = classifier.model
    embedded = (
        model.get_input_embeddings()(torch.tensor([ids], device=model.device)).detach().requires_grad_()
    )
    with classifier.autocast():
        logits = model(inputs_embeds=embedded).logits[0]
    (gradient,) = torch.autograd.grad(logits[1] - logits[0], embedded)
    return gradient[0].norm(dim=-1).tolist()
