"""The command `sentiment`: its subcommands, each of which is imported only when it runs."""

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sentiment import errors, project, startup

COMMANDS = {
    "compare": "Say whether one run is better than another, worse, or within noise.",
    "search": "Search for the parameters with the highest validation accuracy.",
    "best": "Rank runs by validation accuracy, and say which cannot be told from the best.",
    "predict": "Say of reviews whether they are positive.",
    "report": "Write one run on one page, metrics/report.html.",
    "demo": "Try the model in the browser.",
    "serve": "Serve the model over HTTP, as the Hugging Face inference API does.",
    "publish": "Publish models/classifier/ on the Hugging Face Hub.",
    "share": "Push every run that is in DVC's cache.",
    "verify": "Check the files in DVC's cache and in the workspace against their hashes.",
    "results": "Write the tables of results and parameters in README.md and docs/.",
    "bench": "Measure training and scoring beside the usual recipes.",
}
ANYWHERE = {"predict", "serve"}  # with a model that was copied to where there is no project


class _Commands(TyperGroup):
    """A group that lists its commands without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command with a name and a line alone, for lists of commands."""
        return TyperCommand(cmd_name, short_help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, to run it or to complete its options."""
        name, _, rest = super().resolve_command(ctx, args)
        app = typer.Typer(add_completion=False)
        main = importlib.import_module(f"sentiment.commands.{name}").main
        app.command(name)(main if name in ANYWHERE else project.require_project(main))
        return name, typer.main.get_command(app), rest


startup.configure()  # before a command imports PyTorch
app = typer.Typer(
    cls=_Commands,
    help="Compare, use, show and share what the pipeline made.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.callback()(project.change_to_top_folder)


def main() -> None:
    """Run the subcommand that the command line names."""
    errors.run(app)
