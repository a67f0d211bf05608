"""The Hub: the real clients of datasets and transformers, against a faulty hub on loopback."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save
from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification, pipeline

from sentiment.pretrained import sources
from tests.conftest import SMALL, Clone
from tests.helpers import hub
from tests.helpers.hub import TOKEN, Fault, Hub
from tests.helpers.user import MODEL, User

LABELS = ("POSITIVE", "NEGATIVE")  # in the reverse order of the data
DATASET = f"hub: test/reviews\nrevision: {hub.COMMIT}\nrows: {{train: 80, test: 20}}\n"
MIB = 2**20
SLOW = pytest.mark.slow
CONFIG = b'{"model_type": "bert"}'


def weights(size: int) -> bytes:
    """A safetensors file with one tensor of `size` random bytes."""
    return save({"weight": torch.frombuffer(bytearray(os.urandom(size)), dtype=torch.uint8)})


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dataset of short reviews, a tiny DistilBERT with a trained head, and incomplete models."""
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
    config.update(
        {"auto_map": {"AutoConfig": "code.Config", "AutoModelForSequenceClassification": "code.Model"}}
    )
    DistilBertForSequenceClassification(config).save_pretrained(top / "model")
    AutoTokenizer.from_pretrained(sources.fetch(sources.PACKAGED).folder).save_pretrained(top / "model")
    (top / "model/code.py").write_text("raise SystemExit('the code of the repository was run')")
    (top / "model/pytorch_model.bin").write_bytes(b"a pickle")
    (top / "data").mkdir()
    for split, count in {"train": 80, "test": 20}.items():
        texts = [
            f"Film {split} {number}: {('dreadful', 'wonderful')[number % 2]}." for number in range(count)
        ]
        rows = pd.DataFrame({"text": texts, "label": [number % 2 for number in range(count)]})
        rows.to_parquet(top / "data" / f"{split}-00000-of-00001.parquet")
    for name, files in {
        "small": {"config.json": CONFIG, "tokenizer.json": b"{ }", "model.safetensors": weights(8)},
        "large": {"config.json": CONFIG, "model.safetensors": weights(25 * MIB)},
        "pickle": {"config.json": CONFIG, "pytorch_model.bin": b"a pickle"},
        "deberta": {"config.json": CONFIG, "spm.model": b"pieces", "model.safetensors": weights(8)}
        | {f"{folder}/model.safetensors": weights(8) for folder in ("checkpoint-1", "onnx/old")},
        "nested": {
            "modules.json": b"[]",
            "1_Pooling/config.json": b"{}",
            "2_Dense/config.json": b"{}",
            "2_Dense/model.safetensors": weights(8),
            "0_Transformer/config.json": CONFIG,
            "0_Transformer/tokenizer.json": b"{ }",
            "0_Transformer/model.safetensors": weights(8),
        },
        "adapter": {"adapter_config.json": b"{}", "adapter_model.safetensors": weights(8)},
    }.items():
        for file, content in files.items():
            (top / name / file).parent.mkdir(parents=True, exist_ok=True)
            (top / name / file).write_bytes(content)
    models = {
        f"models/test/{name}": top / name
        for name in ("small", "large", "pickle", "deberta", "nested", "adapter")
    }
    (top / "broken").mkdir()
    (top / "broken/train.parquet").write_bytes(b"PAR1")
    models["datasets/test/broken"] = top / "broken"
    return models | {"models/test/tiny": top / "model", "datasets/test/reviews": top / "data"}


@pytest.fixture
def served(repositories: dict[str, Path]) -> Iterator[Hub]:
    with hub.serve(dict(repositories)) as running:
        yield running


@pytest.fixture
def user(tmp_path: Path, served: Hub) -> User:
    return User(tmp_path / "home of somebody", served)


