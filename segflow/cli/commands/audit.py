"""segflow audit: is every change there, once, in order."""

import asyncio
import json
import sys
from contextlib import ExitStack
from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table

from segflow.cli.commands.progress import progress
from segflow.cli.options import SettingsFile, load
from segflow.cli.shards import inputs_of, shards_of
from segflow.cli.tables import table_console
from segflow.operations.printable import printable
from segflow.operations.repair.audit import audit
from segflow.operations.repair.findings import Audit, ShardAudit
from segflow.state import redis_connection
from segflow.state.redis_servers import RedisServers
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.memory import tune_process_memory

EPILOG: Final = """\b
Example:
  segflow audit --settings segflow.yaml

Exit codes: 0 every change is there, once, in order; 1 something is wrong; 2 usage, settings, connection, or not all
could be looked at (said on standard error)."""
COLUMNS: Final = {
    "commits": "commits",
    "events": "events",
    "changes": "changes",
    "lost": "lost",
    "repeated": "repeated",
    "reordered": "reordered",
    "altered": "altered",
    "foreign": "foreign",
    "broken": "broken chains",
    "in_two_shards": "in two shards",
    "dead_letters": "dead letters",
    "dead_letters_lost": "lost",
    "dead_letters_repeated": "repeated",
    "alerts": "alerts",
    "alerts_lost": "lost",
    "alerts_repeated": "repeated",
}


def command(
    *,
    settings: SettingsFile = None,
    shard: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only this shard.")] = None,
    state: Annotated[
        bool,
        typer.Option("--state", help="Compare what Redis holds, too. Stop the workers first."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as a JSON object.")] = False,
) -> None:
    """Do every commit of the journal again, in memory, and compare what it gives with what was published. Reads only.

    Reports changes that are lost, repeated, reordered, altered or of nobody's making (foreign), customers whose chain
    of versions and labels is broken or who stand in two shards, and dead letters lost or repeated. Workers may run
    meanwhile: what they publish after the start is left out. Memory is that of one shard's customers.
    """
    loaded = load(settings)
    tune_process_memory()
    with ExitStack() as stack:
        stack.enter_context(kafka_errors(loaded.kafka))
        servers: RedisServers | None = None
        if state:
            stack.enter_context(redis_errors(loaded.redis))
            servers = stack.enter_context(redis_connection.servers(loaded.redis))
        installed = inputs_of(loaded, servers)
        show = stack.enter_context(progress("auditing", None))
        found = asyncio.run(
            audit(
                loaded,
                installed.control,
                installed.topic_ids,
                installed.state_topic,
                shards_of(installed, shard),
                state=servers,
                on_progress=show,
            )
        )
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        _print(found)
    raise typer.Exit(found.exit_code)


def _print(found: Audit) -> None:
    console = table_console()
    console.print(_table(found.shards))
    for text in found.problems:
        console.print(printable(text), style="red", markup=False, soft_wrap=True)
    for text in found.versions:
        console.print(printable(text), markup=False, soft_wrap=True)
    expired, unread = found.total("expired"), found.total("unread")
    if expired:
        console.print(f"{expired:,} changes are older than what the topic keeps, and were not looked for")
    if unread:
        console.print(f"{unread:,} offsets of the inputs are not read yet")
    if found.clean:
        console.print("clean" if found.complete else "clean, as far as it could be looked at", style="green")
    for text in found.unchecked:
        sys.stderr.write(f"segflow: not checked: {printable(text)}\n")


def _table(shards: list[ShardAudit]) -> Table:
    table = Table(box=box.SIMPLE)
    table.add_column("shard", justify="right")
    for title in COLUMNS.values():
        table.add_column(title, justify="right")
    for shard in shards:
        table.add_row(str(shard.shard), *(f"{getattr(shard, name):,}" for name in COLUMNS))
    if len(shards) > 1:
        table.add_section()
        table.add_row("all", *(f"{sum(getattr(shard, name) for shard in shards):,}" for name in COLUMNS))
    return table
