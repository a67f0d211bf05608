"""ONNX exports: the optional stage, and scores compared with those of PyTorch."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from sentiment.api import open_classifier
from sentiment.errors import InputError
from sentiment.model.precision import uses_bf16
from sentiment.model.transformer import load_weights
from sentiment.onnx import graph
from sentiment.pretrained import sources
from stages import export
from tests.conftest import ROOT, Clone
from tests.pipeline.test_pipeline import executed

onnxruntime = pytest.importorskip("onnxruntime", reason="pip install -e '.[onnx]'")
EXPORT = "dvc exp run -S 'exports=[int8]'"
BOTH = "dvc exp run -S 'exports=[int8,fp32]'"


def test_the_default_run_has_no_export(ran: Clone) -> None:
    assert "export" not in ran.run("dvc stage list --all")
    assert not (ran.folder / "models/int8").exists()


def test_an_experiment_adds_exports(copy: Clone) -> None:
    assert executed(copy.run(BOTH)) == {"check", "export@int8", "export@fp32"}
    assert "up to date" in copy.run("dvc status")

    test = pd.read_parquet(copy.folder / "data/prepared/test.parquet")
    old = pd.read_parquet(copy.folder / "metrics/predictions/classifier/test.parquet")[
        "probability"
    ].to_numpy()
    int8 = open_classifier(copy.folder / "models/int8")
    new = int8.probabilities(test["text"].tolist())
    assert 0 < np.abs(new - old).max() < 0.05  # this model's probabilities are close together
    assert np.corrcoef(new, old)[0, 1] > 0.99
    metrics = copy.details("int8")
    assert metrics["accuracy"] == pytest.approx(((new >= 0.5) == test["label"]).mean(), abs=1e-6)
    assert metrics["accuracy_low"] <= metrics["accuracy"] <= metrics["accuracy_high"]
    assert metrics["accuracy_low"] < metrics["accuracy_high"]
    change = metrics["accuracy"] - copy.details("test")["accuracy"]
    assert metrics["accuracy_change"] == pytest.approx(change, abs=2e-6)
    assert metrics["accuracy_change_low"] <= metrics["accuracy_change"] <= metrics["accuracy_change_high"]
    assert metrics["flipped"] == ((old >= 0.5) != (new >= 0.5)).sum()
    assert metrics["macro_f1_low"] <= metrics["macro_f1"] <= metrics["macro_f1_high"]
    predicted = pd.read_parquet(copy.folder / "metrics/predictions/int8/test.parquet")
    np.testing.assert_array_equal(predicted["probability"], new)
    assert copy.details("sets/int8/challenge")["flipped"] >= 0
    assert metrics["megabytes"] < metrics["megabytes_fine_tuned"] / 3

    fp32 = open_classifier(copy.folder / "models/fp32").probabilities(test["text"].tolist())
    np.testing.assert_allclose(fp32, old, atol=1e-2 if uses_bf16("auto") else 1e-5)
    metrics = copy.details("fp32")
    assert metrics["accuracy"] == pytest.approx(((fp32 >= 0.5) == test["label"]).mean(), abs=1e-6)
    assert metrics["flipped"] == ((old >= 0.5) != (fp32 >= 0.5)).sum()
    assert (
        not open_classifier(copy.folder / "models/fp32").probabilities(test["text"].tolist()[7:8]) - fp32[7]
    )

    # A score depends on its review alone, and on the order of the labels in config.json.
    assert int8.probabilities(test["text"].tolist()[7:8]) == new[7]
    swap_labels(copy.folder / "models/int8")
    swapped = open_classifier(copy.folder / "models/int8").probabilities(test["text"].tolist()[:9])
    np.testing.assert_allclose(swapped, 1 - new[:9], atol=1e-12)


def swap_labels(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    names = config["id2label"]
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": names["1"], "1": names["0"]}}))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of one random layer with MiniLM's tokenizer."""
    folder = tmp_path_factory.mktemp("small") / "classifier"
    write_random(
        folder, "bert", hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=96
    )
    return folder


