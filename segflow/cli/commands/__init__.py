"""The commands of `segflow`, one a file, imported when the command is used, so that `--help` is quick."""

from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

SUMMARIES: Final = {
    "demo": "Watch 23,570 real customers move between segments, with nothing installed beforehand.",
    "worker": "Keep segments up to date: Kafka in, Redis state, changes out.",
    "run": "Files in, changes out, with no server.",
    "produce": "Send a file of events into Kafka.",
    "tail": "Follow the changes as they come.",
    "dead-letters": "List, count and read the records that could not be used; send them again after a fix.",
    "show": "Show a customer's segments and facts, and the changes that silence will bring.",
    "explain": "Explain a customer's labels: facts, thresholds, arithmetic, the next date.",
    "alias": "Say that two ids are one customer.",
    "erase": "Forget a customer, and see when the last copy within reach is gone.",
    "definitions": "List all versions of the settings: since when each holds, and what it changed.",
    "simulate": "Compare the labels that customers have with those under other settings.",
    "topics": "Describe and check the Kafka topics, or create them.",
    "fit": "Find the parameters of churn and clv in your own customers.",
    "doctor": "Check settings, Kafka, topics, keys and Redis, and say what to do.",
    "audit": "Check that every change was published, once, in order, by comparing with the inputs.",
    "reset": "Move a shard that stopped to another place in its inputs.",
    "rebuild": "Rebuild the state in Redis from the journal and the inputs.",
    "snapshot": "Write the state of all shards into files, beside running workers.",
    "restore": "Bring shards back from a snapshot, where both Redis and segments.state have lost them.",
    "reshard": "Divide the customers into another number of shards.",
    "schemas": "Write the JSON Schemas and the AsyncAPI document.",
}
"""Each command in the order of the help, with its line there.

The file of a command `x` is segflow/cli/commands/x.py, a hyphen in the name an underscore. It has a function
`command`, whose docstring is the help, and EPILOG, the end of the help: an example, the exit codes.
"""


def module_of(name: str) -> str:
    """The module of the command `name`."""
    return f"segflow.cli.commands.{name.replace('-', '_')}"


class Commands(TyperGroup):
    """A group that imports a command when it is asked for. `Any`: whose click the types are of depends on Typer."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """The names, in the order of the help."""
        return list(SUMMARIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - Typer's signature
        """The command, None where there is no such."""
        if cmd_name not in SUMMARIES:
            return None
        module = import_module(module_of(cmd_name))
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        app.command(cmd_name, epilog=module.EPILOG, no_args_is_help=False)(module.command)
        return typer.main.get_command(app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        """The table of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


def register(app: typer.Typer) -> None:
    """Add every command to `app`."""
    app.callback(cls=Commands)(_segflow)


def _say_version(asked: bool) -> None:
    if asked:
        from segflow.streams.runtime.version import installed_version

        print(f"segflow {installed_version()}")
        raise typer.Exit


def _segflow(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is, and end.", is_eager=True, callback=_say_version),
    ] = False,
) -> None:
    """Customer segments kept up to date in real time."""
