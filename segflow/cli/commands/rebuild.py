"""segflow rebuild: the state in Redis, from the journal and the inputs."""

import asyncio
import sys
from contextlib import ExitStack
from typing import Annotated, Final

import typer

from segflow.cli.commands.progress import progress
from segflow.cli.options import SettingsFile, load
from segflow.cli.shards import inputs_of, not_held, shards_of
from segflow.operations.repair.rebuild import rebuild
from segflow.state import redis_connection
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.store import ShardLostError
from segflow.streams.control.topic import DefinitionRefusedError
from segflow.streams.journal.journal import JournalError
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.memory import tune_process_memory

EPILOG: Final = """\b
Example:
  segflow rebuild --shard 3

Exit codes: 0 done, 2 usage, settings, connection, workers are running, or it cannot be done (nothing was wiped
then)."""


def command(
    *,
    settings: SettingsFile = None,
    shard: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only this shard; all without it.")] = None,
) -> None:
    """Wipe the state of shards in Redis and make it again. Publishes nothing.

    No worker may run, unless the shard is parked: a parked one goes on by itself afterwards. An earlier owner of the
    shard is fenced. The state is copied from segments.state. Where that is not complete, it is made from the journal
    and the inputs, in memory first (that of one shard's customers): where inputs are no longer kept, nothing is wiped.
    Ended halfway, it can be typed again; a worker that starts instead finishes it.

    Every commit is done under the definition of its time. Settings that want other facts are refused, as by a worker.
    """
    loaded = load(settings)
    tune_process_memory()
    with ExitStack() as stack:
        stack.enter_context(kafka_errors(loaded.kafka))
        stack.enter_context(redis_errors(loaded.redis))
        servers = stack.enter_context(redis_connection.servers(loaded.redis))
        installed = inputs_of(loaded, servers)
        try:
            installed.control.refuse_other_facts()
        except DefinitionRefusedError as error:
            raise UsageError(f"nothing was rebuilt: {error}") from error
        chosen = shards_of(installed, shard)
        not_held(loaded, servers, chosen)
        for partition in chosen:
            store = RedisStore(servers, Keys(loaded.redis.prefix, partition))
            with progress("rebuilding", None) as show:
                try:
                    done = asyncio.run(
                        rebuild(
                            loaded,
                            installed.control,
                            installed.topic_ids,
                            installed.state_topic,
                            partition,
                            store,
                            show,
                        )
                    )
                except JournalError as error:
                    raise UsageError(
                        f"shard {partition} cannot be rebuilt, and nothing of it was wiped: {error}"
                    ) from error
                except ShardLostError as error:
                    raise UsageError(
                        f"a worker has acquired shard {partition} meanwhile and restores the rest itself ({error})"
                    ) from error
            how = f"copied from {loaded.kafka.topics.state}, of commit" if done.copied else "made from commits 1 to"
            sys.stdout.write(f"shard {done.shard}: {done.customers:,} customers, {how} {done.commits:,}\n")
