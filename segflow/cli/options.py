"""Options that several commands have: --settings, a time, a file to write."""

import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, BinaryIO, NoReturn

import typer
from pydantic import TypeAdapter, ValidationError

from segflow.schemas import duration, settings_file
from segflow.schemas.event import Instant
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN, duration_us, to_us
from segflow.segments.rules import from_settings
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.wall_clock import now_us

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


def time_option(name: str, text: str | None) -> int:
    """The time an option gives, in microseconds; UNKNOWN without it.

    Raises:
        UsageError: it is no RFC 3339 time with an offset.
    """
    if text is None:
        return int(UNKNOWN)
    try:
        return to_us(TypeAdapter(Instant).validate_python(text))
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"{name} {text}: {reason}") from error


def moment_option(name: str, text: str | None, without: int) -> int:
    """The time an option gives as such, or as a duration before now, in microseconds; `without` it: that.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return int(without)
    with suppress(ValueError):
        return now_us() - duration_us(duration.parse(text))
    return time_option(name, text)


def _exit_by_signal(number: int, _frame: FrameType | None) -> NoReturn:
    """End as the signal would end the process, but through whatever has to be undone."""
    sys.exit(128 + number)


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes `path` only when all went well; a pipe or a device is written as it is.

    SIGTERM and SIGHUP end the process within, with nothing left behind.

    Raises:
        UsageError: it cannot be written.
    """
    with ExitStack() as undo:
        try:
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                with path.open("wb") as file:
                    yield file
                return
            partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
            undo.callback(partial.unlink, missing_ok=True)
            for number in (signal.SIGTERM, signal.SIGHUP):
                undo.callback(signal.signal, number, signal.signal(number, _exit_by_signal))
            with partial.open("wb") as file:
                yield file
            partial.replace(path)
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error
