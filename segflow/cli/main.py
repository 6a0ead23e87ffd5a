"""The command `segflow`: one file a command in segflow/cli/commands."""

import errno
import logging
import os
import sys
from typing import Final, NoReturn

import typer

from segflow.cli import commands
from segflow.schemas.model_error import ModelError
from segflow.streams.runtime.errors import UsageError

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""The errors of writing to a full or broken disk. Files that options name have messages of their own."""

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
        try:
            app()
        finally:
            sys.stdout.flush()
    except (UsageError, ModelError) as error:
        _end(str(error))
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _drop_output()
        _end(f"standard output cannot be written: {error.strerror}")


def _end(message: str) -> NoReturn:
    logging.shutdown()
    sys.stderr.write(f"segflow: {message}\n")
    sys.exit(2)


def _drop_output() -> None:
    """Drop output that cannot be written. Python would try once more when it ends, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
