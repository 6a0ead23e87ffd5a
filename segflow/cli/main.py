"""The command `segflow`: one file a command in streams/commands."""

import logging
import sys

import typer

from segflow.cli import commands
from segflow.streams.runtime.errors import UsageError

app = typer.Typer(
    name="segflow",
    help="Customer segments kept up to date in real time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line; what a user can cause ends in one message and exit code 2."""
    commands.register(app)
    try:
        app()
    except UsageError as error:
        logging.shutdown()
        sys.stderr.write(f"segflow: {error}\n")
        sys.exit(2)
