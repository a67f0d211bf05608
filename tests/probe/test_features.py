"""Features: the mean of the last hidden states, with the real MiniLM weights and with tiny models."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, PreTrainedModel

from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.pretrained import building, sources
from sentiment.probe.features import MeanPooled
from tests.architectures import reviews, write_pretrained

TEXTS = [
    "Good.",
    "A long and winding tale of a boat, a dog and two brothers. " * 9,
    *reviews()["text"].head(6),
]


def mean_pooled(model: str | Path, max_length: int = 64) -> MeanPooled:
    """A model in float32 that turns reviews into features."""
    scoring.make_deterministic()
    base = sources.fetch(str(model))
    encoder = Encoder(base.folder, max_length, "head")
    return MeanPooled(building.build_classifier(base, encoder), encoder, "fp32")


def test_features_are_those_of_transformers_with_masked_padding() -> None:
    pooled = mean_pooled(sources.PACKAGED)
    batch = pooled.encoder.tokenizer(TEXTS, padding=True, truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(pooled.encoder.folder)(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    expected = (states * mask).sum(dim=1) / mask.sum(dim=1)
    np.testing.assert_allclose(pooled.features(TEXTS), expected, atol=1e-5)


def test_features_have_the_same_bits_whatever_else_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = mean_pooled(sources.PACKAGED)
    together = pooled.features(TEXTS)
    assert together.shape == (len(TEXTS), 384)
    np.testing.assert_array_equal(np.concatenate([pooled.features([text]) for text in TEXTS]), together)
    np.testing.assert_array_equal(pooled.features(TEXTS[::-1]), together[::-1])
    monkeypatch.setattr("sentiment.probe.features.BLOCK", 3)
    np.testing.assert_array_equal(pooled.features(TEXTS), together)


@pytest.mark.parametrize("kind", ["distilbert", "xlnet", "fnet", "gpt2", "qwen3", "bart", "t5"])
def test_encoders_decoders_and_encoder_decoders_have_features(tmp_path: Path, kind: str) -> None:
    pooled = mean_pooled(write_pretrained(tmp_path, kind))
    features = pooled.features(TEXTS)
    assert features.std(axis=0).mean() > 0.01
    plain: PreTrainedModel = AutoModel.from_pretrained(tmp_path)
    for text, feature in zip(TEXTS, features, strict=True):
        ids = torch.tensor(pooled.encoder([text]).ids)
        with torch.no_grad():
            if plain.config.is_encoder_decoder:
                states = plain(input_ids=ids, decoder_input_ids=ids).encoder_last_hidden_state
            else:
                states = plain(input_ids=ids).last_hidden_state
        np.testing.assert_allclose(feature, states[0].mean(dim=0), atol=1e-5)


def test_architectures_whose_body_shortens_reviews_have_features(tmp_path: Path) -> None:
    features = mean_pooled(write_pretrained(tmp_path, "funnel")).features(TEXTS)
    assert features.shape == (len(TEXTS), 32)
    assert np.isfinite(features).all()
