"""Which words an answer rests on: where it is known, and what becomes of the answer without them."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification, PreTrainedModel

from stages import attribution, checkpoints, scoring
from stages.encoding import Encoder
from tests.conftest import Clone

WORDS = [["dreadful", "boring", "awful"], ["wonderful", "charming", "brilliant"]]
PLAIN = "the film has a man and his dog in an old house by the sea where they meet some people"
Loaded = tuple[PreTrainedModel, Encoder]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A tiny model that was taught six words and nothing else, and reads 32 tokens; its first label is POSITIVE."""
    folder = tmp_path_factory.mktemp("taught")
    AutoTokenizer.from_pretrained(checkpoints.fetch(checkpoints.PACKAGED).folder).save_pretrained(folder)
    encoder = Encoder(folder, 32, "head_tail")
    draw = random.Random(0)
    labels = [number % 3 for number in range(512)]  # the third: neither
    kinds = [*WORDS, ["and"]]
    meant = torch.tensor([[0, 1], [1, 0], [0.5, 0.5]])[labels]
    texts = [
        " ".join(draw.sample([draw.choice(kinds[label]), *draw.sample(PLAIN.split(), 12)], 13))
        for label in labels  # in any place
    ]
    torch.manual_seed(0)
    config = DistilBertConfig(
        dim=32,
        n_layers=1,
        n_heads=2,
        hidden_dim=64,
        dropout=0.0,
        seq_classif_dropout=0.0,
        initializer_range=0.1,
        id2label={0: "POSITIVE", 1: "NEGATIVE"},
        label2id={"POSITIVE": 0, "NEGATIVE": 1},
    )
    model = DistilBertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ids = torch.tensor(encoder(texts)[0])  # each word is one token
    for _ in range(5):
        for rows in torch.randperm(len(texts)).split(32):
            loss = cross_entropy(model(input_ids=ids[rows]).logits, meant[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model, encoder


def without(text: str, words: list[attribution.Word]) -> str:
    """The text without these words."""
    for word in sorted(words, key=lambda word: -word.start):
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split())


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("number", range(3))
def test_a_word_that_was_taught_has_its_sign_and_the_most_effect(taught: Loaded, label: int, number: int) -> None:
    text = f"a house by the sea and some {WORDS[label][number]} people in the old film"
    found = attribution.words(*taught, text)
    effects = [word.effect or 0 for word in found]
    strongest = found[int(np.argmax(np.abs(effects)))]
    assert text[strongest.start : strongest.end] == WORDS[label][number]
    assert np.sign(strongest.effect or 0) == (1 if label else -1)
    assert abs(strongest.effect or 0) > 10 * np.median(np.abs(effects))


def test_the_effect_of_a_word_is_what_comes_of_deleting_it(taught: Loaded) -> None:
    text = "the dog is wonderful, but the dreadful house isn't"
    found = attribution.words(*taught, text)
    assert [text[word.start : word.end] for word in found] == ["the", "dog", "is", "wonderful", ",", "but", "the", "dreadful", "house", "isn't"]  # fmt: skip
    (whole,) = scoring.probabilities(*taught, [text])
    expected = scoring.probabilities(*taught, [without(text, [word]) for word in found])
    assert [word.without for word in found] == pytest.approx(list(expected), rel=1e-4)
    assert [word.effect for word in found] == pytest.approx(list(logit(whole) - logit(expected)), abs=1e-3)


def test_what_truncation_cut_has_no_effect(taught: Loaded) -> None:
    texts = [" ".join([*["dog"] * 30, word, *["house"] * 30]) for word in ("wonderful", "dreadful")]
    for text in texts:
        found = attribution.words(*taught, text)
        assert [word.read for word in found] == [True] * 8 + [False] * 31 + [True] * 22  # a quarter, and the rest
        assert all((word.effect is not None) == word.read for word in found)
    assert scoring.probabilities(*taught, texts[:1]) == scoring.probabilities(*taught, texts[1:])


def test_of_many_words_those_that_matter_are_tried(taught: Loaded) -> None:
    text = "the old dog and the man by the sea meet some wonderful people in a house"
    found = attribution.words(*taught, text, budget=75)  # the review has 18 tokens
    tried = [text[word.start : word.end] for word in found if word.effect is not None]
    assert len(tried) == 4
    assert "wonderful" in tried


@pytest.mark.parametrize("text", ["\x00", "😀", "!!!", "\u202e", "𝔣𝔦𝔩𝔪", "\u0301", "映画"])
def test_text_without_words_is_answered(taught: Loaded, text: str) -> None:
    for word in attribution.words(*taught, text):
        assert text[word.start : word.end]
        assert word.read or word.effect is None


def test_deleting_the_strongest_words_costs_more_than_deleting_others(
    ran: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ran.folder)
    model, encoder = scoring.load(Path("models/classifier"))
    assert isinstance(model, PreTrainedModel)
    draw = random.Random(0)
    lost = []
    for text in pd.read_parquet("data/prepared/test.parquet")["text"].head(12):
        words = [word for word in attribution.words(model, encoder, text) if word.read]
        sign = 1 if scoring.probabilities(model, encoder, [text])[0] >= 0.5 else -1
        strongest = sorted(words, key=lambda word: -sign * (word.effect or 0))[:3]
        variants = [text, without(text, strongest), *(without(text, draw.sample(words, 3)) for _ in range(5))]
        odds = sign * logit(scoring.probabilities(model, encoder, variants))
        lost.append((odds[0] - odds[1], odds[0] - odds[2:].mean()))
    assert all(top > others for top, others in lost)
