"""The command `sentiment`. A subcommand's module is imported only when that subcommand runs."""

import importlib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from sentiment import errors, project, startup

COMMANDS = {
    "compare": "Test whether one run is better than another, worse, or within noise.",
    "search": "Search for the parameters with the highest validation accuracy.",
    "best": "Rank runs by validation accuracy, with a confidence set of the best ones.",
    "predict": "Classify reviews as positive or negative.",
    "report": "Write a report of the current run as one HTML page, metrics/report.html.",
    "demo": "Try the model in the browser.",
    "serve": "Serve a model over HTTP, in the format of the Hugging Face inference API.",
    "audit": "Find reviews whose label is probably wrong, and reviews that leak between splits.",
    "publish": "Publish models/classifier/ on the Hugging Face Hub.",
    "share": "Push all runs in DVC's cache to the remote.",
    "verify": "Check the files in DVC's cache and in the workspace against their hashes.",
    "results": "Update the tables of results and parameters in README.md and docs/.",
    "bench": "Benchmark training and scoring against common recipes and runtimes.",
}
# These also run outside the project, for example on a server that has only a copy of the model.
WITHOUT_PROJECT = {"predict", "serve"}


class _Commands(TyperGroup):
    """A group that lists its commands without importing their modules."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A placeholder with the name and one-line description of a command, for listings."""
        return TyperCommand(cmd_name, short_help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, to run it or to complete its options in the shell."""
        name, _, rest = super().resolve_command(ctx, args)
        app = typer.Typer(add_completion=False)
        main = importlib.import_module(f"sentiment.commands.{name}").main
        app.command(name)(main if name in WITHOUT_PROJECT else project.require_project(main))
        return name, typer.main.get_command(app), rest


startup.configure()  # before a command imports PyTorch
app = typer.Typer(
    cls=_Commands,
    help="Compare, use, publish and share the results of the pipeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.callback()(project.change_to_top_folder)


def main() -> None:
    """Run the subcommand named on the command line."""
    errors.run(app)
