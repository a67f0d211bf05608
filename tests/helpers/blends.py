"""Made-up scores of two models, and blends of the models of a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from tests.conftest import Clone


def scores_of_two_models(reviews: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and the probabilities of two overconfident models with different mistakes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, reviews)
    sure = np.where(labels, 1.0, -1.0)
    one, other = (expit(3 * (sure + rng.normal(0, 1.5, reviews))) for _ in range(2))
    return labels, one, other


def write_blend(path: Path, ran: Clone, **changes: Any) -> Path:
    """Write a blend of the models of a run, whose n-grams decide some reviews alone."""
    content = {
        "ngrams": str(ran.folder / "models/baseline.npz"),
        "encoder": str(ran.folder / "models/classifier"),
        "weights": {"ngrams": 0.8, "encoder": 0.5},
        "cascade": {"margin": 0.5, "weight": 1.1},
    }
    path.write_text(json.dumps(content | changes))
    return path
