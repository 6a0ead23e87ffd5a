"""segflow worker: the service itself."""

import logging
from typing import Annotated, Final

import typer

from segflow.cli.options import SettingsFile, load
from segflow.cli.supervisor import Supervisor, end_with_supervisor
from segflow.schemas.settings import Settings
from segflow.streams.health.log_rate_limiter import LogRateLimiter

EPILOG: Final = """\b
Example:
  segflow worker --settings segflow.yaml --processes 2

Exit codes: 0 stopped by SIGTERM or Ctrl-C, 1 it failed, 2 usage, settings, connection, or something that a person
must decide (said on standard error)."""
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LOUD: Final = (
    "aiokafka",
    "faust",
    "kafka",
    "mode",
    "segflow.streams.consume.faust_app",
    "segflow.streams.consume.transport",
    "uvicorn",
)
"""Libraries whose everyday messages are nobody's news; Faust's speak under the names of its subclasses, too."""


def command(
    *,
    settings: SettingsFile = None,
    processes: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Worker processes; shards are shared among them.")
    ] = 1,
    http_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of /live, /ready and /metrics; worker.http_port without it."),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Where Kafka or Redis cannot be reached at the start, wait instead of ending."),
    ] = False,
    quiet_definition_changes: Annotated[
        bool,
        typer.Option(
            "--quiet-definition-changes",
            help="Where these settings bring a new definition: classify every customer, but publish no changes of it.",
        ),
    ] = False,
    supervised: Annotated[int | None, typer.Option("--supervised", hidden=True, metavar="N")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what the libraries say, too.")] = False,
) -> None:
    """Consume both inputs, keep segments in Redis and publish every change, until stopped.

    Start as many workers as you like, on as many machines: shards move to them by themselves. With --processes, this
    process only watches over the workers and restarts a failed one; a restarted one waits as with --wait.
    """
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    for handler in logging.getLogger().handlers:
        handler.addFilter(LogRateLimiter())
    if not verbose:
        for name in LOUD:
            logging.getLogger(name).setLevel(logging.WARNING)
    loaded = load(settings)
    if http_port is not None:
        loaded = loaded.model_copy(update={"worker": loaded.worker.model_copy(update={"http_port": http_port})})
    if supervised is not None:
        loaded = _named(loaded, supervised)
    if processes == 1:
        if supervised is not None:
            end_with_supervisor()
        from segflow.streams.worker.startup import work  # Faust takes half a second to import

        raise typer.Exit(work(loaded, wait=wait, quiet=quiet_definition_changes))
    port = loaded.worker.http_port
    shared = [
        "worker",
        *(["--settings", str(settings)] if settings else []),
        *(["--verbose"] if verbose else []),
        *(["--quiet-definition-changes"] if quiet_definition_changes else []),
    ]
    own = [
        ["--supervised", str(number), "--http-port", str(port + number if port else 0)] for number in range(processes)
    ]
    first = ["--wait"] if wait else []
    raise typer.Exit(Supervisor([[*shared, *each] for each in own], first=first, again=["--wait"]).run())


def _named(settings: Settings, process: int) -> Settings:
    """The settings of one of several processes, each of which needs a name of its own in the group."""
    name = settings.worker.group_instance_id
    if not name:
        return settings
    worker = settings.worker.model_copy(update={"group_instance_id": f"{name}-{process}"})
    return settings.model_copy(update={"worker": worker})
