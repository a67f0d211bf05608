"""The typed schema of params.yaml, and the only reader of that file.

Each class has the parameters of one stage, exactly those that dvc.yaml declares for it.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sentiment.errors import InputError
from sentiment.project import is_top_folder
from sentiment.validation import PRINTABLE, explain, read_yaml

FILE = "params.yaml"
_LAUNCH = r"^(python( +-[BOu]+)*|(torchrun|python +-m +torch\.distributed\.run)( +[\w.,:=/@%+-]+)*) *$"
_DATASET = r"^\w[\w.-]*$"
_SEED = "a whole number from 0 to 4294967295"
_LR = "a number above 0 and at most 1, such as 2e-5"
_MODEL = "a Hub id such as org/name or org/name@revision, or a local folder"
_HEAD = "auto, new, or two labels of the model's head, the negative one first, such as [LABEL_0, LABEL_1]"
Head = Literal["auto", "new"] | Annotated[list[str | int], Field(min_length=2, max_length=2)]


def _parameter(description: str, allowed: str, **limits: Any) -> Any:
    """A pydantic field: description (for docs/parameters.md), allowed values in words (for errors)."""
    return Field(description=description, json_schema_extra={"allowed": allowed}, **limits)


class _Stage(BaseModel):
    """The parameters of one stage."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("also_test", "teachers", "exports", check_fields=False)
    @classmethod
    def _different(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise ValueError("duplicate values")
        return values

    @classmethod
    def load(cls) -> Self:
        """Read params.yaml, check all of it, and return the parameters of this stage.

        Raises:
            InputError: the file is missing or not YAML; a key is unknown or missing; or a value is not
                allowed.
        """
        content = read_yaml(FILE)
        try:
            params = Params.model_validate(content)
        except ValidationError as error:
            raise InputError(explain(error, FILE, Params)) from None
        return cls(**{name: getattr(params, name) for name in cls.model_fields})


class PrepareParams(_Stage):
    """The parameters of prepare: the dataset and its splits."""

    dataset: str = _parameter(
        "folder in `data/`",
        "the name of a folder in data/ that contains a dataset.yaml",
        pattern=_DATASET,
    )
    validation_size: float = _parameter(
        "share of the training reviews that is held out for choosing the checkpoint; stratified, in whole "
        "groups if the dataset has groups",
        "a share above 0 and at most 0.5",
        gt=0,
        le=0.5,
    )
    max_train_reviews: int | None = _parameter(
        "maximum number of training reviews, a stratified sample, for short runs",
        "null (all) or a whole number from 2",
        ge=2,
    )
    split_seed: int = _parameter("seed of the validation split and of that sample", _SEED, ge=0, lt=2**32)
    also_test: list[Annotated[str, Field(pattern=_DATASET)]] = _parameter(
        "datasets in `data/` on whose test split every model is evaluated too; reviews that occur there are "
        "dropped from training",
        "[] or a list of different names of folders in data/ that contain a dataset.yaml, such as "
        "[challenge]",
    )


class EvaluateParams(_Stage):
    """The parameters of evaluate and of prediction."""

    precision: Literal["auto", "bf16", "fp32"] = _parameter(
        "`bf16`, `fp32`, or `auto`: bf16 on hardware with matrix units for it (CUDA, AMX), else fp32",
        "auto, bf16 or fp32",
    )


class _EncodingParams(EvaluateParams):
    """How reviews are truncated, and the precision of scoring them."""

    truncation: Literal["head", "tail", "head_tail"] = _parameter(
        "part of a longer review that is kept: `head`, `tail`, or `head_tail`, a quarter from the head and "
        "the rest from the tail ([Sun et al. 2019](https://arxiv.org/abs/1905.05583))",
        "head, tail or head_tail",
    )


class ProbeParams(_EncodingParams):
    """The parameters of probe: the pretrained model, and how reviews are encoded for it."""

    model: str = _parameter(
        "Hub id, optionally `@revision`, or a local folder; safetensors only", _MODEL, pattern=PRINTABLE
    )
    head: Head = _parameter(
        "classification head: `auto` keeps the pretrained model's head if its labels tell which one is "
        "negative (a neutral one is ignored), and creates a new one if it has none; `new` creates a new one; "
        "`[LABEL_0, LABEL_1]` keeps these two of its labels, the negative one first",
        _HEAD,
    )
    max_length: int = _parameter(
        "maximum number of tokens per review",
        "a whole number of tokens from 8 to the model's limit, at most 1000000",
        ge=8,
        le=10**6,
    )


class _TrainingParams(_EncodingParams):
    """The parameters that teach and train share."""

    probe_head: bool = _parameter(
        "a new head starts as a linear probe of the frozen model "
        "([Kumar et al. 2022](https://arxiv.org/abs/2202.10054)) instead of at random",
        "true or false",
        strict=True,
    )
    batch_size: int = _parameter(
        "reviews per optimizer step, on any hardware", "a whole number from 1 to 1000000", ge=1, le=10**6
    )
    warmup_ratio: float = _parameter(
        "share of the steps in which the learning rate warms up", "a share from 0 to below 1", ge=0, lt=1
    )
    weight_decay: float = _parameter("weight decay of AdamW", "a number from 0 to 1", ge=0, le=1)
    launch: str = _parameter(
        "command that starts training: `python`, or `torchrun --standalone --nproc-per-node 8` for eight "
        "GPUs; no shell interprets it",
        "python, or torchrun and its options, such as torchrun --standalone --nproc-per-node 8, without "
        "shell syntax",
        pattern=_LAUNCH,
    )
    dropout: float | None = _parameter(
        "dropout of attention and hidden layers in training; `null` keeps the pretrained model's own, which "
        "is slower on CPUs",
        "null (the pretrained model's own) or a share from 0 to below 1",
        ge=0,
        lt=1,
    )


class TeachParams(_TrainingParams):
    """The parameters of teach. The seed comes from `teachers`, and the rest from the file of `teaching`."""

    teacher_epochs: int = _parameter(
        "passes of each teacher over the labelled reviews; 0 uses `teacher_model` as it is",
        "a whole number from 0 to 10000",
        ge=0,
        le=10**4,
    )


class TrainParams(ProbeParams, _TrainingParams):
    """The parameters of train."""

    train_max_length: int | None = _parameter(
        "maximum number of tokens per review in training; `null` means `max_length`, which is also the most. "
        "Fewer tokens train faster",
        "null (max_length) or a whole number of tokens from 8 to the model's limit",
        ge=8,
        le=10**6,
    )
    lr: float = _parameter("peak learning rate; warm-up, then linear decay", _LR, gt=0, le=1)
    epochs: int = _parameter(
        "passes over the training reviews, in whole batches", "a whole number from 1 to 10000", ge=1, le=10**4
    )
    seed: int = _parameter("seed of training: new head, order of batches, dropout", _SEED, ge=0, lt=2**32)
    teachers: list[Annotated[int, Field(ge=0, lt=2**32)]] = _parameter(
        "seeds of teachers, such as `[1]`. Each teacher labels the unlabelled reviews, and training uses "
        "them too",
        "[] or a list of different whole numbers from 0 to 4294967295, such as [1]",
    )


class TeacherParams(_Stage):
    """The parameters of teachers that `check` resolves: null stands for a parameter of the student."""

    teacher_model: str | None = _parameter(
        "teachers' pretrained model, named as `model` is, which may be larger; `null` means `model`",
        f"null (the same model) or {_MODEL}",
        pattern=PRINTABLE,
    )
    teacher_head: Head = _parameter("`head` of `teacher_model`", _HEAD)
    teacher_lr: float | None = _parameter(
        "peak learning rate of teachers; `null` means `lr`", f"null (lr) or {_LR}", gt=0, le=1
    )
    teacher_max_length: int | None = _parameter(
        "maximum number of tokens per review for teachers, in training too; `null` means `max_length` and "
        "`train_max_length`",
        "null or a whole number of tokens from 8 to the teacher's limit",
        ge=8,
        le=10**6,
    )


class Params(PrepareParams, TrainParams, TeachParams, TeacherParams):
    """All of params.yaml, the parameters of check."""

    exports: list[Literal["fp32", "int8"]] = _parameter(
        "`[int8]` also writes `models/int8/`, `[fp32]` `models/fp32/`, in ONNX format for CPUs",
        "[], [int8], [fp32] or [int8, fp32]",
    )


def scoring_precision() -> str:
    """The `precision` for scoring: that of params.yaml, or `auto` outside a project.

    Raises:
        InputError: params.yaml is missing or invalid.
    """
    return EvaluateParams.load().precision if is_top_folder() else "auto"
