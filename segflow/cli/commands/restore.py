"""segflow restore: the state of shards, from a snapshot into Redis."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Final

import typer

from segflow.cli.commands.progress import progress
from segflow.cli.options import SettingsFile, load
from segflow.cli.shards import Installed, inputs_of, not_held, shards_of
from segflow.operations.backup import manifest
from segflow.operations.backup.manifest import Manifest
from segflow.operations.backup.place import Place
from segflow.operations.backup.restore import Restore, check_installation
from segflow.operations.backup.state_file import check
from segflow.schemas.settings import Settings
from segflow.state import redis_connection
from segflow.state.keys import Keys
from segflow.state.parking import ParkingNotes
from segflow.state.redis import RedisStore
from segflow.state.redis_servers import RedisServers
from segflow.state.store import ShardLostError
from segflow.streams.journal.journal import JournalError
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.memory import tune_process_memory

EPILOG: Final = """\b
Examples:
  segflow restore /backups/2026-11-30
  segflow restore s3://backups/segflow/2026-11-30 --shard 3

Exit codes: 0 restored, or there was nothing to restore (said on standard output); 2 usage, settings, connection,
workers are running, or it cannot be done: nothing was changed then, unless the message says so."""


def command(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="Of the snapshot: a folder, or s3://bucket/folder.")],
    *,
    settings: SettingsFile = None,
    shard: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only this shard; all without it.")] = None,
) -> None:
    """Bring shards back from a snapshot, where both Redis and segments.state have lost them. Publishes nothing.

    No worker may run, unless the shard is parked: a parked one goes on by itself afterwards. All is checked before
    anything is changed: the files, and whether the journal and the inputs reach back to the snapshot. The next worker
    replays the commits since then, with the erasures among them. A shard that is whole in Redis or in segments.state is
    left as it is. Ended halfway, it can be typed again.
    """
    loaded = load(settings)
    tune_process_memory()
    where = Place.of(place)
    if where.size(manifest.FILE) is None:
        raise UsageError(f"{where.name} has no snapshot: there is no {manifest.FILE}, which is written last")
    with where.reading(manifest.FILE) as file:
        found = manifest.decode(file.read(), where.where(manifest.FILE))
    with ExitStack() as stack:
        stack.enter_context(kafka_errors(loaded.kafka))
        stack.enter_context(redis_errors(loaded.redis))
        servers = stack.enter_context(redis_connection.servers(loaded.redis))
        installed = inputs_of(loaded, servers)
        check_installation(found, installed.control, loaded, installed.partitions)
        chosen = shards_of(installed, shard)
        needed = []
        for restore in _restores(loaded, installed, servers, where, found, chosen):
            why_not = asyncio.run(restore.unneeded())
            if why_not is None:
                needed.append(restore)
            else:
                sys.stdout.write(f"shard {restore.part.shard}: nothing was restored: {why_not}\n")
        not_held(loaded, servers, [restore.part.shard for restore in needed])
        for restore in needed:
            check(where, restore.part)
        for restore in needed:
            _restore(restore)


def _restores(
    settings: Settings,
    installed: Installed,
    servers: RedisServers,
    place: Place,
    found: Manifest,
    chosen: Sequence[int],
) -> list[Restore]:
    parked = ParkingNotes(servers, settings.redis.prefix).read(chosen)
    return [
        Restore(
            settings=settings,
            control=installed.control,
            topic_ids=installed.topic_ids,
            facts=installed.state_topic,
            place=place,
            part=found.shards[number],
            store=RedisStore(servers, Keys(settings.redis.prefix, number)),
            parked=number in parked,
        )
        for number in chosen
    ]


def _restore(restore: Restore) -> None:
    number = restore.part.shard
    with progress("restoring", None) as show:
        restore.on_progress = show
        try:
            done = asyncio.run(restore.run())
        except JournalError as error:
            raise UsageError(f"shard {number} is not whole: {error}. Restore another snapshot") from error
        except ShardLostError as error:
            raise UsageError(f"a worker has acquired shard {number} meanwhile: {error}") from error
    sys.stdout.write(
        f"shard {number}: {done.customers:,} customers, of commit {done.commit:,}; a worker replays the "
        f"{done.missing:,} commits since\n"
    )
