"""Near-duplicates across splits, by MinHash and locality-sensitive hashing: linear in the number of reviews.

Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman and Ullman, "Mining of
Massive Datasets", chapter 3.
"""

import re
from itertools import pairwise

import pandas as pd
from rensa import RMinHash, RMinHashLSH

from sentiment.progress import Advance

# Two reviews are near-duplicates if they share this part of their pairs of words (Jaccard similarity).
SIMILARITY = 0.7
# With 32 bands of 4 hashes, 0.7 is missed in 0.02 % of cases, and most pairs below 0.3 are never compared.
HASHES, BANDS = 128, 32
_WORD = re.compile(r"\w+")


def across_splits(reviews: pd.DataFrame, advance: Advance) -> dict[str, str]:
    """Ids of reviews of train or validation, each with the id of a near-duplicate in a later split.

    The order of splits is train, validation, test. Reviews with the same text are left out: prepare drops
    those from training.

    Args:
        reviews: `id`, `split` and `text`.
        advance: is called with the number of reviews done since its last call.
    """
    index = RMinHashLSH(SIMILARITY, HASHES, BANDS)
    texts: list[tuple[str, str]] = []
    found: dict[str, str] = {}
    for split in ("test", "validation", "train"):
        rows = reviews[reviews["split"] == split]
        hashed = []
        for id, text in zip(rows["id"], rows["text"], strict=True):
            pairs = word_pairs(text)
            sketch = RMinHash(HASHES, 0)
            sketch.update(sorted(pairs))
            for key in sorted(index.query(sketch)):
                other_id, other = texts[key]
                if other != text and similarity(pairs, word_pairs(other)) >= SIMILARITY:
                    found[id] = other_id
                    break
            hashed.append(sketch)
            advance(1)
        if split != "train":
            index.insert_many(hashed, start_key=len(texts))
            texts += zip(rows["id"], rows["text"], strict=True)
    return found


def word_pairs(text: str) -> set[str]:
    """The pairs of successive words, whatever their case and punctuation; of a single word, the word."""
    words = _WORD.findall(text.casefold())
    return {f"{first} {second}" for first, second in pairwise(words)} or set(words)


def similarity(pairs: set[str], others: set[str]) -> float:
    """Jaccard similarity: the shared part of two sets; 0 if one is empty."""
    return len(pairs & others) / max(1, len(pairs | others))
