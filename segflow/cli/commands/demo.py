"""segflow demo: the whole thing on this machine, to watch."""

import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from segflow.demo.failure import DemoFailedError
from segflow.demo.history import read
from segflow.demo.run import run

EPILOG: Final = """\b
Examples:
  segflow demo
  segflow demo --fast history.jsonl.gz

Exit codes: 0 the worker's changes equal those of `segflow run` on the same file, 1 they do not or it failed, 2 usage or
something is missing on this machine, 130 ended by Ctrl-C or a signal."""
INTERRUPTED_EXIT: Final = 130
"""The exit code that shells use for Ctrl-C."""


def command(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="JSON Lines, gzip too; without it the CDNOW history.")
    ] = None,
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Send as fast as Kafka takes it, not to be watched.")] = False,
    picture: Annotated[Path | None, typer.Option("--picture", metavar="FILE", hidden=True)] = None,
) -> None:
    """Send a purchase history through Kafka and a real worker, and watch customers move between segments.

    Starts a broker, a Redis and a worker on free ports of 127.0.0.1 (or takes the servers of SEGFLOW_KAFKA and
    SEGFLOW_REDIS), shows the changes as they come, and compares them with those of `segflow run`. Ends by itself, and
    nothing of it stays.
    """
    for name in (signal.SIGTERM, signal.SIGHUP):  # whatever ends it, what it started ends first
        signal.signal(name, _interrupt)
    try:
        equal = run(read(file), paced=not fast, picture=picture, console=Console())
    except DemoFailedError as error:
        sys.stderr.write(f"segflow: {error}\n")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        sys.stderr.write("segflow: ended before its end; nothing of it stays\n")
        raise typer.Exit(INTERRUPTED_EXIT) from None
    raise typer.Exit(0 if equal else 1)


def _interrupt(*received: Any) -> None:
    """As Ctrl-C: in an event loop that ends its task, and not whatever is being done at this moment."""
    at_ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(at_ctrl_c):
        at_ctrl_c(*received)
    else:  # ignored, as in the background of a shell
        raise KeyboardInterrupt
