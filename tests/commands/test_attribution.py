"""Word attribution: for a model whose important words are known, and by deleting words from reviews."""

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

from sentiment.api import open_classifier
from sentiment.classifier import Classifier
from sentiment.commands.demo import attribution
from sentiment.errors import InputError
from sentiment.model.encoding import Encoder
from sentiment.model.saved import load_transformer
from sentiment.model.scoring import TransformerClassifier
from sentiment.pretrained import sources
from tests.conftest import Clone
from tests.helpers.blends import write_blend

WORDS = [["dreadful", "boring", "awful"], ["wonderful", "charming", "brilliant"]]
PLAIN = "the film has a man and his dog in an old house by the sea where they meet some people"


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> TransformerClassifier:
    """A tiny model that knows only six words and reads 32 tokens; its first label is POSITIVE."""
    folder = tmp_path_factory.mktemp("taught")
    AutoTokenizer.from_pretrained(sources.fetch(sources.PACKAGED).folder).save_pretrained(folder)
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
    config.save_pretrained(folder)
    encoder = Encoder(folder, 32, "head_tail")
    draw = random.Random(0)
    labels = [number % 3 for number in range(512)]  # 2: neither label
    kinds = [*WORDS, ["and"]]
    targets = torch.tensor([[0, 1], [1, 0], [0.5, 0.5]])[labels]
    texts = [
        " ".join(draw.sample([draw.choice(kinds[label]), *draw.sample(PLAIN.split(), 12)], 13))
        for label in labels
    ]
    torch.manual_seed(0)
    model = DistilBertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ids = torch.tensor(encoder(texts)[0])  # each word is one token
    for _ in range(5):
        for rows in torch.randperm(len(texts)).split(32):
            loss = cross_entropy(model(input_ids=ids[rows]).logits, targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return TransformerClassifier(model, encoder)


def attribute(classifier: Classifier, text: str, **options: int) -> pd.DataFrame:
    """The table of the words; the reported progress must grow from 0 and stay below 1."""
    parts, reports = attribution.attribute(classifier, text, **options), []
    while True:
        try:
            reports.append(next(parts))
        except StopIteration as end:
            assert reports == sorted({0.0, *reports})
            assert reports[-1] < 1
            words: pd.DataFrame = end.value
            return words


def without(text: str, words: pd.DataFrame) -> str:
    """The text without these words."""
    for word in words.sort_values("start", ascending=False).itertuples():
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split())


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("number", range(3))
def test_a_known_word_has_the_expected_sign_and_the_largest_effect(
    taught: TransformerClassifier, label: int, number: int
) -> None:
    words = attribute(taught, f"a house by the sea and some {WORDS[label][number]} people in the old film")
    strongest = words.loc[words["effect"].abs().idxmax()]
    assert strongest["word"] == WORDS[label][number]
    assert np.sign(strongest["effect"]) == (1 if label else -1)
    assert abs(strongest["effect"]) > 10 * words["effect"].abs().median()


def test_the_effect_of_a_word_equals_that_of_deleting_it(taught: TransformerClassifier) -> None:
    text = "the dog is wonderful, but the dreadful house isn't"
    words = attribute(taught, text)
    assert list(words["word"]) == [
        "the",
        "dog",
        "is",
        "wonderful",
        ",",
        "but",
        "the",
        "dreadful",
        "house",
        "isn't",
    ]
    assert [text[start:end] for start, end in zip(words["start"], words["end"], strict=True)] == list(
        words["word"]
    )
    (whole,) = taught.probabilities([text])
    expected = taught.probabilities([without(text, words.loc[[row]]) for row in words.index])
    assert list(words["without"]) == pytest.approx(list(expected), rel=1e-4)
    assert list(words["effect"]) == pytest.approx(list(logit(whole) - logit(expected)), abs=1e-3)


