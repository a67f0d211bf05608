"""The Hub path, through the real clients of datasets and transformers, against a hub on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification, pipeline

from stages import checkpoints
from tests import hub
from tests.conftest import SMALL, Clone

LABELS = ("POSITIVE", "NEGATIVE")  # the other way round than in the data
DATASET = f"hub: test/reviews\nrevision: {hub.COMMIT}\nrows: {{train: 80, test: 20}}\n"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dataset of short reviews and a tiny DistilBERT with a head of its own."""
    top = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    config = DistilBertConfig(
        dim=32,
        n_layers=1,
        n_heads=2,
        hidden_dim=64,
        id2label=dict(enumerate(LABELS)),
        label2id={name: index for index, name in enumerate(LABELS)},
    )
    DistilBertForSequenceClassification(config).save_pretrained(top / "model")
    AutoTokenizer.from_pretrained(checkpoints.fetch(checkpoints.PACKAGED).folder).save_pretrained(top / "model")
    (top / "data").mkdir()
    for split, count in {"train": 80, "test": 20}.items():
        texts = [f"Film {split} {number}: {('dreadful', 'wonderful')[number % 2]}." for number in range(count)]
        rows = pd.DataFrame({"text": texts, "label": [number % 2 for number in range(count)]})
        rows.to_parquet(top / "data" / f"{split}-00000-of-00001.parquet")
    return {"models/test/tiny": top / "model", "datasets/test/reviews": top / "data"}


@pytest.fixture
def endpoint(repositories: dict[str, Path]) -> Iterator[str]:
    with hub.serve(repositories) as address:
        yield address


def test_an_experiment_on_a_hub_dataset_and_a_hub_model(
    clone: Clone, endpoint: str, tmp_path: Path, repositories: dict[str, Path]
) -> None:
    clone.set(**SMALL)
    clone.dataset("tiny", DATASET)
    clone.commit()
    command = f"dvc exp run -S dataset=tiny -S model=test/tiny@{hub.COMMIT} -S lr=1e-9 -S epochs=1"
    clone.run(command, HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path / "hf"))

    # A trained head is kept, in its own order: at this lr it is still the one that the hub served.
    before = load_file(repositories["models/test/tiny"] / "model.safetensors")["classifier.weight"]
    after = load_file(clone.folder / "models/classifier/model.safetensors")["classifier.weight"]
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)

    # So training changed nothing, and the test metrics are those from before it.
    zero_shot, test = (
        json.loads((clone.folder / f"metrics/{name}.json").read_text()) for name in ("zero_shot", "test")
    )
    assert zero_shot["accuracy"] == test["accuracy"]
    assert zero_shot["roc_auc"] == pytest.approx(test["roc_auc"], abs=0.02)

    # The probabilities are those of POSITIVE, whichever index the model has it at.
    predictions = pd.read_parquet(clone.folder / "metrics/predictions/test.parquet")
    texts = pd.read_parquet(clone.folder / "data/prepared/test.parquet")["text"]
    classify = pipeline("text-classification", str(clone.folder / "models/classifier"), top_k=None, device="cpu")
    scores: list[dict[str, float]]
    scores = [{score["label"]: score["score"] for score in both} for both in classify(list(texts))]  # type: ignore
    assert predictions["probability"].to_list() == pytest.approx([score["POSITIVE"] for score in scores], abs=0.01)
    assert f'"base_model": "test/tiny@{hub.COMMIT}"' in (clone.folder / "models/classifier/config.json").read_text()

    # With everything cached, no network is needed.
    clone.run("dvc repro --force prepare check_params", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"dataset": "tiny"}, "error: dataset test/reviews@c0ffee1"),
        ({"model": "test/tiny"}, "error: model test/tiny could not be fetched from the Hub: "),
    ],
)
def test_a_hub_out_of_reach_is_one_line_and_costs_no_output(
    copy: Clone, tmp_path: Path, setting: dict[str, str], said: str
) -> None:
    before = copy.bytes_of("data/prepared", "models/classifier", "metrics")
    copy.dataset("tiny", DATASET)
    copy.set(**setting)
    output = copy.run("dvc repro", fails=True, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path / "hf"))
    assert said in output
    assert "Traceback" not in output
    assert copy.bytes_of("data/prepared", "models/classifier", "metrics") == before


def test_what_the_hub_does_not_have_is_named(clone: Clone, endpoint: str, tmp_path: Path) -> None:
    for model in ("test/nosuch", "test/tiny@v9"):
        clone.set(model=model)
        output = clone.run(
            "python -m stages.check params", fails=True, HF_ENDPOINT=endpoint, HF_HOME=str(tmp_path / "hf")
        )
        assert output.startswith(f"error: model {model} could not be fetched from the Hub: ")
        assert output.count("\n") == 1
