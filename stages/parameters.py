"""The typed schema of params.yaml: the only reader of that file.

Each class holds the parameters of one stage, exactly those that dvc.yaml declares for it.
"""

import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from stages.errors import InputError, one_line, reason

FILE = "params.yaml"
# Of names that become part of a path or a line: a control character in one is a slip.
PRINTABLE = r"^[^\p{C}\p{Zl}\p{Zp}]+$"


def _key(allowed: str, **limits: Any) -> Any:
    """A field with its limits; `allowed` is the wording that an error shows."""
    return Field(description=allowed, **limits)


class _Stage(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class DataParams(_Stage):
    """Which reviews."""

    dataset: Annotated[str, _key("the name of a folder in data/ that holds a dataset.yaml", pattern=r"^\w[\w.-]*$")]


class PrepareParams(DataParams):
    """What prepare reads."""

    validation_size: Annotated[float, _key("a share above 0 and at most 0.5", gt=0, le=0.5)]
    max_train_reviews: Annotated[int | None, _key("null (all) or a whole number from 2", ge=2)]
    split_seed: Annotated[int, _key("a whole number from 0 to 4294967295", ge=0, lt=2**32)]


class PrecisionParams(_Stage):
    """How floating-point work is done."""

    precision: Annotated[Literal["auto", "bf16", "fp32"], _key("auto, bf16 or fp32")]


class ModelParams(PrecisionParams):
    """Which pretrained model, and how it reads: what zero_shot reads."""

    model: Annotated[str, _key("a Hub id such as org/name or org/name@revision, or a local folder", pattern=PRINTABLE)]
    max_length: Annotated[
        int, _key("a whole number of tokens from 8 to the model's limit, at most 1000000", ge=8, le=10**6)
    ]
    truncation: Annotated[Literal["head", "tail", "head_tail"], _key("head, tail or head_tail")]


class TrainParams(ModelParams):
    """What train reads."""

    train_max_length: Annotated[
        int | None,
        _key("null (max_length) or a whole number of tokens from 8 to the model's limit", ge=8, le=1_000_000),
    ]
    lr: Annotated[float, _key("a number above 0 and at most 1, such as 2e-5", gt=0, le=1)]
    batch_size: Annotated[int, _key("a whole number from 1 to 1000000", ge=1, le=10**6)]
    epochs: Annotated[int, _key("a whole number from 1 to 10000", ge=1, le=10**4)]
    warmup_ratio: Annotated[float, _key("a share from 0 to below 1", ge=0, lt=1)]
    dropout: Annotated[float | None, _key("null (the checkpoint's own) or a share from 0 to below 1", ge=0, lt=1)]
    weight_decay: Annotated[float, _key("a number from 0 to 1", ge=0, le=1)]
    seed: Annotated[int, _key("a whole number from 0 to 4294967295", ge=0, lt=2**32)]


class EvaluateParams(PrecisionParams):
    """What evaluate reads."""


class Params(PrepareParams, TrainParams):
    """The whole of params.yaml."""

    launch: Annotated[str, _key("python, or a launcher such as torchrun --standalone --nproc-per-node 8", min_length=1)]
    exports: Annotated[list[Literal["int8"]], _key("[] or [int8]", max_length=1)]


Stage = TypeVar("Stage", bound=_Stage)


def load(stage: type[Stage]) -> Stage:
    """Read params.yaml, check all of it, and return the part that belongs to one stage.

    Args:
        stage: the class of the parameters wanted, such as `TrainParams`.

    Raises:
        InputError: the file is missing, is not YAML, or has an unknown, missing or disallowed value.
    """
    content = read_yaml(FILE)
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        raise InputError(explain(error, FILE, Params)) from None
    return stage(**{name: getattr(params, name) for name in stage.model_fields})


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a mapping from a YAML file.

    Raises:
        InputError: the file cannot be read, is not valid YAML, or is not a mapping.
    """
    try:
        return parse_yaml(Path(path).read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def parse_yaml(text: str, path: str | Path) -> dict[str, Any]:
    """A mapping from YAML text as DVC reads it: YAML 1.2, where `2e-5` is a number; `path` is what errors name.

    Raises:
        InputError: the text is not valid YAML, or not a mapping.
    """
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: not valid YAML: {one_line(str(error.problem))}") from None
    except RecursionError:
        raise InputError(f"{path}: not valid YAML: nested too deeply") from None
    except Exception as error:  # `!!bool x` is a KeyError, `!!int ''` an IndexError, and so on
        raise InputError(f"{path}: not valid YAML: {reason(error)}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {type(content).__name__}; allowed: a mapping of keys to values")
    return content


def explain(error: ValidationError, path: str | Path, schema: type[BaseModel]) -> str:
    """The first fault that a schema found in a file, in one line: the key, the value, and what is allowed."""
    fault = error.errors(include_url=False)[0]
    if not fault["loc"]:
        return f"{path}: {one_line(fault['msg'].removeprefix('Value error, '))}"
    key = one_line(".".join(str(part) for part in fault["loc"]), 80)
    fields = {field.alias or name: field.description for name, field in schema.model_fields.items()}
    name = str(fault["loc"][0])
    if fault["type"] in ("extra_forbidden", "invalid_key") and len(fault["loc"]) == 1:
        close = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return f"{path}: unknown key {shortened(name)}{hint}; allowed: {', '.join(sorted(fields))}"
    allowed = fields.get(name) or fault["msg"]
    if fault["type"] == "missing":
        return f"{path}: {key} is missing; allowed: {allowed}"
    return f"{path}: {key}: {shortened(fault['input'])} is not allowed; allowed: {allowed}"


def shortened(value: Any) -> str:
    """A value of any size as an error line shows it: its repr, on one line of at most 80 characters."""
    return one_line(_SHORT.repr(value), 80)


class _Short(reprlib.Repr):
    """A repr that stays short where `repr` would not: YAML's anchors can make a few lines into gigabytes."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 80, 80

    def repr_int(self, number: int, level: int) -> str:
        return repr(number) if abs(number) < 10**80 else f"<an integer of {number.bit_length()} bits>"

    def repr_instance(self, value: Any, level: int) -> str:
        return self.repr_dict(value, level) if isinstance(value, dict) else super().repr_instance(value, level)


_SHORT = _Short()
