"""The space of a search: the parameters that vary, and the values that each may take."""

import re
from typing import Any, get_args

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from sentiment.errors import InputError
from sentiment.params import Params, TrainParams
from sentiment.validation import explain, parse_yaml, shortened

FORM = "such as lr=1e-5..5e-4:log, dropout=0..0.3 or epochs=1,2,3"
# Others decide which reviews validate; and the best of several seeds is luck.
SEARCHED = [name for name in TrainParams.model_fields if name not in ("seed", "teachers")]
Space = dict[str, BaseDistribution]


def parse_space(arguments: list[str], params: dict[str, Any]) -> Space:
    """The space that arguments such as `lr=1e-5..5e-4:log` or `epochs=1,2,3` describe.

    Args:
        arguments: a parameter each: a range, with `:log` where it is even in the logarithm, or values.
        params: the content of params.yaml, which gives all other parameters.

    Raises:
        InputError: an argument has another form, or names a value that params.yaml may not have.
    """
    space: Space = {}
    for argument in arguments:
        shown = shortened(argument)
        name, _, values = argument.partition("=")
        if name not in SEARCHED or not values:
            raise InputError(f"{shown} cannot be searched; allowed: {', '.join(SEARCHED)}, {FORM}")
        if name in space:
            raise InputError(f"{shown}: {name} is given twice")
        found = re.fullmatch(r"(.+?)\.\.(.+?)(:log)?", values)
        parts = [found[1], found[2]] if found else values.split(",")
        tried = list(dict.fromkeys(parse_yaml(f"value: {part}", shown)["value"] for part in parts))
        for value in tried:
            try:
                Params.model_validate(params | {name: value})
            except ValidationError as error:
                raise InputError(explain(error, shown, Params)) from None
        space[name] = _range(shown, name, tried, bool(found[3])) if found else CategoricalDistribution(tried)
    return space


def _range(shown: str, name: str, ends: list[Any], log: bool) -> BaseDistribution:
    numbers = len(ends) == 2 and all(isinstance(end, int | float) for end in ends)
    if not numbers or ends[0] >= ends[1] or (log and ends[0] <= 0):
        raise InputError(f"{shown}: not a range from low to high, with :log from above 0; allowed: {FORM}")
    kind = Params.model_fields[name].annotation
    return (IntDistribution if int in (kind, *get_args(kind)) else FloatDistribution)(ends[0], ends[1], log)


def contains(space: Space, params: dict[str, Any]) -> bool:
    """Whether a run's parameters lie in the space."""
    return all(
        params.get(name) in ends.choices
        if isinstance(ends, CategoricalDistribution)
        else isinstance(params.get(name), int | float) and ends.low <= params[name] <= ends.high  # type: ignore[attr-defined]
        for name, ends in space.items()
    )


def rounded(space: Space, params: dict[str, Any]) -> dict[str, Any]:
    """Proposed parameters, with three digits of what is drawn from a range of fractions, for people to read."""
    return {
        name: min(max(float(f"{params[name]:.3g}"), ends.low), ends.high)
        if isinstance(ends, FloatDistribution)
        else params[name]
        for name, ends in space.items()
    }