def test_truncated_words_have_no_effect(taught: TransformerClassifier) -> None:
    texts = [" ".join([*["dog"] * 30, word, *["house"] * 30]) for word in ("wonderful", "dreadful")]
    for text in texts:
        words = attribute(taught, text)
        assert (
            list(words["read"]) == [True] * 8 + [False] * 31 + [True] * 22
        )  # a quarter at the beginning, the rest at the end
        assert (words["effect"].notna() == words["read"]).all()
    assert taught.probabilities(texts[:1]) == taught.probabilities(texts[1:])


def test_in_long_reviews_the_important_words_are_tried(taught: TransformerClassifier) -> None:
    text = "the old dog and the man by the sea meet some wonderful people in a house"
    words = attribute(taught, text, max_tokens=75)  # the review has 18 tokens
    assert words["read"].all()
    tried = words[words["effect"].notna()]
    assert len(tried) == 4
    assert "wonderful" in set(tried["word"])


@pytest.mark.parametrize("text", ["\x00", "😀", "!!!", "\u202e", "𝔣𝔦𝔩𝔪", "\u0301", "映画"])
def test_text_without_words_is_accepted(taught: TransformerClassifier, text: str) -> None:
    words = attribute(taught, text)
    assert words["word"].str.len().all()
    assert (words["read"] | words["effect"].isna()).all()


@pytest.mark.parametrize("decided", ["none", "some", "all"])
def test_the_effect_in_a_blend_equals_that_of_deleting_the_word(
    ran: Clone, tmp_path: Path, decided: str
) -> None:
    text = (
        "The old dog is wonderful, but a dreadful house by the sea is no place for him, and not for us. "
        "We loved it and were bored."  # in all more words than the encoder reads
    )
    ngrams = open_classifier(ran.folder / "models/baseline.npz")
    certainty = np.abs(logit(ngrams.probabilities([text.replace(word, "") for word in text.split()])))
    margins = {"none": 99.0, "some": float(np.median(certainty)), "all": 0.0}
    cascade = {"margin": margins[decided], "weight": 1.1}
    blend = open_classifier(write_blend(tmp_path / "blend.json", ran, cascade=cascade), "fp32")
    words = attribute(blend, text)
    assert words["effect"].notna().all()
    (whole,) = blend.probabilities([text])
    expected = blend.probabilities([without(text, words.loc[[row]]) for row in words.index])
    # Truncation keeps other tokens of a review without a word, so the encoder's part may differ a little.
    assert list(words["without"]) == pytest.approx(list(expected), abs=0.02)
    assert list(words["effect"]) == pytest.approx(list(logit(whole) - logit(words["without"])), abs=1e-3)


def test_another_model_has_no_attribution(ran: Clone) -> None:
    ngrams = open_classifier(ran.folder / "models/baseline.npz")
    with pytest.raises(InputError, match="cannot show this model; allowed: models/classifier, or a blend"):
        attribute(ngrams, "A film.")


def test_deleting_the_strongest_words_changes_the_score_more_than_deleting_others(ran: Clone) -> None:
    classifier = load_transformer(ran.folder / "models/classifier")
    draw = random.Random(0)
    losses = []
    for text in pd.read_parquet(ran.folder / "data/prepared/test.parquet")["text"].head(12):
        words = attribute(classifier, text)
        words = words[words["read"]]
        sign = 1 if classifier.probabilities([text])[0] >= 0.5 else -1
        strongest = (sign * words["effect"]).fillna(0).nlargest(3).index
        others = [draw.sample(list(words.index), 3) for _ in range(5)]
        odds = sign * logit(
            classifier.probabilities(
                [text, *(without(text, words.loc[rows]) for rows in [strongest, *others])]
            )
        )
        losses.append((odds[0] - odds[1], odds[0] - odds[2:].mean()))
    # Exceptions are rare: the joint effect of words differs from the sum of their effects.
    assert sum(top > others for top, others in losses) >= 10
