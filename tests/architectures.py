"""Architectures that work: a tiny random model of each goes through check, training, scoring and int8 export.

`python -m tests.architectures` tries all of them, which takes about ten minutes on two cores. It writes the
table in docs/reference/architectures.md and the exceptions in docs/models.md.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from sentiment.api import open_classifier
from sentiment.checks import dry_run
from sentiment.errors import InputError
from sentiment.labels import LABELS
from sentiment.model import scoring
from sentiment.model.encoding import Encoder
from sentiment.model.saved import save_transformer
from sentiment.model.transformer import load_weights
from sentiment.onnx import graph
from sentiment.params import Params
from sentiment.pretrained import sources
from sentiment.pretrained.building import build_classifier, longest_read
from sentiment.training import fine_tuning
from sentiment.validation import read_yaml
from tests.conftest import ROOT

TABLE_PAGE = ROOT / "docs/reference/architectures.md"
EXCEPTIONS_PAGE = ROOT / "docs/models.md"
START, END = "<!-- architectures: tests/architectures.py -->\n", "<!-- end of architectures -->\n"
POSITIONS = 130  # size of the position embedding, if there is one
MAX_TRIED = 600  # tokens of the longest review
ROUNDING = 1e-5  # largest change that rounding causes in a logit of these models, whose logits are small
HEADER = (
    "| architecture | train | evaluate, predict | int8 | "
    f"longest review with {POSITIONS} positions, in tokens | padding changes scores |\n"
    "|---|---|---|---|---|---|\n"
)
PARAMS = Params.model_validate(
    read_yaml(ROOT / "params.yaml")
    | {"max_length": 64, "train_max_length": 48, "epochs": 1, "batch_size": 8, "precision": "fp32"}
)

TABLE = read_yaml(ROOT / "tests/architectures.yaml")
TOKENIZERS: dict[str, dict[str, Any]] = TABLE["tokenizers"]
KINDS: dict[str, dict[str, Any]] = TABLE["architectures"]


@cache
def reviews() -> pd.DataFrame:
    """600 labelled reviews of the sample, from which the tokenizers learn."""
    return pd.read_csv(ROOT / "data/sample/reviews.csv").head(600)


@cache
def tokenizer(style: str) -> PreTrainedTokenizerFast:
    """Train a tokenizer of about 800 tokens on the sample.

    Args:
        style: a key of TOKENIZERS.
    """
    cut, template, tokens = (TOKENIZERS[style][key] for key in ("cut", "template", "special"))
    options: dict[str, Any] = {
        "vocab_size": 800,
        "special_tokens": list(tokens.values()),
        "show_progress": False,
    }
    trainer: Any
    if cut == "wordpiece":
        trained = Tokenizer(models.WordPiece(unk_token=tokens["unk"]))
        trained.normalizer = normalizers.BertNormalizer()
        trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(**options)
    elif cut == "bytes":
        trained = Tokenizer(models.BPE())
        trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trained.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(**options, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        trained = Tokenizer(models.Unigram())
        trained.normalizer = normalizers.NFKC()
        trained.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(**options, unk_token=tokens["unk"])
    trained.train_from_iterator(reviews()["text"], trainer)
    special = [(token, trained.token_to_id(token)) for token in template.split() if token != "$A"]
    trained.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    side = TOKENIZERS[style].get("padding_side", "right")
    names = {f"{name}_token": token for name, token in tokens.items()}
    return PreTrainedTokenizerFast(tokenizer_object=trained, padding_side=side, **names)


def write_pretrained(folder: Path, kind: str, head: bool = False, **config: Any) -> Path:
    """Write a tiny random checkpoint, and return its folder.

    Args:
        folder: is created.
        kind: a key of KINDS.
        head: add a classification head; without one, the checkpoint is as after pretraining.
        config: changes to its config.
    """
    sizes = dict(KINDS[kind])
    style = sizes.pop("tokenizer")
    words = tokenizer(style)
    ids = {key: getattr(words, key) for key in ("pad_token_id", "bos_token_id", "eos_token_id")}
    # As on the Hub, the config has no padding token where the tokenizer has none.
    ids = {key: id for key, id in ids.items() if id is not None or key == "pad_token_id"}
    torch.manual_seed(0)
    built = AutoConfig.for_model(kind, **({"vocab_size": len(words)} | ids | sizes | config))
    model: Any = AutoModelForSequenceClassification.from_config(built)
    for weight in model.parameters():
        if weight.ndim > 1 and weight.std() < 0.03:
            weight.data *= 4  # otherwise attention is uniform, and positions in a review do not matter
    (model if head else model.base_model).save_pretrained(folder)
    words.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"tokenizer_class": TOKENIZERS[style]["class"]})
    )
    return folder


def row(kind: str, folder: Path) -> str:
    """Try an architecture, and return its row of the table.

    Args:
        kind: a key of KINDS.
        folder: an empty folder for its files.
    """
    base = sources.fetch(str(write_pretrained(folder / kind, kind)))
    dry_run.try_model(base, PARAMS)
    encoder = Encoder(base.folder, PARAMS.max_length, PARAMS.truncation)
    texts = reviews()["text"].head(16).tolist()
    texts[:2] = ["Good.", "I loved it, really"]  # so that lengths differ

    def train() -> None:
        data = fine_tuning.as_dataset(encoder(texts).ids, [0, 1] * 8)
        fine_tuned = fine_tuning.train_within_memory(
            fine_tuning.TrainingJob(
                folder / "checkpoints", base, encoder, PARAMS, data, data, folder / "curves"
            )
        )
        save_transformer(folder / "classifier", fine_tuned.model, encoder, kind)

    def score() -> np.ndarray:
        classifier = open_classifier(folder / "classifier", "fp32")
        together = classifier.probabilities(texts)
        alone = np.concatenate([classifier.probabilities([text]) for text in reversed(texts)])[::-1]
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
        np.testing.assert_allclose(together, classifier.probabilities(texts[::-1])[::-1], rtol=0, atol=1e-6)
        return together

    def export() -> None:
        shutil.copytree(
            folder / "classifier", folder / "int8", ignore=shutil.ignore_patterns("*.safetensors")
        )
        graph.write(load_weights(folder / "classifier"), folder / "int8/model.onnx", "int8")
        np.testing.assert_allclose(
            open_classifier(folder / "int8").probabilities(texts), score(), rtol=0, atol=0.05
        )

    cells = [cell(train), cell(score), cell(export)]
    labels = dict(enumerate(LABELS))
    headed = sources.fetch(str(write_pretrained(folder / "headed", kind, head=True, id2label=labels)))
    model = build_classifier(headed, encoder).eval()
    longest = longest_read(model, encoder, MAX_TRIED)
    cells.append("no limit" if longest == MAX_TRIED else str(longest))
    padding_matters = scoring.padding_effect(model, encoder) > ROUNDING
    cells.append("yes" if padding_matters else "no")
    return f"| {' | '.join([kind, *cells])} |\n"


def cell(step: Callable[[], object]) -> str:
    """Run a step, and return its cell of the table: yes, or the reason why it fails."""
    try:
        step()
    except AssertionError:
        raise
    except InputError as error:
        cause = re.search(r"cannot be loaded: (\w+)", str(error))
        return f"refused: {cause[1] if cause else type(error).__name__}"
    except Exception as error:  # PyTorch's exporter raises many types
        return f"refused: {type(error).__name__}"
    return "yes"


def between_markers(page: Path) -> str:
    """What a program of tests/ has written on a page."""
    return page.read_text(encoding="utf-8").split(START)[1].split(END)[0]


def replace_between_markers(page: Path, content: str) -> None:
    """Write new content between the markers of a page."""
    before, rest = page.read_text(encoding="utf-8").split(START)
    page.write_text(before + START + content + END + rest.split(END)[1], encoding="utf-8")


def rows() -> dict[str, str]:
    """The lines of the table in docs/reference/architectures.md, by architecture."""
    lines = between_markers(TABLE_PAGE).removeprefix(HEADER).splitlines(keepends=True)
    return {line.split("|")[1].strip(): line for line in lines}


def exceptions(lines: Iterable[str]) -> str:
    """A Markdown table of what does not work or differs, with the architectures, from the lines of all."""
    refused: dict[str, list[str]] = {"training": [], "scoring": [], "export to ONNX in int8": []}
    padding_matters = []
    for line in lines:
        kind, train, score, export, _, padding = (cell.strip() for cell in line.strip("|\n").split("|"))
        for kinds, outcome in zip(refused.values(), (train, score, export), strict=True):
            if outcome != "yes":
                kinds.append(kind)
        if padding == "yes":
            padding_matters.append(kind)
    table = "| exception | architectures |\n|---|---|\n"
    for step, kinds in refused.items():
        if kinds:
            table += f"| {step} is refused | {', '.join(kinds)} |\n"
    return table + f"| padding changes scores | {', '.join(padding_matters)} |\n"


def main() -> None:
    """Try all architectures, print their lines, and write the table and the exceptions."""
    lines = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name:
            lines.append(row(kind, Path(name)))
        print(lines[-1], end="", flush=True)
    replace_between_markers(TABLE_PAGE, HEADER + "".join(lines))
    replace_between_markers(EXCEPTIONS_PAGE, exceptions(lines))


if __name__ == "__main__":
    main()
