"""segflow schemas: the contract as JSON Schema and AsyncAPI files."""

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from segflow.cli.options import SettingsFile, load
from segflow.schemas.export import documents
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Example:
  segflow schemas --output contract/

Exit codes: 0 written (or up to date), 1 --check found stale files, 2 usage, or a folder that cannot be written."""
DEFAULT_FOLDER: Final = Path("schemas/exported")


def command(
    *,
    settings: SettingsFile = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where to write them.")] = DEFAULT_FOLDER,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say which files are stale.")] = False,
) -> None:
    """Write JSON Schema files for events, changes and settings, and an AsyncAPI 3 document for the topics.

    They describe this version of segflow and are the same whatever the settings.
    """
    load(settings)  # a mistake in it is said here as everywhere
    wanted = documents()
    try:
        stale = [
            name
            for name, text in wanted.items()
            if not (output / name).is_file() or (output / name).read_text(encoding="utf-8") != text
        ]
        if not check:
            output.mkdir(parents=True, exist_ok=True)
            for name in stale:
                (output / name).write_text(wanted[name], encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{error.filename or output}: {error.strerror}") from error
    if check:
        for name in stale:
            sys.stderr.write(
                f"segflow: {output / name} is stale: write it again with `segflow schemas --output {output}`\n"
            )
        if stale:
            raise typer.Exit(1)
    print(f"{len(wanted)} files in {output}: " + (f"{len(stale)} written" if stale else "all up to date"))
