"""The console for tables: folded to the width of a terminal, and whole in a file."""

import sys
from typing import Final

from rich.console import Console

FILE_WIDTH: Final = 200
"""Columns where the table goes into a file or a pipe: nothing is folded there."""


def table_console() -> Console:
    """A console for standard output as it is now."""
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH, highlight=False)
