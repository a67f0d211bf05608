"""Many faulty pretrained models: each is loaded correctly, or refused in one line that names it."""

import json
import shutil
import string
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from sentiment.checks.dry_run import try_model
from sentiment.model.encoding import Encoder
from sentiment.model.saved import load_transformer
from sentiment.model.transformer import load_weights
from sentiment.params import Params
from sentiment.pretrained import sources
from sentiment.validation import parse_yaml
from tests.conftest import Clone
from tests.helpers.fuzzing import PARAMS, VALUES, cases, check_refusal, explore, mutated, refusal, tried

pytestmark = pytest.mark.usefixtures("elsewhere")
LETTERS = [
    *["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."],
    *string.ascii_lowercase,
    *(f"##{letter}" for letter in string.ascii_lowercase),
]
MAX_LENGTH = 32
PARSED = Params.model_validate(parse_yaml(PARAMS, "params.yaml") | {"max_length": MAX_LENGTH})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with two small layers and no head, whose tokenizer knows letters."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "vocab.txt").write_text("\n".join(LETTERS) + "\n")
    BertTokenizer(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    BertModel(config()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def headed(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a trained head, whose labels are in reverse order."""
    folder = tmp_path_factory.mktemp("headed") / "headed"
    shutil.copytree(plain, folder)
    labels = {0: "POSITIVE", 1: "NEGATIVE"}
    model = BertForSequenceClassification(config(id2label=labels, label2id={"POSITIVE": 0, "NEGATIVE": 1}))
    model.classifier.bias.data = torch.tensor([9.0, -9.0])  # it predicts POSITIVE for every review
    model.save_pretrained(folder)
    return folder


def config(**values: Any) -> BertConfig:
    return BertConfig(
        vocab_size=len(LETTERS),
        hidden_size=8,
        intermediate_size=16,
        max_position_embeddings=MAX_LENGTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        **values,
    )


def trial() -> str | None:
    """The error with which check refuses the model in the folder `model`, or None."""

    def run() -> None:
        try_model(sources.fetch("model"), PARSED)

    return refusal(run, "model model: ", "model: ", "params.yaml: max_length: ", "params.yaml: head: ")


Tensors = dict[str, torch.Tensor]
EMBEDDINGS = "embeddings.word_embeddings.weight"
TENSORS: dict[str, Callable[[Tensors], Tensors]] = {
    "other names": lambda tensors: {f"x.{name}": tensor for name, tensor in tensors.items()},
    "another shape": lambda tensors: {name: tensor[:-1].clone() for name, tensor in tensors.items()},
    "head of nine": lambda tensors: tensors | head(9),
    "head of three": lambda tensors: tensors | head(3),
    "NaN": lambda tensors: {name: tensor * float("nan") for name, tensor in tensors.items()},
    "float16": lambda tensors: {name: tensor.half() for name, tensor in tensors.items()},
    "twenty tokens": lambda tensors: tensors | {EMBEDDINGS: tensors[EMBEDDINGS][:20].clone()},
}


def head(labels: int) -> Tensors:
    return {"classifier.weight": torch.zeros(labels, 8), "classifier.bias": torch.zeros(labels)}


def edit(folder: Path, case: dict[str, Any]) -> None:
    """Edit a model's folder as a case of pretrained.yaml says."""
    for kind, value in case.items():
        if kind in ("config", "drop"):
            content = json.loads((folder / "config.json").read_text())
            if kind == "config":
                content |= value
            else:
                content = {key: content[key] for key in content if key not in value}
            (folder / "config.json").write_text(json.dumps(content))
        elif kind == "remove":
            for path in [path for pattern in value for path in folder.glob(pattern)]:
                path.unlink()
        elif kind == "tensors" and value == "pickled":
            torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        elif kind == "tensors":
            edit_tensors(folder, TENSORS[value])
        elif kind == "without":
            edit_tensors(folder, partial(without, part=value))
        for name, content in value.items() if kind in ("rename", "write", "utf16", "cut") else ():
            if kind == "rename":
                (folder / name).rename(folder / content)
            elif kind == "cut":
                (folder / name).write_bytes((folder / name).read_bytes()[:content])
            else:
                (folder / name).write_text(content, encoding="utf-16" if kind == "utf16" else "utf-8")


def without(tensors: Tensors, part: str) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if part not in name}


def edit_tensors(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})


@cases("pretrained", "plain")
def test_a_faulty_model(case: dict[str, Any], plain: Path) -> None:
    shutil.copytree(plain, "model")
    edit(Path("model"), case)
    check_refusal(trial(), case["error"])


@cases("pretrained", "headed")
def test_a_faulty_model_with_a_head(case: dict[str, Any], headed: Path) -> None:
    shutil.copytree(headed, "model")
    edit(Path("model"), case)
    check_refusal(trial(), case["error"])
    # Evaluate refuses it: its config does not say how reviews are truncated.
    assert refusal(lambda: load_transformer("model"), "model: ") is not None


def test_labels_in_reverse_order_are_read_from_the_config(headed: Path) -> None:
    shutil.copytree(headed, "model")
    edit(Path("model"), {"config": {"review_max_length": MAX_LENGTH, "review_truncation": "head"}})
    assert (load_transformer("model").probabilities(["good", "bad"]) > 0.9).all()


def test_weights_are_loaded_as_float32(plain: Path) -> None:
    shutil.copytree(plain, "model")
    edit(Path("model"), {"tensors": "float16", "config": {"dtype": "float16"}})
    assert load_weights("model", new_head=True).dtype == torch.float32


@pytest.mark.parametrize(
    "model", ["x" * 5000, "a/b/c", "a b", "org/" + "x" * 300, "../nowhere", "😀", "/nowhere", "~"]
)
def test_an_impossible_model_name_is_refused(model: str) -> None:
    assert refusal(lambda: sources.fetch(model), "params.yaml: model: ", "model ") is not None


def test_reviews_of_any_size_are_encoded(plain: Path) -> None:
    encoder = Encoder(plain, MAX_LENGTH, "head_tail")
    texts = ["a fine film " * 87_382, "x" * 2**20, "😀" * 2**18, "\0", "", "فيلم رائع", "\u202eabc"]
    encoded = encoder(texts)
    assert len(encoded.ids[0]) == MAX_LENGTH
    assert all(2 <= len(review) <= MAX_LENGTH for review in encoded.ids)
    assert encoded.truncated == 1


@tried(60, 2_000)
@pytest.mark.parametrize("which", ["plain", "headed"])
def test_a_config_with_random_values(which: str, examples: int, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(which)
    keys = [
        *sorted(json.loads((folder / "config.json").read_text())),
        *[
            "id2label",
            "label2id",
            "auto_map",
            "torch_dtype",
            "quantization_config",
            "problem_type",
            "num_labels",
        ],
        "tie_word_embeddings",
    ]
    small = VALUES.filter(
        lambda value: not (isinstance(value, int) and value > 1000)
    )  # a million layers take minutes
    values = st.dictionaries(st.sampled_from(keys), small | st.just(...), min_size=1, max_size=3)

    def test(values: dict[str, Any]) -> None:
        shutil.rmtree("model", ignore_errors=True)
        shutil.copytree(folder, "model")
        kept = {key: value for key, value in values.items() if value is not ...}
        edit(Path("model"), {"config": kept, "drop": values.keys() - kept})
        trial()

    explore(values, examples, test)


@tried(25, 1_000)
@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_a_model_with_damaged_bytes(name: str, examples: int, plain: Path) -> None:
    insertions = [
        b"\0",
        b"\xff",
        b'"',
        b"{",
        b"}",
        b"[" * 3000,
        b"null",
        b"1e999",
        b",",
        b"\xed\xa0\x80",
        b"\\ud800",
    ]

    def test(content: bytes) -> None:
        shutil.rmtree("model", ignore_errors=True)
        shutil.copytree(plain, "model")
        Path("model", name).write_bytes(content)
        trial()

    explore(mutated((plain / name).read_bytes(), insertions), examples, test)


@pytest.mark.slow
def test_a_refusal_leaves_earlier_outputs(copy: Clone, plain: Path) -> None:
    before = copy.bytes_of("data/prepared", "models", "metrics")
    shutil.copytree(plain, copy.folder / "model")
    edit(copy.folder / "model", {"remove": ["tokenizer*", "vocab.txt"]})
    for values, error in [
        (
            {"model": "model", "max_length": "32"},
            "error: model: the tokenizer's files are missing or incomplete",
        ),
        (
            {"validation_size": "0.0001"},
            "error: params.yaml: validation_size: 320 training reviews are too few",
        ),
    ]:
        params = (copy.folder / "params.yaml").read_bytes()
        copy.set(**values)
        output = copy.run("dvc repro", fails=True)
        assert error in output
        assert "Traceback" not in output
        (copy.folder / "params.yaml").write_bytes(params)
    assert copy.bytes_of("data/prepared", "models", "metrics") == before
