"""Saved classifiers: pipelines of transformers compute the same scores as this project."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import pipeline

from sentiment.api import open_classifier
from sentiment.labels import LABELS
from sentiment.model.encoding import Encoder, Truncation
from sentiment.model.saved import save_transformer
from sentiment.pretrained import sources
from sentiment.training import fine_tuning
from tests.architectures import PARAMS, reviews, write_pretrained

TEXTS = ["Good.", "I loved it, really", *reviews()["text"].head(4)]  # some are longer than a model reads
MULTI_LABEL = {"problem_type": "multi_label_classification"}
REGRESSION = {"problem_type": "regression"}


@pytest.mark.parametrize(
    ("kind", "labels", "config", "head", "truncation"),
    [
        ("distilbert", ["negative", "positive"], MULTI_LABEL, "auto", "head"),
        ("bert", ["LABEL_0"], REGRESSION, "new", "head"),
        ("roberta", ["joy", "anger", "fear"], MULTI_LABEL, ["anger", "joy"], "tail"),
        ("gpt2", ["neg", "pos"], REGRESSION, "new", "tail"),
        (
            "t5",
            ["a", "b"],
            {"task_specific_params": {"text-classification": {"num_labels": 1}}},
            "new",
            "head",
        ),
    ],
)
def test_a_pipeline_of_transformers_computes_the_same_scores(
    tmp_path: Path,
    kind: str,
    labels: list[str],
    config: dict[str, Any],
    head: str | list[str | int],
    truncation: Truncation,
) -> None:
    names = dict(enumerate(labels))
    config = config | {"id2label": names, "label2id": {name: index for index, name in names.items()}}
    base = sources.fetch(str(write_pretrained(tmp_path / "base", kind, head=True, **config)))
    settings = base.folder / "tokenizer_config.json"
    other_side = {"truncation_side": {"head": "left", "tail": "right"}[truncation]}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | other_side))
    params = PARAMS.model_copy(update={"head": head, "lr": 1e-2})
    encoder = Encoder(base.folder, 48, truncation)
    data = fine_tuning.as_dataset(encoder(reviews()["text"].head(16).tolist()).ids, [0, 1] * 8)
    trained = fine_tuning.train_within_memory(
        fine_tuning.TrainingJob(tmp_path / "checkpoints", base, encoder, params, data, data)
    )
    save_transformer(tmp_path / "classifier", trained.model, encoder, kind)

    probabilities = open_classifier(tmp_path / "classifier", "fp32").probabilities(TEXTS)
    classify: Any = pipeline("text-classification", str(tmp_path / "classifier"), device="cpu")
    scores = [
        {one["label"]: one["score"] for one in classify(text, top_k=None, truncation=True)} for text in TEXTS
    ]
    assert all(tuple(sorted(each)) == LABELS for each in scores)
    np.testing.assert_allclose(probabilities, [each["POSITIVE"] for each in scores], rtol=0, atol=1e-6)
    assert np.ptp(probabilities) > 1e-3
    written = json.loads((tmp_path / "classifier/config.json").read_text())
    assert written["problem_type"] == "single_label_classification"
    assert "task_specific_params" not in written
