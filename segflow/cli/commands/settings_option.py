"""The option --settings, which every command has."""

from pathlib import Path
from typing import Annotated

import typer

from segflow.schemas import settings_file
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings
from segflow.streams.runtime.errors import UsageError

SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="Settings; ./segflow.yaml if there is one, else the defaults."),
]


def load(path: Path | None) -> Settings:
    """The settings of `path`; see segflow.schemas.settings_file.load.

    Raises:
        UsageError: they cannot be used.
    """
    try:
        settings = settings_file.load(path)
        from_settings(settings)  # labels that are named must be there
    except settings_file.SettingsError as error:
        raise UsageError(str(error)) from error
    except ValueError as error:
        raise UsageError(f"{path or settings_file.DEFAULT_FILE}: {error}") from error
    return settings
