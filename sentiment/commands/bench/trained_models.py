"""Accuracy and speed of the models that this project has trained: n-grams, encoders, blends and cascades."""

import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sentiment.api import open_classifier
from sentiment.blend import saved
from sentiment.blend.classifier import BlendClassifier
from sentiment.blend.saved import Blend
from sentiment.classifier import Classifier, TokenClassifier
from sentiment.errors import InputError
from sentiment.metrics.evaluation_sets import why_unavailable
from sentiment.params import scoring_precision

NGRAMS = Path("models/baseline.npz")
BLEND = Path("models/blend.json")
ENCODERS = ("classifier", "fp32", "int8")  # folders of models/; the exports are optional
PREDICTIONS = "metrics/predictions/{}/test.parquet"
CHUNK = 128  # reviews per call, so that the time limit can end a measurement


class Trained(NamedTuple):
    """A model to measure.

    Attributes:
        classifier: scores reviews.
        accuracy: on the test split.
        by_ngrams: share of the test split that n-grams decide alone.
        encoder: the encoder with whose speed it is compared; empty for the n-grams.
    """

    classifier: Classifier
    accuracy: float
    by_ngrams: float
    encoder: str


def trained_models() -> dict[str, Trained]:
    """The models by name. Accuracies are those of the predictions that the stages saved.

    If the run has no n-grams, there are only encoders.

    Raises:
        InputError: the stage blend has not run, or a model cannot be loaded.
    """
    if why_unavailable("baseline"):
        return {name: trained_encoder(name) for name in ENCODERS if Path("models", name).exists()}
    blend = saved.read(BLEND)
    ngrams = open_classifier(NGRAMS)
    by_ngrams = predictions("baseline")
    truth = by_ngrams["label"].to_numpy()
    models = {"n-grams": Trained(ngrams, accuracy(truth, by_ngrams["probability"].to_numpy()), 1, "")}
    for name in ENCODERS:
        if not Path("models", name).exists():
            continue
        models[name] = trained_encoder(name)
        encoder = models[name].classifier
        assert isinstance(encoder, TokenClassifier)
        by_encoder = predictions(name)["probability"].to_numpy()
        for kind, combined in variants(blend).items():
            scores = combined.probabilities(by_ngrams["probability"].to_numpy(), by_encoder)
            decided = combined.decided(by_ngrams["probability"].to_numpy())
            classifier = BlendClassifier(combined, ngrams, encoder)
            models[f"{kind} with {name}"] = Trained(
                classifier, accuracy(truth, scores), float(decided.mean()), name
            )
    return models


def trained_encoder(name: str) -> Trained:
    """An encoder in models/, with the accuracy of its saved predictions.

    Raises:
        InputError: it cannot be loaded, or has no predictions.
    """
    scored = predictions(name)
    measured = accuracy(scored["label"].to_numpy(), scored["probability"].to_numpy())
    return Trained(open_classifier(Path("models", name), scoring_precision()), measured, 0, name)


def variants(blend: Blend) -> dict[str, Blend]:
    """The blend without its cascade and, if it has one, with it."""
    without = {"blend": blend.model_copy(update={"cascade": None})}
    return without | ({"cascade": blend} if blend.cascade else {})


def predictions(model: str) -> pd.DataFrame:
    """The saved predictions of a model for the test split: `id`, `label` and `probability`.

    Raises:
        InputError: there are none.
    """
    path = PREDICTIONS.format(model)
    if not Path(path).exists():
        raise InputError(f"{path} is not here; `dvc repro` writes it")
    return pd.read_parquet(path)


def accuracy(truth: np.ndarray, probability: np.ndarray) -> float:
    """The share of reviews with the right label."""
    return float(((probability >= 0.5) == truth).mean())


def measure(models: dict[str, Trained], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Reviews per second of each model in each round, on reviews of the test split.

    Args:
        models: the models by name; they take turns.
        rounds: the number of rounds; each has the reviews in another order.
        seconds: the duration of one measurement, to the next chunk or the end of the reviews.
    """
    texts = pd.read_parquet("data/prepared/test.parquet", columns=["text"])["text"]
    rates: dict[str, list[float]] = {name: [] for name in models}
    for seed in range(rounds):
        shuffled = texts.sample(frac=1, random_state=seed).tolist()
        for name, model in models.items():
            model.classifier.probabilities(shuffled[:8])
            rates[name].append(reviews_per_second(model.classifier, shuffled, seconds))
    return rates


def reviews_per_second(classifier: Classifier, texts: list[str], seconds: float) -> float:
    """Score reviews in chunks until the time limit."""
    scored, started = 0, time.perf_counter()
    while scored < len(texts) and (not scored or time.perf_counter() - started < seconds):
        chunk = texts[scored : scored + CHUNK]
        classifier.probabilities(chunk)
        scored += len(chunk)
    return scored / (time.perf_counter() - started)


def table(models: dict[str, Trained], rates: dict[str, list[float]]) -> str:
    """A Markdown table; speeds are medians, and ratios are those to the encoder in the same round."""
    lines = [
        "| model | test accuracy | decided by n-grams | reviews/s | times its encoder |",
        "|---" * 5 + "|",
    ]
    for name, model in models.items():
        ratio = ""
        if model.encoder:
            ratio = f"{statistics.median(np.divide(rates[name], rates[model.encoder])):.2f}"
        lines.append(
            f"| {name} | {model.accuracy:.4f} | {model.by_ngrams:.0%} "
            f"| {statistics.median(rates[name]):.3g} | {ratio} |"
        )
    return "\n".join(lines)