def test_an_experiment_on_a_hub_dataset_and_a_hub_model(
    clone: Clone, user: User, repositories: dict[str, Path]
) -> None:
    clone.set(**SMALL)
    clone.dataset("tiny", DATASET)
    clone.commit()
    command = f"dvc exp run -S dataset=tiny -S model=test/tiny@{hub.COMMIT} -S lr=1e-9 -S epochs=1"
    clone.environment |= user.environment()
    printed = clone.run(command)

    # A trained head is kept, NEGATIVE's row first: at this lr, only the temperature has changed it.
    before = load_file(repositories["models/test/tiny"] / "model.safetensors")["classifier.weight"].flip(0)
    after = load_file(clone.folder / "models/classifier/model.safetensors")["classifier.weight"]
    torch.testing.assert_close(after * clone.details("train")["temperature"], before, atol=1e-6, rtol=0)

    # So no label changed.
    probe, test = clone.details("probe"), clone.details("test")
    assert probe["accuracy"] == test["accuracy"]
    assert probe["roc_auc"] == pytest.approx(test["roc_auc"], abs=0.02)

    # The probabilities are those of POSITIVE, whichever index the model has it at.
    predictions = pd.read_parquet(clone.folder / "metrics/predictions/classifier/test.parquet")
    texts = pd.read_parquet(clone.folder / "data/prepared/test.parquet")["text"]
    classify = pipeline(
        "text-classification", str(clone.folder / "models/classifier"), top_k=None, device="cpu"
    )
    scores: list[dict[str, float]]
    scores = [{score["label"]: score["score"] for score in both} for both in classify(list(texts))]  # type: ignore
    assert predictions["probability"].to_list() == pytest.approx(
        [score["POSITIVE"] for score in scores], abs=0.01
    )
    assert (
        f'"base_model": "test/tiny@{hub.COMMIT}"'
        in (clone.folder / "models/classifier/config.json").read_text()
    )

    # With everything cached there is no request, and the results are the same.
    asked = len(user.hub.requests)
    outputs = ("data/prepared", "models/classifier", "metrics/train.json", "metrics/probe.json")
    written = clone.bytes_of(*outputs)
    # In one process: starting four takes longer than running them.
    program = "from stages import check, prepare, probe, train\n"
    program += "for stage in (check, prepare, probe, train): stage.main()"
    (clone.folder / "again.py").write_text(program)
    printed += clone.run("python again.py", HF_HUB_OFFLINE="1")
    assert len(user.hub.requests) == asked
    assert clone.bytes_of(*outputs) == written

    # No code and no pickle was fetched; no token and no home folder was kept.
    assert not user.hub.asked(r"\.(py|bin)$")
    kept = clone.bytes_of("data", "models", "metrics", "dvc.lock", ".dvc")
    assert any("dvc.lock" in name for name in kept)
    for private in (TOKEN, str(user.home)):
        assert private not in printed
        assert not [name for name, content in kept.items() if private.encode() in content]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"dataset": "tiny"}, "error: dataset test/reviews@c0ffee1"),
        pytest.param(
            {"model": "test/tiny"}, "error: model test/tiny could not be fetched from the Hub: ", marks=SLOW
        ),
    ],
)
def test_an_unreachable_hub_is_one_line_and_leaves_earlier_outputs(
    copy: Clone, tmp_path: Path, setting: dict[str, str], message: str
) -> None:
    before = copy.bytes_of("data/prepared", "models/classifier", "metrics")
    copy.dataset("tiny", DATASET)
    copy.set(**setting)
    # Without waiting, which takes 20 s over all retries.
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep = lambda seconds: None\n")
    paths = f"{tmp_path}{os.pathsep}{copy.folder}"
    where = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": paths}
    output = copy.run("dvc repro", fails=True, **where)
    assert message in output
    assert "Traceback" not in output
    assert copy.bytes_of("data/prepared", "models/classifier", "metrics") == before


def test_missing_repositories_and_revisions_are_named(user: User) -> None:
    for model, message in {
        "test/nosuch": "the repository does not exist",
        "test/small@v9": "the revision does not exist",
        f"test/small@{'b' * 40}": "the revision does not exist",
    }.items():
        error = user.fetch(model, fails=True)
        assert error.startswith(f"error: model {model} could not be fetched from the Hub: {message}")
    assert user.fetch("test/pickle", fails=True).endswith(
        "no other format is loaded; the Hub often has a conversion: test/pickle@refs/pr/1"
    )
    assert "is a PEFT adapter; merge it into its model first" in user.fetch("test/adapter", fails=True)
    assert not user.hub.asked(r"\.bin")


def test_only_the_top_folder_of_a_model_is_downloaded(user: User) -> None:
    assert user.fetch("test/deberta") == f"test/deberta@{hub.COMMIT}"
    fetched = {
        request.split("/resolve/")[1].split("/", 1)[1] for request in user.hub.asked("GET .*/resolve/")
    }
    assert fetched == {"config.json", "spm.model", "model.safetensors"}


def test_the_error_names_a_model_in_a_folder_of_a_repository(user: User) -> None:
    assert user.fetch("test/nested", fails=True) == (
        f"error: model test/nested@{hub.COMMIT}: the model is in a folder of its repository: 0_Transformer; "
        f"download it, `hf download test/nested --revision {hub.COMMIT} --include '0_Transformer/*' "
        "--local-dir models/nested`, and use -S model=models/nested/0_Transformer"
    )
    assert not user.hub.asked("safetensors")


