"""Encoding, scoring and pretrained models, on the real MiniLM weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from sentiment.errors import InputError
from sentiment.model import pretrained, scoring
from sentiment.model.encoding import Encoder

TEXTS = [
    "Good.",
    "A long and winding tale of a boat, a dog and two brothers. " * 20,
    "Not for me, thanks.",
    "é 😀 " * 9,
]


@pytest.fixture(scope="module")
def folder() -> Path:
    return pretrained.fetch(pretrained.PACKAGED).folder


def test_short_reviews_are_encoded_as_the_tokenizer_does(folder: Path) -> None:
    encoder = Encoder(folder, 512, "head_tail")
    ids, cut = encoder(TEXTS)
    assert ids == encoder.tokenizer(TEXTS)["input_ids"]
    assert cut == 0


@pytest.mark.parametrize(("truncation", "head"), [("head", 30), ("tail", 0), ("head_tail", 8)])
def test_truncation_keeps_the_part_it_names(folder: Path, truncation: str, head: int) -> None:
    encoder = Encoder(folder, 32, truncation)  # type: ignore[arg-type]
    whole = encoder.tokenizer(TEXTS[1], add_special_tokens=False, verbose=False)["input_ids"]
    (ids,), cut = encoder(TEXTS[1:2])
    tail = whole[len(whole) - (30 - head) :]
    assert ids == [encoder.tokenizer.cls_token_id, *whole[:head], *tail, encoder.tokenizer.sep_token_id]
    assert cut == 1


def test_head_tail_is_the_papers_at_512(folder: Path) -> None:
    encoder = Encoder(folder, 512, "head_tail")
    assert (encoder._head, encoder._tail) == (128, 382)


def test_scores_are_those_of_transformers_pipeline(folder: Path) -> None:
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    encoder = Encoder(folder, 128, "head")
    logits = scoring.TransformerClassifier(model, encoder, "fp32").logits(encoder(TEXTS)[0])
    plain: Any = pipeline("text-classification", model=model, tokenizer=encoder.tokenizer, device="cpu")  # type: ignore
    expected = [
        [score["score"] for score in sorted(scores, key=lambda score: score["label"])]
        for scores in plain(TEXTS, top_k=None, function_to_apply="none", truncation=True, max_length=128)
    ]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_batches_hold_every_review_once_within_the_budget() -> None:
    lengths = list(np.random.default_rng(0).integers(1, 90, 500))
    batches = scoring.batches(lengths, tokens=100)
    assert sorted(row for batch in batches for row in batch) == list(range(500))
    assert all(len(batch) * max(lengths[row] for row in batch) <= 100 for batch in batches)


def copy_of(folder: Path, target: Path, **config: object) -> Path:
    shutil.copytree(folder, target)
    content = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(content | config))
    return target


def test_a_trained_head_keeps_its_label_order(folder: Path, tmp_path: Path) -> None:
    head = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "positive", "1": "NEGATIVE"}}
    swapped = pretrained.fetch(str(copy_of(folder, tmp_path / "swapped", **head)))
    assert swapped.has_head
    assert swapped.labels() == ("POSITIVE", "NEGATIVE")


@pytest.mark.parametrize(
    "labels", [{"0": "LABEL_0", "1": "LABEL_1"}, {"0": "NEGATIVE", "1": "NEUTRAL", "2": "POSITIVE"}, {}]
)
def test_a_head_with_other_labels_is_refused(folder: Path, tmp_path: Path, labels: dict[str, str]) -> None:
    head = {"architectures": ["BertForSequenceClassification"], "id2label": labels}
    with pytest.raises(InputError, match="model other: its head has the labels .*; allowed: NEGATIVE and POSITIVE"):
        pretrained.fetch(str(copy_of(folder, tmp_path / "other", **head)))


def test_only_safetensors_are_loaded(folder: Path, tmp_path: Path) -> None:
    target = copy_of(folder, tmp_path / "pickled")
    (target / "model.safetensors").rename(target / "pytorch_model.bin")
    with pytest.raises(InputError, match="model pickled: has no .*safetensors weights"):
        pretrained.fetch(str(target))
    (target / "config.json").unlink()
    with pytest.raises(InputError, match=r"model pickled: has no config\.json"):
        pretrained.fetch(str(target))


def test_packaged_weights_that_were_changed_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(InputError, match="SHA-256 is 53aa51"):
        pretrained.fetch(pretrained.PACKAGED)
