"""Writes docs/reference/commands.md: the subcommands of `sentiment`, their arguments, options and defaults.

`python -m tests.reference` writes the page from the same definitions as `--help`.
"""

import importlib
import textwrap
from typing import Any, Literal, get_args, get_origin

import typer

from sentiment.cli import COMMANDS
from tests.conftest import ROOT

PAGE = ROOT / "docs/reference/commands.md"
INTRODUCTION = """\
<!-- python -m tests.reference writes this page -->
# Commands

This page lists the subcommands of `sentiment`, as their option `--help` shows them. `make help` lists the
targets of the Makefile, and [Files](files.md) describes what the commands read and write.

All commands work in any folder of the project. `sentiment predict` and `sentiment serve` also work
elsewhere, with a copy of a model. On bad input, a command prints one line that starts with `error:` and ends
with exit status 1.
"""


def command(name: str) -> Any:
    """A subcommand as Typer builds it."""
    app = typer.Typer(add_completion=False)
    app.command(name)(importlib.import_module(f"sentiment.commands.{name}").main)
    return typer.main.get_command(app)


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *map(section, COMMANDS)])


def section(name: str) -> str:
    """The part of the page about one subcommand."""
    built = command(name)
    rows = [row(param) for param in built.params]
    usage = ["sentiment", name, *(usage_of(param) for param in built.params if is_argument(param))]
    if not all(map(is_argument, built.params)):
        usage.append("[OPTIONS]")
    help = "\n\n".join(textwrap.fill(paragraph, 110) for paragraph in built.help.split("\n\n"))
    lines = [f"## sentiment {name}", "", help, "", "```text", " ".join(usage), "```", ""]
    if rows:
        lines += ["| argument or option | meaning | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines)


def is_argument(param: Any) -> bool:
    """Whether a parameter is given by its position."""
    return not param.opts[0].startswith("-")


def usage_of(param: Any) -> str:
    """An argument as the usage line shows it."""
    name = (param.metavar or param.name.upper()).strip("[]")
    if param.nargs == -1 and not name.endswith("..."):
        name += "..."
    return name if param.required else f"[{name}]"


def row(param: Any) -> str:
    """The row of one argument or option."""
    return f"| `{syntax(param)}` | {in_table(param.help)} | {default(param)} |"


def syntax(param: Any) -> str:
    """How an argument or option is typed."""
    if is_argument(param):
        return usage_of(param).strip("[]")
    options = " / ".join([*param.opts, *param.secondary_opts])
    if param.is_flag:
        return options
    return f"{options} {param.metavar or placeholder(param.type_descriptor.annotation)}"


def placeholder(annotation: Any) -> str:
    """What stands for the value of an option: the values that it allows, N for a number, or VALUE."""
    if get_origin(annotation) is Literal:
        return "\\|".join(get_args(annotation))
    return "N" if annotation in (int, float) else "VALUE"


def default(param: Any) -> str:
    """The default value, as it is typed; empty if there is none, or if the help describes it."""
    value = param.default
    if value is None or value is False or value == "":
        return ""
    return f"`{value}`"


def in_table(text: str | None) -> str:
    """Text for the cell of a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
