"""Labelling of unlabelled reviews: block by block, so that it resumes after an interruption."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sentiment import atomic
from sentiment.classifier import Classifier
from sentiment.progress import Progress

BLOCK = 1024  # reviews


def label(classifier: Classifier, texts: Sequence[str], folder: Path) -> np.ndarray:
    """Probabilities of POSITIVE, float64 array of shape (reviews,).

    Each block is saved when it is complete. A later call with the same folder scores only the missing ones.

    Args:
        classifier: the teacher.
        texts: prepared reviews, at least one.
        folder: for the blocks; its name must identify the teacher and the reviews.

    Raises:
        InputError: there is too little memory for even one review.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(texts), BLOCK)
    files = {start: folder / f"{start}.npy" for start in starts}
    missing = [start for start in starts if not files[start].exists()]
    done = sum(min(BLOCK, len(texts) - start) for start in starts if start not in missing)
    if done:
        print(f"{done:,} of {len(texts):,} reviews are labelled already")
    with Progress("labelling", len(texts), done=done) as bar:
        for start in missing:
            probability = classifier.probabilities(texts[start : start + BLOCK], bar.update)
            with atomic.replacing(files[start]) as path, path.open("wb") as file:
                np.save(file, probability)
    return np.concatenate([np.load(file) for file in files.values()])
