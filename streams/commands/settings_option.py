"""The option --settings, which every command has."""

from pathlib import Path
from typing import Annotated

import typer

from schemas import settings_file
from schemas.settings import Settings
from streams.usage_error import UsageError

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="Settings; ./segflow.yaml if there is one, else the defaults."),
]


def load(path: Path | None) -> Settings:
    """The settings of `path`; see schemas.settings_file.load.

    Raises:
        UsageError: they cannot be used.
    """
    try:
        return settings_file.load(path)
    except settings_file.SettingsError as error:
        raise UsageError(str(error)) from error
