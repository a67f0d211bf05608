"""The search space: the parameters that vary, and the range or the values of each."""

import re
from typing import Any, get_args

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from sentiment.errors import InputError
from sentiment.params import Params, TrainParams
from sentiment.validation import explain, parse_yaml, shortened

FORM = "such as lr=1e-5..5e-4:log, dropout=0..0.3 or epochs=1,2,3"
# The parameters of other stages decide which reviews validate, and the best of several seeds is chance.
SEARCHED = [name for name in TrainParams.model_fields if name not in ("seed", "teachers")]
Space = dict[str, BaseDistribution]


def parse_space(arguments: list[str], params: dict[str, Any]) -> Space:
    """The space described by arguments such as `lr=1e-5..5e-4:log` or `epochs=1,2,3`.

    Args:
        arguments: one parameter each: a range, sampled on a log scale with `:log`, or a list of values.
        params: the content of params.yaml, which gives all other parameters.

    Raises:
        InputError: an argument has another form, or a value that params.yaml may not have.
    """
    space: Space = {}
    for argument in arguments:
        shown = shortened(argument)
        name, _, values = argument.partition("=")
        if name not in SEARCHED or not values:
            raise InputError(f"{shown} cannot be searched; allowed: {', '.join(SEARCHED)}, {FORM}")
        if name in space:
            raise InputError(f"{shown}: {name} is given twice")
        interval = re.fullmatch(r"(.+?)\.\.(.+?)(:log)?", values)
        if interval:
            ends = _parse_values([interval[1], interval[2]], name, shown, params)
            space[name] = _range(shown, name, ends, log=bool(interval[3]))
        else:
            space[name] = CategoricalDistribution(_parse_values(values.split(","), name, shown, params))
    return space


def _parse_values(texts: list[str], name: str, shown: str, params: dict[str, Any]) -> list[Any]:
    """The distinct values of one parameter, each of which params.yaml may have."""
    values = list(dict.fromkeys(parse_yaml(f"value: {text}", shown)["value"] for text in texts))
    for value in values:
        try:
            Params.model_validate(params | {name: value})
        except ValidationError as error:
            raise InputError(explain(error, shown, Params)) from None
    return values


def _range(shown: str, name: str, ends: list[Any], log: bool) -> BaseDistribution:
    are_numbers = len(ends) == 2 and all(isinstance(end, int | float) for end in ends)
    if not are_numbers or ends[0] >= ends[1] or (log and ends[0] <= 0):
        raise InputError(f"{shown}: not a range from low to high, with :log from above 0; allowed: {FORM}")
    kind = Params.model_fields[name].annotation
    distribution = IntDistribution if int in (kind, *get_args(kind)) else FloatDistribution
    return distribution(ends[0], ends[1], log)


def contains(space: Space, params: dict[str, Any]) -> bool:
    """Whether the parameters of a run are in the space."""
    for name, distribution in space.items():
        value = params.get(name)
        if isinstance(distribution, CategoricalDistribution):
            inside = value in distribution.choices
        else:
            assert isinstance(distribution, IntDistribution | FloatDistribution)
            inside = isinstance(value, int | float) and distribution.low <= value <= distribution.high
        if not inside:
            return False
    return True


def rounded(space: Space, params: dict[str, Any]) -> dict[str, Any]:
    """Proposed parameters, with fractions rounded to three digits so that people can read them."""
    result = {}
    for name, distribution in space.items():
        result[name] = params[name]
        if isinstance(distribution, FloatDistribution):
            value = float(f"{params[name]:.3g}")
            result[name] = min(max(value, distribution.low), distribution.high)
    return result
