"""Reading YAML files, and one-line errors for values that a typed schema refuses."""

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

# A pattern for names that become part of a path or a line: a control character in one is a mistake.
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
    """Parse a mapping from YAML text as DVC does: YAML 1.2, where `2e-5` is a number; errors name `path`.

    Raises:
        InputError: the text is not valid YAML, or not a mapping.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # about an anchor that is defined twice
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
        raise InputError(f"{path}: contains {type(content).__name__}; allowed: a mapping of keys to values")
    return content


def explain(error: ValidationError, path: str | Path, schema: type[BaseModel]) -> str:
    """One line about the first fault that a schema found: the key, the value, and what is allowed."""
    faults = error.errors(include_url=False)
    first = faults[0]["loc"][:1]
    # A key may allow several types; the type that fits the value best fails deepest inside it.
    faults_of_first_key = [fault for fault in faults if fault["loc"][:1] == first]
    fault = max(faults_of_first_key, key=lambda fault: len(_place(schema, fault["loc"])))
    if not fault["loc"]:
        return f"{path}: {one_line(fault['msg'].removeprefix('Value error, '))}"
    key = one_line(".".join(_place(schema, fault["loc"])), 80)
    fields = {field.alias or name: allowed(field) for name, field in schema.model_fields.items()}
    name = str(fault["loc"][0])
    if fault["type"] in ("extra_forbidden", "invalid_key") and len(fault["loc"]) == 1:
        hint = _hint(name, schema, fields)
        return f"{path}: unknown key {shortened(name)}{hint}; allowed: {', '.join(sorted(fields))}"
    wording = fields.get(name) or fault["msg"]
    if fault["type"] == "missing":
        return f"{path}: {key} is missing; allowed: {wording}"
    return f"{path}: {key}: {shortened(fault['input'])} is not allowed; allowed: {wording}"


def _hint(name: str, schema: type[BaseModel], keys: Collection[str]) -> str:
    """A hint at the intended key: from the schema's `hints`, else the key with the most similar spelling."""
    hint = getattr(schema, "hints", {}).get(name.casefold().replace("-", "_"))
    if hint and " " in hint:
        return f" ({hint})"
    if hint in keys:
        return f" (did you mean {hint!r}?)"
    similar = difflib.get_close_matches(name, keys, n=1, cutoff=0.6)
    return f" (did you mean {similar[0]!r}?)" if similar else ""


def _place(annotation: Any, place: tuple[int | str, ...]) -> list[str]:
    """The keys and positions that lead to a fault, without the names of types that pydantic inserts."""
    place = tuple(part for part in place if part != "[key]")
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _place(arguments[0], place)
    if origin in (Union, UnionType):
        types = [argument for argument in arguments if argument is not NoneType]
        if len(types) == 1:
            return _place(types[0], place)
        place = place[1:]  # the first is the name of a type
        container = list if place and isinstance(place[0], int) else dict
        return _place(next((each for each in types if _origin(each) is container), None), place)
    if not place:
        return []
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if place[0] == (field.alias or name):
                return [str(place[0]), *_place(field.annotation, place[1:])]
        return [str(place[0])]
    if origin in (list, dict):
        return [str(place[0]), *_place(arguments[-1], place[1:])]
    return []


def _origin(annotation: Any) -> Any:
    """The origin of an annotation, such as dict for dict[str, int], without Annotated around it."""
    if get_origin(annotation) is Annotated:
        return _origin(get_args(annotation)[0])
    return get_origin(annotation)


def allowed(field: FieldInfo) -> str | None:
    """The values that a field allows, in words: `allowed` of its json_schema_extra, else its description."""
    extra = field.json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else field.description


def shortened(value: Any) -> str:
    """The repr of a value of any size, on one line of at most 80 characters, for error messages."""
    return one_line(_SHORT.repr(value), 80)


def listed(values: Iterable[object]) -> str:
    """Values with commas between them, on one line of at most 200 characters, for error messages."""
    return one_line(", ".join(map(str, values)))


class _Short(reprlib.Repr):
    """A repr of limited length: anchors in YAML can turn a few lines into gigabytes."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, 80, 80

    def repr_int(self, number: int, level: int) -> str:
        return repr(number) if abs(number) < 10**80 else f"<an integer of {number.bit_length()} bits>"

    def repr_instance(self, value: Any, level: int) -> str:
        if isinstance(value, dict):
            return self.repr_dict(value, level)
        return super().repr_instance(value, level)


_SHORT = _Short()
