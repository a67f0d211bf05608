"""Word attribution by occlusion: scores the review again without each of its words in turn.

Occlusion (Li et al. 2016, arXiv 1612.08220) uses the same scoring as evaluate, and anyone can check it by
deleting the word. In a long review, only the words with the steepest gradients are tried. They include nearly
all of the ten strongest words (64 of 224 words on IMDb: 92 %, 128: all).
"""

import re
from collections.abc import Generator, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.special import logit

from sentiment.model.scoring import TransformerClassifier

MAX_TOKENS = 2**15  # limits the time: about four seconds with MiniLM on two cores
_STEP_TOKENS = 2**11  # scored between two progress reports
_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]+")  # a word, or consecutive punctuation marks or emoji


def attribute(
    classifier: TransformerClassifier, text: str, max_tokens: int = MAX_TOKENS
) -> Generator[float, None, pd.DataFrame]:
    """Compute how much each word of a normalised review adds to the log-odds of POSITIVE.

    Yields the completed share of the work from time to time, so that a caller can show it, or stop.

    Args:
        classifier: scores the review.
        text: the review.
        max_tokens: tokens to score in total, which limits the number of words that are tried.

    Returns:
        One row per word, in text order: `start` and `end` in the text; `word` (text[start:end]); `read`
        (False if truncation removed the word, or the tokenizer has no token for it); `without` (the
        probability of POSITIVE without the word); `effect` (what the word adds to the log-odds of POSITIVE).
        The last two are NaN for words that were not tried.
    """
    matches = [(*match.span(), match[0]) for match in _WORD.finditer(text)]
    words = pd.DataFrame(matches, columns=["start", "end", "word"])
    ids, spans = classifier.encoder.with_offsets(text)
    # The row of the word that a token belongs to: the last that starts before the token ends.
    rows = [None if span is None else max(int(words["start"].searchsorted(span[1])) - 1, 0) for span in spans]
    tried = list(dict.fromkeys(row for row in rows if row is not None))
    words["read"] = words.index.isin(tried)
    if len(tried) * len(ids) > max_tokens:
        steepness = pd.Series(_steepness(classifier, ids)).groupby(rows).sum()
        tried = steepness.nlargest(max_tokens // len(ids)).index.astype(int).tolist()
    reviews = [ids]  # the whole review, then the review without each word
    for word in tried:
        reviews.append([token for token, row in zip(ids, rows, strict=True) if row != word])
    reviews_per_step = max(1, _STEP_TOKENS // max(len(ids), 1))
    scored = []
    for start in range(0, len(reviews), reviews_per_step):
        yield start / len(reviews)
        scored.append(classifier.probabilities_of_ids(reviews[start : start + reviews_per_step]))
    probabilities = np.concatenate(scored)
    words["without"] = pd.Series(probabilities[1:], tried)
    words["effect"] = logit(probabilities[0]) - logit(words["without"])
    return words


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