def write_random(folder: Path, kind: str, **sizes: Any) -> None:
    """Write a random classifier of this architecture, as train would."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(sources.fetch(sources.PACKAGED).folder)
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        pad_token_id=0,
        initializer_range=0.2,
        review_max_length=64,
        review_truncation="head_tail",
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        **sizes,
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="module")
def small_int8(small: Path) -> Path:
    """The same classifier in int8, as export would write it."""
    folder = shutil.copytree(small, small.with_name("int8"), ignore=shutil.ignore_patterns("*.safetensors"))
    graph.write(load_weights(small), folder / "model.onnx", "int8")
    return folder


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_int8_classifies_a_text_without_pytorch(small_int8: Path, format: str) -> None:
    command = ["sentiment", "predict", "--model", str(small_int8), "--format", format, "Warm, funny."]
    code = f"import sys; sys.argv = {command}; import sentiment.cli, atexit; "
    code += "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules})); "
    code += "sentiment.cli.main()"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE, check=True
    ).stdout
    *scores, modules = output.splitlines()
    probability = float(open_classifier(small_int8).probabilities(["Warm, funny."])[0])
    assert repr(probability) in scores[-1]
    assert not {"torch", "transformers", "pandas", "scipy", "sklearn", "datasets", "dvc"} & {*modules.split()}


def test_a_damaged_export_is_reported(small_int8: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(small_int8, tmp_path / "int8")
    content = (folder / "model.onnx").read_bytes()
    for damaged in (content[:-1000], content[:100], b"", b"no protobuf"):
        (folder / "model.onnx").write_bytes(damaged)
        with pytest.raises(InputError, match="int8: cannot be loaded: ") as error:
            open_classifier(folder)
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_missing_extra_is_reported_before_anything_is_lost(copy: Clone, tmp_path: Path) -> None:
    copy.run(EXPORT)
    before = copy.bytes_of("models", "metrics")
    copy.set(lr="1e-5")
    for name in ("onnxruntime", "onnxscript"):
        absent = tmp_path / name
        absent.mkdir()
        (absent / f"{name}.py").write_text(f"raise ModuleNotFoundError(name={name!r})")
        output = copy.run("dvc repro", fails=True, PYTHONPATH=str(absent))
        assert f"error: {name} is not installed: pip install -e '.[onnx]'" in output
        assert "Traceback" not in output
        assert executed(output) == {"check"}
        assert copy.bytes_of("models", "metrics") == before


def test_a_missing_classifier_is_reported(
    tmp_path: Path, ran: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ran.folder / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stages.export", "int8"])
    with pytest.raises(
        InputError, match=re.escape("models/classifier: no classifier there; `dvc repro` trains one")
    ):
        export.main()


@pytest.mark.slow
def test_the_same_classifier_gives_the_same_bytes_anywhere(copy: Clone) -> None:
    copy.run(EXPORT)
    first = copy.bytes_of("models/int8", "metrics/int8.json")
    elsewhere = Clone(copy.folder.rename(copy.folder.with_name("elsewhere")))
    for threads in ("1", "2"):
        elsewhere.run("dvc repro --force --single-item export@int8", OMP_NUM_THREADS=threads)
        assert elsewhere.bytes_of("models/int8", "metrics/int8.json") == first
    assert str(copy.folder.parent).encode() not in first["models/int8/model.onnx"]
    assert b".py" not in first["models/int8/model.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "sizes"),
    {
        "distilbert": {"dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 96},
        "roberta": {"max_position_embeddings": 66},
        "electra": {"embedding_size": 64},
        "albert": {"embedding_size": 64},
        "mpnet": {"max_position_embeddings": 66},  # a bias on attention
        "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 2},  # a sliding window
        "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},  # its own attention
    }.items(),
)
def test_other_architectures_score_as_in_pytorch(tmp_path: Path, kind: str, sizes: dict[str, Any]) -> None:
    common = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96}
    write_random(tmp_path / "classifier", kind, **(sizes if kind == "distilbert" else common | sizes))
    model = load_weights(tmp_path / "classifier").eval()
    reviews = [torch.randint(5, 30000, (1, length)) for length in (1, 7, 64)]
    with torch.inference_mode():
        expected = [model(input_ids=ids).logits.numpy() for ids in reviews]
    session = onnxruntime.InferenceSession(graph.onnx_graph(model).SerializeToString())
    for ids, logits in zip(reviews, expected, strict=True):
        np.testing.assert_allclose(
            session.run(None, {"input_ids": ids.numpy()})[0], logits, rtol=1e-3, atol=1e-4
        )
