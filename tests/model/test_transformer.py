"""Classifiers built from pretrained models: their head, dropout, and maximum number of tokens."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import softmax
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

from sentiment.checks import dry_run
from sentiment.errors import InputError
from sentiment.labels import LABELS
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.pretrained import building, sources
from tests.architectures import reviews, write_pretrained

TEXTS = reviews()["text"].head(6).tolist()
STARS = [f"{stars} star{'s' * (stars > 1)}" for stars in range(1, 6)]


def headed(folder: Path, kind: str, labels: list[str]) -> sources.Pretrained:
    """A tiny model with a head of these labels."""
    names = dict(enumerate(labels))
    config: dict[str, Any] = {"id2label": names, "label2id": {label: index for index, label in names.items()}}
    return sources.fetch(str(write_pretrained(folder / kind, kind, head=True, **config)))


def built(
    base: sources.Pretrained, head: str | list[str | int] = "auto", dropout: float | None = None
) -> tuple[Any, Encoder]:
    encoder = Encoder(base.folder, 64, "head_tail")
    return building.build_classifier(base, encoder, head, dropout), encoder


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra", "xlnet", "gpt2", "bart", "t5"])
@pytest.mark.parametrize(
    ("labels", "head", "kept"),
    [
        (["NEGATIVE", "POSITIVE"], "auto", (0, 1)),
        (["pos", "Neg"], "auto", (1, 0)),
        (["positive", "neutral", "negative"], ["negative", "positive"], (2, 0)),
    ],
)
def test_a_kept_head_gives_the_same_scores(
    tmp_path: Path, kind: str, labels: list[str], head: str | list[str | int], kept: tuple[int, int]
) -> None:
    base = headed(tmp_path, kind, labels)
    model, encoder = built(base, head)
    original: Any = AutoModelForSequenceClassification.from_pretrained(
        base.folder, pad_token_id=encoder.tokenizer.pad_token_id
    )
    with torch.no_grad():
        ids = [torch.tensor([review]) for review in encoder(TEXTS).ids]
        logits = np.concatenate([original.eval()(input_ids=review).logits[:, kept].numpy() for review in ids])
    classifier = scoring.TransformerClassifier(model, encoder, "fp32")
    np.testing.assert_allclose(classifier.probabilities(TEXTS), softmax(logits, axis=1)[:, 1], atol=1e-6)
    assert [model.config.id2label[index] for index in range(model.config.num_labels)] == list(LABELS)


@pytest.mark.parametrize(
    ("labels", "head", "kept"),
    [
        (["LABEL_0", "LABEL_1"], ["LABEL_0", "LABEL_1"], (0, 1)),
        (["LABEL_0", "LABEL_1"], ["label_1", "LABEL_0"], (1, 0)),
        (["LABEL_0", "LABEL_1"], "auto", None),
        (["neg", "pos"], "auto", (0, 1)),
        (["1", "0"], "auto", (1, 0)),
        (["False", "True"], "auto", (0, 1)),
        (["negative", "neutral", "positive"], "auto", (0, 2)),
        (["negative", "mixed", "positive"], "auto", None),
        (["negative", "neutral", "positive"], ["negative", "positive"], (0, 2)),
        (["0", "1", "2"], [0, 2], (0, 2)),  # as DVC and YAML write numbers
        (STARS, "auto", None),
        (STARS, ["1 star", "5 stars"], (0, 4)),
        (STARS, ["1 star", "six stars"], None),
        (STARS, ["1 star", "1 star"], None),
        (["rating"], "auto", None),
    ],
)
def test_labels_are_recognised_or_listed(
    tmp_path: Path, labels: list[str], head: str | list[str | int], kept: tuple[int, int] | None
) -> None:
    base = headed(tmp_path, "bert", labels)
    if kept:
        assert base.kept_labels(head) == kept
        return
    with pytest.raises(InputError) as refused:
        base.kept_labels(head)
    assert str(refused.value).startswith(
        f"params.yaml: head: {head!r}: the head of bert has the labels {labels[0]}"
    )
    assert str(refused.value).endswith("make a new head: -S head=new")
    assert ("as in -S 'head=[" in str(refused.value)) == (len(labels) > 1)


def test_labels_of_a_model_without_a_head_are_refused(tmp_path: Path) -> None:
    base = sources.fetch(str(write_pretrained(tmp_path / "bert", "bert")))
    assert base.kept_labels("auto") is base.kept_labels("new") is None
    with pytest.raises(InputError, match=r"head: \['a', 'b'\]: bert has no trained head; allowed: auto, new"):
        base.kept_labels(["a", "b"])


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "xlnet", "gpt2", "bart", "t5"])
def test_a_new_head_depends_only_on_the_seed(tmp_path: Path, kind: str) -> None:
    base = headed(tmp_path, kind, STARS)
    models = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        models.append(built(base, "new")[0])
    original = AutoModelForSequenceClassification.from_pretrained(base.folder).state_dict()
    first, again, other = (model.state_dict() for model in models)
    inside = f"{models[0].base_model_prefix}."
    heads = [name for name, weight in first.items() if not name.startswith(inside) and weight.ndim > 1]
    assert heads
    for name, weight in first.items():
        assert weight.equal(again[name])
        if name.startswith(inside) and weight.ndim:
            assert weight.equal(original[name])
    for name in heads:
        assert 0 < first[name].std() < 0.25
        assert not first[name].equal(original[name])
        assert not first[name].equal(other[name])


@pytest.mark.parametrize("architectures", [None, [], ["BertForTokenClassification"], ["BertForMaskedLM"]])
def test_a_new_head_is_random_whatever_config_json_says(
    tmp_path: Path, architectures: list[str] | None
) -> None:
    base = headed(tmp_path, "bert", ["NEGATIVE", "POSITIVE"])
    file = base.folder / "config.json"
    config = json.loads(file.read_text()) | {"architectures": architectures}
    if architectures is None:
        del config["architectures"]
    file.write_text(json.dumps(config))
    base = sources.fetch(str(base.folder))
    original = load_file(base.folder / "model.safetensors")
    for head in ("new", "auto"):
        weights = built(base, head)[0].state_dict()
        assert not weights["classifier.weight"].equal(original["classifier.weight"])
        assert weights["bert.encoder.layer.0.output.dense.weight"].equal(
            original["bert.encoder.layer.0.output.dense.weight"]
        )


@pytest.mark.parametrize("kind", ["distilbert", "albert", "xlnet", "funnel", "gpt2", "t5", "bart", "esm"])
@pytest.mark.parametrize(("dropout", "random"), [(0.0, False), (0.5, True)])
def test_dropout_takes_effect_in_every_architecture(
    tmp_path: Path, kind: str, dropout: float, random: bool
) -> None:
    drops: dict[str, Any] = {"encoder_layerdrop": 0.5, "decoder_layerdrop": 0.5} if kind == "bart" else {}
    base = sources.fetch(str(write_pretrained(tmp_path / kind, kind, **drops)))
    model, encoder = built(base, dropout=dropout)
    first, second = dry_run.two_steps(model.train(), encoder, 32)
    assert first.equal(second) != random
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in model.parameters())


def test_a_dropout_that_the_architecture_does_not_allow_is_refused(tmp_path: Path) -> None:
    base = sources.fetch(str(write_pretrained(tmp_path / "mpt", "mpt")))
    model, encoder = built(base, dropout=0.0)
    first, second = dry_run.two_steps(model.train(), encoder, 32)
    assert first.equal(second)
    with pytest.raises(InputError, match=r"^params.yaml: dropout: 0.2 is not allowed: .* attn_pdrop of mpt"):
        built(base, dropout=0.2)


def test_dropout_can_be_turned_off_in_every_architecture_of_transformers() -> None:
    for kind in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES:
        config = AutoConfig.for_model(kind)
        building.set_dropout(config, 0.0)
        read = type(config).from_dict(config.to_dict())
        parts = [read, *(getattr(read, name) for name in read.sub_configs)]
        for part in filter(None, parts):
            for name, value in vars(part).items():
                assert "drop" not in name or not value or isinstance(value, bool), f"{kind}: {name}"


@pytest.mark.parametrize("kind", ["bert", "bart"])
def test_a_pretrained_models_own_dropout_is_kept(tmp_path: Path, kind: str) -> None:
    own: dict[str, Any] = (
        {"hidden_dropout_prob": 0.25} if kind == "bert" else {"dropout": 0.25, "encoder_layerdrop": 0.125}
    )
    base = sources.fetch(str(write_pretrained(tmp_path / kind, kind, **own)))
    config = built(base)[0].config
    assert {name: getattr(config, name) for name in own} == own


@pytest.mark.parametrize(
    ("kind", "positions", "length", "most"),
    [
        ("roberta", {"max_position_embeddings": 514}, 513, 512),  # it numbers positions from 2
        ("roberta", {"max_position_embeddings": 514}, 512, None),
        ("gpt2", {}, 131, 130),
        ("opt", {}, 131, 130),  # its embedding has two rows more
        ("bart", {}, 131, 130),
        ("llama", {}, 600, None),
        ("xlnet", {}, 600, None),
        ("t5", {}, 600, None),
    ],
)
def test_the_maximum_length_of_a_model_is_found(
    tmp_path: Path, kind: str, positions: dict[str, Any], length: int, most: int | None
) -> None:
    base = sources.fetch(str(write_pretrained(tmp_path / kind, kind, **positions)))
    model, encoder = built(base)
    if most is None:
        building.check_lengths(model.eval(), encoder, base.source, train_max_length=length)
        return
    line = f"params.yaml: train_max_length: {length} is not allowed; {kind} reads at most {most}"
    with pytest.raises(InputError, match=line):
        building.check_lengths(model.eval(), encoder, base.source, max_length=64, train_max_length=length)


def test_a_model_that_reads_only_one_length_is_refused(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"num_landmarks": 8, "segment_means_seq_len": 64}
    base = sources.fetch(str(write_pretrained(tmp_path / "nystromformer", "nystromformer", **sizes)))
    model, encoder = built(base)
    with pytest.raises(
        InputError, match="model nystromformer: cannot read a review of 8 tokens by itself, nor one of"
    ):
        building.check_lengths(model.eval(), encoder, base.source, max_length=65)


def test_sharded_weights_are_read(tmp_path: Path) -> None:
    base = headed(tmp_path, "bert", list(LABELS))
    whole = built(base)[0]
    parts = tmp_path / "parts"
    shutil.copytree(base.folder, parts, ignore=shutil.ignore_patterns("*.safetensors"))
    whole.save_pretrained(parts, max_shard_size="40KB")
    assert len(list(parts.glob("*.safetensors"))) > 2
    read = built(sources.fetch(str(parts)))[0]
    assert all(weight.equal(read.state_dict()[name]) for name, weight in whole.state_dict().items())