# A request of each kind: the commit of main, the list of files, one file's hash and size, its content.
KINDS = ["GET /api/models/test/small$", "GET /api/.*/tree/", "HEAD .*safetensors", "GET .*safetensors"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_requests_to_a_busy_or_broken_hub_are_retried(user: User, status: int) -> None:
    user.hub.faults = [
        Fault(kind, times=2, status=status, retry_after=0 if status == 429 else None) for kind in KINDS
    ]
    assert user.fetch("test/small") == MODEL
    assert user.hub.injected == 8
    assert [len(user.hub.asked(kind)) for kind in KINDS] == [3, 3, 3, 3]


# After the first HEAD, huggingface_hub looks into the cache.
TRIES = dict(zip(KINDS, (6, 6, 7, 6), strict=True))


@pytest.mark.parametrize("status", [pytest.param(429, marks=SLOW), pytest.param(500, marks=SLOW), 503])
@pytest.mark.parametrize("kind", [*(pytest.param(kind, marks=SLOW) for kind in KINDS[:3]), KINDS[3]])
def test_retries_end_if_the_hub_stays_busy_or_broken(user: User, kind: str, status: int) -> None:
    user.hub.faults = [Fault(kind, status=status, retry_after=0 if status == 429 else None)]
    assert user.fetch("test/small", fails=True) == (
        "error: model test/small could not be fetched from the Hub: the request to 127.0.0.1 failed: "
        f"HTTP {status}; check the network and HF_ENDPOINT, then run it again: transferred files are kept"
    )
    assert len(user.hub.asked(kind)) == TRIES[kind]

    # A second run fetches what is missing and nothing else.
    user.hub.faults.clear()
    user.hub.requests.clear()
    assert user.fetch() == MODEL
    if kind == KINDS[3]:
        assert [request.split("/")[-1] for request in user.hub.requests] == ["model.safetensors"] * 2
    user.hub.requests.clear()
    assert user.fetch() == MODEL
    assert not user.hub.requests


def test_an_unreachable_hub_is_named(user: User) -> None:
    error = user.fetch(fails=True, HF_ENDPOINT="http://127.0.0.1:9")
    assert (
        "from the Hub: the request to 127.0.0.1 failed: [Errno 111] Connection refused; check the network"
        in error
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_hub_that_asks_for_a_long_wait_is_not_retried(user: User, kind: str) -> None:
    user.hub.faults = [Fault(kind, status=429, retry_after=3600)]
    assert "127.0.0.1 answers HTTP 429 and asks to wait 3600 s; " in user.fetch("test/small", fails=True)
    assert len(user.hub.asked(kind)) == 1


@pytest.mark.parametrize("kind", [*(pytest.param(kind, marks=SLOW) for kind in KINDS[:3]), KINDS[3]])
def test_requests_without_an_answer_time_out(user: User, kind: str) -> None:
    user.hub.faults = [Fault(kind, end="stall")]
    error = user.fetch("test/small", fails=True, HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert (
        "could not be fetched from the Hub: the request to 127.0.0.1 failed: timed out; check the network"
        in error
    )
    assert len(user.hub.asked(kind)) == TRIES[kind]


@pytest.mark.parametrize("end", ["cut", *(pytest.param(end, marks=SLOW) for end in ("reset", "stall"))])
def test_an_interrupted_download_resumes(user: User, end: Literal["cut", "reset", "stall"]) -> None:
    user.hub.faults = [Fault("GET .*safetensors", times=1, sent=21 * MIB, end=end)]
    model = f"test/large@{hub.COMMIT}"
    assert user.fetch(model, HF_HUB_DOWNLOAD_TIMEOUT="1") == model
    first, second = user.hub.asked("GET .*safetensors")
    assert "bytes" not in first
    # After one or two chunks of 10 MiB: a reset loses some.
    assert re.search(r"bytes=(10485760|20971520)-$", second)


@SLOW
@pytest.mark.parametrize("end", ["cut", "reset", "stall"])
def test_retries_end_if_a_download_is_always_interrupted(
    user: User, end: Literal["cut", "reset", "stall"]
) -> None:
    user.hub.faults = [Fault("GET .*safetensors", sent=3, end=end)]
    error = user.fetch(fails=True, HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert re.search(
        "failed: (peer closed connection|.* reset by peer|timed out).*; .* transferred are kept$", error
    )
    assert len(user.hub.asked("GET .*safetensors")) == 6
    user.hub.faults.clear()
    user.hub.requests.clear()
    assert user.fetch() == MODEL
    assert {request.split("/")[-1] for request in user.hub.requests} == {"model.safetensors"}


@pytest.mark.parametrize("file", [pytest.param("config.json", marks=SLOW), "model.safetensors"])
def test_a_file_with_a_wrong_hash_is_refused_and_downloaded_again(user: User, file: str) -> None:
    user.hub.faults = [Fault(f"GET .*{file}", times=1, damaged=True)]
    error = f"error: model {MODEL}: {file} had a wrong hash and was removed from the cache; "
    assert user.fetch(fails=True) == f"{error}run it again to download it"
    assert user.fetch() == MODEL

    user.cached(file).write_bytes(b"[]")
    offline = {"HF_HUB_OFFLINE": "1"}
    assert user.fetch(fails=True, **offline) == f"{error}run it again without HF_HUB_OFFLINE to download it"
    assert "some of its files are not cached, and HF_HUB_OFFLINE is set" in user.fetch(fails=True, **offline)
    assert user.fetch() == MODEL
    assert len(user.hub.asked(f"GET .*{file}")) == 3
    user.cached(file).unlink()
    assert user.fetch() == MODEL


def test_the_cache_does_not_silently_replace_an_unreachable_model(user: User) -> None:
    assert user.fetch("test/small") == MODEL
    user.hub.faults = [Fault("/api/models/", status=401)]
    assert "401" in user.fetch("test/small", fails=True)
    user.hub.faults = [Fault("/api/models/", status=500)]
    assert "HTTP 500" in user.fetch("test/small", fails=True)
    user.hub.requests.clear()
    assert user.fetch("test/small", HF_HUB_OFFLINE="1") == MODEL
    assert not user.hub.requests


@pytest.mark.parametrize(
    ("tries", "message"), [(float("inf"), "HTTP 503"), (6, "the Hub did not list the files")]
)
def test_a_partly_cached_model_is_not_used(user: User, tries: float, message: str) -> None:
    code = "from huggingface_hub import hf_hub_download; "
    code += f"hf_hub_download('test/large', 'config.json', revision='{hub.COMMIT}')"
    user.run("-c", code, environment={"HF_HUB_DISABLE_PROGRESS_BARS": "1"})
    user.hub.faults = [Fault("tree", times=tries, status=503)]
    assert message in user.fetch(f"test/large@{hub.COMMIT}", fails=True)


def test_a_cache_without_a_list_of_files_is_used(user: User) -> None:
    trees = user.home / ".cache/huggingface/hub/models--test--small/trees"
    trees.parent.mkdir(parents=True)
    trees.write_text("a file in place of the folder for lists, as if the cache were read-only")
    assert user.fetch() == MODEL
    assert user.fetch() == MODEL
    assert len(user.hub.asked("GET .*safetensors")) == 1


@pytest.mark.parametrize("offline", [pytest.param("0", marks=SLOW), "1"])
def test_another_revision_of_a_dataset_is_never_used(user: User, offline: str) -> None:
    assert user.load(DATASET) == "100"
    user.hub.faults = [Fault(".", status=503)]
    error = user.load(DATASET.replace(hub.COMMIT, "b" * 40), fails=True, HF_HUB_OFFLINE=offline)
    assert ("HF_HUB_OFFLINE is set" if offline == "1" else "HTTP 503") in error


@SLOW
def test_a_dataset_with_a_wrong_hash_is_refused_and_downloaded_again(user: User) -> None:
    user.hub.faults = [Fault("GET .*test-0.*parquet", times=1, damaged=True)]
    assert "test-00000-of-00001.parquet had a wrong hash" in user.load(DATASET, fails=True)
    assert user.load(DATASET) == "100"
    user.hub.requests.clear()
    assert user.load(DATASET, HF_HUB_OFFLINE="1") == "100"
    assert not user.hub.requests


@SLOW
def test_an_unreadable_dataset_is_one_line(user: User) -> None:
    error = user.load(f"{DATASET.replace('test/reviews', 'test/broken')}test_size: 0.2\n", fails=True)
    assert error.startswith("error: test/broken train.parquet: cannot be loaded: ArrowInvalid: ")


def test_no_error_shows_the_token_or_the_home_folder(user: User) -> None:
    user.hub.faults = [Fault("tree", status=400)]
    assert "400" in user.fetch(fails=True)
    assert "Connection refused" in user.fetch(fails=True, HF_ENDPOINT=f"http://somebody:{TOKEN}@127.0.0.1:9")
    user.hub.faults.clear()
    (user.home / ".cache").write_text("a file where the cache is to be")
    assert "~/.cache" in user.fetch(fails=True)
