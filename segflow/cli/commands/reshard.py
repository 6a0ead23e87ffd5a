"""segflow reshard: the customers into another number of shards."""

import asyncio
from contextlib import ExitStack
from typing import Annotated, Final

import typer

from segflow.cli.commands.progress import progress
from segflow.cli.commands.topics import PARTITIONS_MAX
from segflow.cli.options import SettingsFile, load
from segflow.operations.resharding.preconditions import Prepared, prepare
from segflow.operations.resharding.reshard import Reshard
from segflow.state import redis_connection
from segflow.state.store import ShardLostError, TornStateError
from segflow.streams.journal.journal import JournalError
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.memory import tune_process_memory

EPILOG: Final = """\b
Example:
  segflow reshard --partitions 16

Exit codes: 0 done, 2 usage, settings, connection, or refused: nothing was touched then. Ended halfway,
type it again."""


def command(
    *,
    settings: SettingsFile = None,
    partitions: Annotated[
        int, typer.Option("--partitions", min=1, max=PARTITIONS_MAX, metavar="M", help="Shards from now on.")
    ],
) -> None:
    """Divide the customers into more shards: partitions are added to all topics, and each customer's state moves.

    No worker may run, and everything must be read. Where partitions were added to the inputs by hand, type it with
    their number. Versions, chains, merges and erasures go on, and nothing is told to subscribers. Killed at any point,
    type it again; until it is done, no worker starts.
    """
    loaded = load(settings)
    tune_process_memory()
    with ExitStack() as stack:
        stack.enter_context(kafka_errors(loaded.kafka))
        stack.enter_context(redis_errors(loaded.redis))
        servers = stack.enter_context(redis_connection.servers(loaded.redis))
        prepared = prepare(loaded, servers, partitions)
        show = stack.enter_context(progress("resharding", None))
        reshard = Reshard(
            settings=loaded,
            control=prepared.control,
            servers=servers,
            report=prepared.report,
            division=prepared.division,
            on_progress=show,
        )
        said = _run(reshard, prepared)
    print(said)
    if prepared.unread:
        print(
            f"{prepared.unread:,} records wait in partitions that were there before. Start the workers. Once they have "
            "read them, send those on that belong elsewhere now: "
            "`segflow dead-letters --reason wrong_partition --replay`"
        )


def _run(reshard: Reshard, prepared: Prepared) -> str:
    """Do it, or what is left of it; what was done.

    Raises:
        UsageError: it was refused, or did not come to its end.
    """
    again = f"Type `segflow reshard --partitions {prepared.division.after}` again"
    try:
        if prepared.written:
            customers = asyncio.run(reshard.finish())
            return f"{prepared.division.after} shards with {customers:,} customers, as an earlier try divided them"
        done = asyncio.run(reshard.run())
    except TornStateError as error:
        raise UsageError(f"{error}. Rebuild it first: `segflow rebuild`") from error
    except JournalError as error:
        raise UsageError(f"a shard's state is not whole, and cannot be divided: {error}") from error
    except ShardLostError as error:
        raise UsageError(f"{error}. Stop the workers. {again}") from error
    return f"{done.shards} shards with {done.customers:,} customers, of whom {done.moved:,} moved"
