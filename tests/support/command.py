"""The command line, run within the test's process as its users run it."""

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import typer
import yaml

from segflow.cli import commands
from segflow.cli.main import main
from segflow.schemas.settings_file import ENVIRONMENT

PROGRAM: Final = [sys.executable, "-c", "from segflow.cli.main import main; main()"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command came to."""

    code: int
    out: str
    err: str


def segflow(*arguments: str | Path) -> Result:
    """Run `segflow` with `arguments`; the machine's own SEGFLOW_ variables do not reach it."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    with (
        patch.object(sys, "argv", ["segflow", *map(str, arguments)]),
        patch.object(sys, "stdout", out),
        patch.object(sys, "stderr", err),
        patch.dict(os.environ, environment, clear=True),
    ):
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return Result(code=code, out=_text(out), err=_text(err))


def segflow_process(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """`segflow`, in a process of its own: for what a test's process must not keep, or cannot stand in for."""
    environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, check=False, env=environment
    )
    return Result(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def is_taken(line: Sequence[str]) -> None:
    """Check that `segflow` takes a command line: the command, its options and their values.

    Raises:
        click.ClickException: it does not know something of it.
    """
    app = typer.Typer()
    commands.register(app)
    group: Any = typer.main.get_command(app)
    command, *arguments = line
    found = group.get_command(None, command)
    assert found is not None, command
    found.make_context(command, arguments)


def _text(stream: io.TextIOWrapper) -> str:
    content = stream.detach()
    assert isinstance(content, io.BytesIO)
    return content.getvalue().decode()


def settings_file(folder: Path, **content: Any) -> Path:
    """A settings file of `content` in `folder`."""
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path
