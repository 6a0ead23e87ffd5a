"""The command `segflow`: one file a command in streams/commands."""

import sys

import typer

from schemas.settings_file import SettingsError

app = typer.Typer(
    name="segflow",
    help="Customer segments kept up to date in real time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class UsageError(Exception):
    """Something the user can mend; the message says what and how."""


def main() -> None:
    """Run the command line; what a user can cause ends in one message and exit code 2."""
    from streams import commands

    commands.register(app)
    try:
        app()
    except (SettingsError, UsageError) as error:
        sys.stderr.write(f"segflow: {error}\n")
        sys.exit(2)
