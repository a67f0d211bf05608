"""Table of architectures in docs/models.md: each goes, tiny and random, through check, training, scoring and int8 export.

`python -m tests.architectures` tries all of them and writes the table, in some ten minutes on two cores.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Callable
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

PAGE = ROOT / "docs/models.md"
START, END = "<!-- architectures: tests/architectures.py -->\n", "<!-- end of architectures -->\n"
POSITIONS, TRIED = (
    130,
    600,
)  # tokens: of the embedding of positions, if there is one, and of the longest review
ROUNDED = 1e-5  # what rounding changes in a logit of these models, whose logits are small
HEADER = (
    f"| architecture | train | evaluate, predict | int8 | most tokens of {POSITIONS} positions | padding changes scores |\n"
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
    """Reviews of the sample, 600 to learn words from, with their labels."""
    return pd.read_csv(ROOT / "data/sample/reviews.csv").head(600)


@cache
def tokenizer(style: str) -> PreTrainedTokenizerFast:
    """A tokenizer of one of TOKENIZERS, of some 800 tokens of the sample's words."""
    cut, template, tokens = (TOKENIZERS[style][key] for key in ("cut", "template", "special"))
    special: dict[str, Any] = {
        "vocab_size": 800,
        "special_tokens": list(tokens.values()),
        "show_progress": False,
    }
    learner: Any
    if cut == "wordpiece":
        learned = Tokenizer(models.WordPiece(unk_token=tokens["unk"]))
        learned.normalizer, learned.pre_tokenizer = (
            normalizers.BertNormalizer(),
            pre_tokenizers.BertPreTokenizer(),
        )
        learner = trainers.WordPieceTrainer(**special)
    elif cut == "bytes":
        learned = Tokenizer(models.BPE())
        learned.pre_tokenizer, learned.decoder = (
            pre_tokenizers.ByteLevel(add_prefix_space=False),
            decoders.ByteLevel(),
        )
        learner = trainers.BpeTrainer(**special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        learned = Tokenizer(models.Unigram())
        learned.normalizer, learned.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
        learner = trainers.UnigramTrainer(**special, unk_token=tokens["unk"])
    learned.train_from_iterator(reviews()["text"], learner)
    around = [(token, learned.token_to_id(token)) for token in template.split() if token != "$A"]
    learned.post_processor = processors.TemplateProcessing(single=template, special_tokens=around)
    side = TOKENIZERS[style].get("padding_side", "right")
    parts = {f"{name}_token": token for name, token in tokens.items()}
    return PreTrainedTokenizerFast(tokenizer_object=learned, padding_side=side, **parts)


def write_pretrained(folder: Path, kind: str, head: bool = False, **config: Any) -> Path:
    """Write a tiny random checkpoint of one of KINDS, as pretraining leaves it or with a head; return its folder."""
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
            weight.data *= 4  # else attention is even, and no place in a review matters
    (model if head else model.base_model).save_pretrained(folder)
    words.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"tokenizer_class": TOKENIZERS[style]["class"]})
    )
    return folder


def row(kind: str, folder: Path) -> str:
    """The line of the table for an architecture, which is tried in an empty folder."""
    base = sources.fetch(str(write_pretrained(folder / kind, kind)))
    dry_run.try_model(base, PARAMS)
    encoder = Encoder(base.folder, PARAMS.max_length, PARAMS.truncation)
    texts, answers = reviews()["text"].head(16).tolist(), [0, 1] * 8
    texts[:2] = ["Good.", "I loved it, really"]  # so that lengths differ

    def train() -> None:
        data = fine_tuning.as_dataset(encoder(texts)[0], answers)
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
    most = longest_read(model, encoder, TRIED)
    padding = scoring.padding_changes_logits(model, encoder) > ROUNDED
    return f"| {' | '.join([kind, *cells, 'no limit' if most == TRIED else str(most), 'yes' if padding else 'no'])} |\n"


def cell(step: Callable[[], object]) -> str:
    """Whether a step works, as a table says it: yes, or why it does not."""
    try:
        step()
    except AssertionError:
        raise
    except Exception as error:  # of an export, whatever PyTorch raises
        named = re.search(r"cannot be loaded: (\w+)", str(error)) if isinstance(error, InputError) else None
        return f"refused: {named[1] if named else type(error).__name__}"
    return "yes"


def rows() -> dict[str, str]:
    """The lines of the table in docs/models.md, by architecture."""
    table = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0].removeprefix(HEADER)
    return {line.split("|")[1].strip(): line for line in table.splitlines(keepends=True)}


def main() -> None:
    """Try all architectures, print their lines, and write the table."""
    lines = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name:
            lines.append(row(kind, Path(name)))
        print(lines[-1], end="", flush=True)
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    PAGE.write_text(before + START + HEADER + "".join(lines) + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
