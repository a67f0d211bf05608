"""The typed schema of params.yaml: the only reader of that file.

Each class holds the parameters of one stage, exactly those that dvc.yaml declares for it.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sentiment.errors import InputError
from sentiment.project import is_top_folder
from sentiment.validation import PRINTABLE, explain, read_yaml

FILE = "params.yaml"
_LAUNCH = r"^(python( +-[BOu]+)*|(torchrun|python +-m +torch\.distributed\.run)( +[\w.,:=/@%+-]+)*) *$"
_SEED = "a whole number from 0 to 4294967295"


def _parameter(description: str, allowed: str, **limits: Any) -> Any:
    """A field: what it is (for the documentation), the values allowed in words (for errors), and its limits."""
    return Field(description=description, json_schema_extra={"allowed": allowed}, **limits)


class _Stage(BaseModel):
    """The parameters of one stage."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def load(cls) -> Self:
        """Read params.yaml, check all of it, and return the parameters of this stage.

        Raises:
            InputError: the file is missing, is not YAML, or has an unknown, missing or disallowed value.
        """
        content = read_yaml(FILE)
        try:
            params = Params.model_validate(content)
        except ValidationError as error:
            raise InputError(explain(error, FILE, Params)) from None
        return cls(**{name: getattr(params, name) for name in cls.model_fields})


class PrepareParams(_Stage):
    """The parameters of prepare: which reviews, and how they are split."""

    dataset: str = _parameter(
        "folder of `data/`", "the name of a folder in data/ that holds a dataset.yaml", pattern=r"^\w[\w.-]*$"
    )
    validation_size: float = _parameter(
        "share of the training reviews held out to pick the checkpoint; stratified, by group where there is one",
        "a share above 0 and at most 0.5",
        gt=0,
        le=0.5,
    )
    max_train_reviews: int | None = _parameter(
        "cap on the training reviews, stratified, for short runs", "null (all) or a whole number from 2", ge=2
    )
    split_seed: int = _parameter("draws the validation split and the cap", _SEED, ge=0, lt=2**32)


class EvaluateParams(_Stage):
    """The parameters of evaluate and of prediction: how floating-point work is done."""

    precision: Literal["auto", "bf16", "fp32"] = _parameter(
        "`bf16`, `fp32`, or `auto`: bf16 where matrix units multiply it (CUDA, AMX)", "auto, bf16 or fp32"
    )


class ZeroShotParams(EvaluateParams):
    """The parameters of zero_shot: which pretrained model, and how it reads a review."""

    model: str = _parameter(
        "Hub id, optionally `@revision`, or a local folder; safetensors only",
        "a Hub id such as org/name or org/name@revision, or a local folder",
        pattern=PRINTABLE,
    )
    head: Literal["auto", "new"] | Annotated[list[str | int], Field(min_length=2, max_length=2)] = _parameter(
        "classification head: `auto` keeps the pretrained model's own if its labels say which is negative, and makes a new "
        "one if it has none; `new` makes a new one; `[LABEL_0, LABEL_1]` keeps these two of its labels, NEGATIVE's first",
        "auto, new, or two labels of the model's head, the negative one first, such as [LABEL_0, LABEL_1]",
    )
    max_length: int = _parameter(
        "tokens a review",
        "a whole number of tokens from 8 to the model's limit, at most 1000000",
        ge=8,
        le=10**6,
    )
    truncation: Literal["head", "tail", "head_tail"] = _parameter(
        "what is kept of a longer review: `head`, `tail`, or a quarter from the head and the rest from the tail "
        "([Sun et al. 2019](https://arxiv.org/abs/1905.05583))",
        "head, tail or head_tail",
    )


class _TrainingParams(ZeroShotParams):
    """The parameters that a teacher and the model itself share."""

    train_max_length: int | None = _parameter(
        "tokens a review in training; `null` is `max_length`. Fewer are faster",
        "null (max_length) or a whole number of tokens from 8 to the model's limit",
        ge=8,
        le=10**6,
    )
    lr: float = _parameter(
        "peak learning rate; warm-up, then linear decay",
        "a number above 0 and at most 1, such as 2e-5",
        gt=0,
        le=1,
    )
    batch_size: int = _parameter(
        "reviews an optimizer step, on any hardware", "a whole number from 1 to 1000000", ge=1, le=10**6
    )
    warmup_ratio: float = _parameter(
        "share of the steps that warm up", "a share from 0 to below 1", ge=0, lt=1
    )
    weight_decay: float = _parameter("of AdamW", "a number from 0 to 1", ge=0, le=1)
    launch: str = _parameter(
        "how training starts: `python`, or `torchrun --standalone --nproc-per-node 8` for eight GPUs; no shell reads it",
        "python, or torchrun and its options, such as torchrun --standalone --nproc-per-node 8, without shell syntax",
        pattern=_LAUNCH,
    )
    dropout: float | None = _parameter(
        "of attention and hidden layers while training; `null` keeps the pretrained model's own, a third slower on CPU",
        "null (the pretrained model's own) or a share from 0 to below 1",
        ge=0,
        lt=1,
    )


class TeachParams(_TrainingParams):
    """The parameters of teach; `teachers` has the seed."""

    teacher_epochs: int = _parameter(
        "passes of each teacher over the labelled reviews", "a whole number from 1 to 10000", ge=1, le=10**4
    )


class TrainParams(_TrainingParams):
    """The parameters of train."""

    epochs: int = _parameter(
        "passes over the training reviews, in whole batches", "a whole number from 1 to 10000", ge=1, le=10**4
    )
    seed: int = _parameter("of training: new head, order of batches, dropout", _SEED, ge=0, lt=2**32)
    teachers: list[Annotated[int, Field(ge=0, lt=2**32)]] = _parameter(
        "seeds, such as `[1]`, each of a model that labels the reviews without labels, which training then reads too",
        "[] or a list of different whole numbers from 0 to 4294967295, such as [1]",
    )

    @field_validator("teachers", "exports", check_fields=False)
    @classmethod
    def _different(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise ValueError("twice the same")
        return values


class Params(PrepareParams, TrainParams, TeachParams):
    """The whole of params.yaml: the parameters of check."""

    exports: list[Literal["fp32", "int8"]] = _parameter(
        "`[int8]` also makes `models/int8/`, `[fp32]` `models/fp32/`, in ONNX for CPUs",
        "[], [int8], [fp32] or [int8, fp32]",
    )


def scoring_precision() -> str:
    """`precision` of params.yaml, or `auto` where there is no project, as beside a copy of a model elsewhere.

    Raises:
        InputError: params.yaml is missing or has a fault.
    """
    return EvaluateParams.load().precision if is_top_folder() else "auto"
