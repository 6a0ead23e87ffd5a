"""segflow snapshot: the state of all shards, into files."""

import asyncio
import sys
from contextlib import ExitStack
from typing import Annotated, Final

import typer

from segflow.cli.commands.progress import progress
from segflow.cli.options import SettingsFile, load
from segflow.cli.shards import inputs_of
from segflow.operations.backup import manifest
from segflow.operations.backup.place import Place
from segflow.operations.backup.snapshot import Snapshot
from segflow.state import redis_connection
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Examples:
  segflow snapshot /backups/2026-11-30
  segflow snapshot s3://backups/segflow/2026-11-30

Exit codes: 0 taken, 2 usage, settings, connection, or it could not be taken: a folder without manifest.json has no
snapshot."""


def command(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="A folder, or s3://bucket/folder, without a snapshot.")],
    *,
    settings: SettingsFile = None,
) -> None:
    """Write every shard's state into files, each as it was after one commit. Workers go on meanwhile.

    One Parquet file a shard, and manifest.json last. What is read is segments.state. Where that does not have all of a
    shard (always with worker.guarantee: at_least_once) Redis is read, and a commit meanwhile ends it: stop the workers.
    The files have everybody's records: keep them as you keep Redis. A restored customer who was erased since is erased
    again.

    S3 takes AWS' environment variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL), and
    options in the address: s3://bucket/folder?endpoint_override=host:9000&scheme=https&region=eu-central-1.
    """
    loaded = load(settings)
    where = Place.of(place)
    if where.size(manifest.FILE) is not None:
        raise UsageError(f"{where.name} has a snapshot already: name another folder, or delete that one first")
    with ExitStack() as stack:
        stack.enter_context(kafka_errors(loaded.kafka))
        stack.enter_context(redis_errors(loaded.redis))
        servers = stack.enter_context(redis_connection.servers(loaded.redis))
        installed = inputs_of(loaded)
        where.make()
        show = stack.enter_context(progress("writing", None))
        snapshot = Snapshot(
            settings=loaded,
            control=installed.control,
            facts=installed.state_topic,
            partitions=installed.partitions,
            store_of=lambda number: RedisStore(servers, Keys(loaded.redis.prefix, number)),
            place=where,
            on_progress=show,
        )
        taken = asyncio.run(snapshot.take())
    for part in taken.shards:
        size = f"{part.customers:,} customers, {part.size_bytes:,} bytes" if part.rows else "nothing yet"
        sys.stdout.write(f"shard {part.shard}: commit {part.head.sequence:,}, {size}\n")
    sys.stdout.write(f"written: {where.where(manifest.FILE)}\n")
