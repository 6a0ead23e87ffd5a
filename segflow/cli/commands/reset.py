"""segflow reset: a shard that is parked goes on elsewhere in its inputs."""

import asyncio
from contextlib import ExitStack
from typing import Annotated, Final, Literal

import typer

from segflow.cli.options import SettingsFile, load
from segflow.cli.shards import inputs_of, shards_of
from segflow.operations.repair.reset import NothingToResetError, Reset, Target, UntakenError
from segflow.state import redis_connection
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.store import ShardLostError, TornStateError
from segflow.streams.journal.journal import JournalError
from segflow.streams.runtime.connections import kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Examples:
  segflow reset --shard 3 --input purchases --to earliest
  segflow reset --all --to latest

Exit codes: 0 done (with --all also where nothing was wrong), 2 usage, settings, connection, or refused: what was
refused was not moved."""


def command(
    *,
    settings: SettingsFile = None,
    shard: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="The shard, as the worker's last message names it.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every shard that something is wrong with, one after the other.")
    ] = False,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="WHERE",
            help="earliest (the oldest record there is), latest (only what comes from now on), or an offset.",
        ),
    ],
    role: Annotated[
        Literal["purchases", "interactions", "handover"] | None,
        typer.Option("--input", help="Only this input; without it each that something is wrong with."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Move it although nothing is wrong; a worker that has the shard is fenced.")
    ] = False,
) -> None:
    """Move a shard's position in its inputs, where retention, a recreated topic or lost records have stopped it.

    Says what is skipped or read again. Acquires the shard first: whoever had it is fenced, and commits that did not
    reach Redis are replayed. The move is a commit in the journal. A worker that has the shard parked goes on by itself.
    """
    loaded = load(settings)
    target = _target(to)
    if every == (shard is not None):
        raise UsageError("say which: --shard N, or --all")
    if every and isinstance(target, int):
        raise UsageError("an offset is one of one shard: with --all, --to is earliest or latest")
    with ExitStack() as stack:
        stack.enter_context(kafka_errors(loaded.kafka))
        stack.enter_context(redis_errors(loaded.redis))
        servers = stack.enter_context(redis_connection.servers(loaded.redis))
        installed = inputs_of(loaded, servers)
        refused = []
        for partition in shards_of(installed, shard):
            reset = Reset(
                settings=loaded,
                control=installed.control,
                topic_ids=installed.topic_ids,
                facts=installed.state_topic,
                partition=partition,
                store=RedisStore(servers, Keys(loaded.redis.prefix, partition)),
                to=target,
                role=role,
                force=force,
                say=print,
            )
            try:
                print(f"shard {partition}: done, as commit {_reset(reset)}")
            except NothingToResetError as error:
                if not every:
                    raise
                untaken = isinstance(error, UntakenError)
                print(error if untaken else f"shard {partition}: nothing is wrong, and nothing was moved")
            except UsageError as error:
                if not every:
                    raise
                refused.append(str(error))
    if refused:
        raise UsageError("\n".join(refused))


def _reset(reset: Reset) -> int:
    """Do it.

    Returns:
        The number of the commit.

    Raises:
        NothingToResetError: there is nothing to do.
        UsageError: it was refused.
    """
    partition = reset.partition
    try:
        return asyncio.run(reset.run())
    except TornStateError as error:
        raise UsageError(f"{error}. Type `segflow rebuild --shard {partition}` first") from error
    except JournalError as error:
        raise UsageError(
            f"shard {partition}: Redis lacks commits that cannot be replayed ({error}). A reset would lose them: "
            "restore a younger Redis, or begin a new installation"
        ) from error
    except ShardLostError as error:
        raise UsageError(f"a worker has acquired shard {partition} meanwhile: {error}") from error


def _target(to: str) -> Target:
    if to == "earliest":
        return "earliest"
    if to == "latest":
        return "latest"
    if to.isascii() and to.isdigit():
        return int(to)
    raise UsageError(f"--to is {to!r}, but must be earliest, latest or an offset, such as 1200")
