"""YAML files and what a typed schema says of them: reading, and the one line that names a fault."""

import difflib
import reprlib
import warnings
from collections.abc import Collection, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from sentiment.errors import InputError, one_line, reason

# Of names that become part of a path or a line: a control character in one is a slip.
PRINTABLE = r"^[^\p{C}\p{Zl}\p{Zp}]+$"


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
        with warnings.catch_warnings(action="ignore"):  # of an anchor that is given anew
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
    faults = error.errors(include_url=False)
    first = faults[0]["loc"][:1]
    # Of the kinds of value that a key may have, the one that fits best fails last.
    fault = max(
        (each for each in faults if each["loc"][:1] == first),
        key=lambda each: len(_place(schema, each["loc"])),
    )
    if not fault["loc"]:
        return f"{path}: {one_line(fault['msg'].removeprefix('Value error, '))}"
    key = one_line(".".join(_place(schema, fault["loc"])), 80)
    fields = {field.alias or name: allowed(field) for name, field in schema.model_fields.items()}
    name = str(fault["loc"][0])
    if fault["type"] in ("extra_forbidden", "invalid_key") and len(fault["loc"]) == 1:
        return f"{path}: unknown key {shortened(name)}{_hint(name, schema, fields)}; allowed: {', '.join(sorted(fields))}"
    wording = fields.get(name) or fault["msg"]
    if fault["type"] == "missing":
        return f"{path}: {key} is missing; allowed: {wording}"
    return f"{path}: {key}: {shortened(fault['input'])} is not allowed; allowed: {wording}"


def _hint(name: str, schema: type[BaseModel], keys: Collection[str]) -> str:
    """A hint at the key that was probably meant: by the `hints` of the schema, else the one that is spelled most alike."""
    meant = getattr(schema, "hints", {}).get(name.casefold().replace("-", "_"))
    if meant and (meant in keys or " " in meant):
        return f" (did you mean {meant!r}?)" if meant in keys else f" ({meant})"
    close = difflib.get_close_matches(name, keys, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _place(kind: Any, place: tuple[int | str, ...]) -> list[str]:
    """The keys and positions that lead to a fault, without the names of types that pydantic puts among them."""
    place = tuple(part for part in place if part != "[key]")
    origin, kinds = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _place(kinds[0], place)
    if origin in (Union, UnionType):
        kinds = tuple(each for each in kinds if each is not NoneType)
        if len(kinds) == 1:
            return _place(kinds[0], place)
        place = place[1:]  # the first is the name of a type
        wanted = list if place and isinstance(place[0], int) else dict
        return _place(next((each for each in kinds if _origin(each) is wanted), None), place)
    if not place:
        return []
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        return [str(place[0]), *_place(fields.get(str(place[0])), place[1:])]
    return [str(place[0]), *_place(kinds[-1], place[1:])] if origin in (list, dict) else []


def _origin(kind: Any) -> Any:
    return _origin(get_args(kind)[0]) if get_origin(kind) is Annotated else get_origin(kind)


def allowed(field: FieldInfo) -> str | None:
    """The values that a schema's field allows, in words: `allowed` of its json_schema_extra, else its description."""
    extra = field.json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else field.description


def shortened(value: Any) -> str:
    """A value of any size as an error line shows it: its repr, on one line of at most 80 characters."""
    return one_line(_SHORT.repr(value), 80)


def listed(values: Iterable[object]) -> str:
    """Values as an error line lists them, between commas, on one line of at most 200 characters."""
    return one_line(", ".join(map(str, values)))


class _Short(reprlib.Repr):
    """A repr that stays short where `repr` would not: YAML's anchors can make a few lines into gigabytes."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 80, 80

    def repr_int(self, number: int, level: int) -> str:
        return repr(number) if abs(number) < 10**80 else f"<an integer of {number.bit_length()} bits>"

    def repr_instance(self, value: Any, level: int) -> str:
        return (
            self.repr_dict(value, level) if isinstance(value, dict) else super().repr_instance(value, level)
        )


_SHORT = _Short()
