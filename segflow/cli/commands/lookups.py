"""Lookups shared by the commands about customers: one customer's record, and all rule versions."""

import sys
from contextlib import closing
from typing import NoReturn

import typer

from segflow.engine.partitioner import partition_of
from segflow.operations.printable import printable
from segflow.schemas.settings import Settings
from segflow.state import lookup, redis_connection
from segflow.state.keys import Keys
from segflow.state.redirect import Redirect, is_redirect
from segflow.streams.control.topic import Control
from segflow.streams.runtime.connections import address, kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError


def find(settings: Settings, customer: str) -> tuple[int, lookup.Found]:
    """The customer's shard and record.

    Raises:
        typer.Exit: with 1, nothing is known of the customer; said on standard error.
        UsageError: Redis cannot be reached, or the settings place customers in another way.
        msgspec.MsgspecError: the stored head is none.
    """
    with redis_errors(settings.redis), closing(redis_connection.servers(settings.redis)) as servers:
        installation = lookup.installation(servers, settings.redis.prefix)
        if installation is None:
            _unknown(
                f"no worker has run yet on Redis at {address(settings.redis)} with redis.prefix {settings.redis.prefix}"
            )
        if installation.partitioner != settings.kafka.partitioner:
            raise UsageError(
                f"kafka.partitioner is {settings.kafka.partitioner}, but the workers run with "
                f"{installation.partitioner}: use their settings"
            )
        partition = partition_of(customer.encode(), settings.kafka.partitioner, installation.partitions)
        found = lookup.find(servers, Keys(settings.redis.prefix, partition), customer)
    if found.record is None:
        _unknown(
            f"nothing is known of the customer {printable(customer)} (shard {partition}): no usable event came yet"
        )
    if is_redirect(found.record):
        became = printable(Redirect.decode(found.record).to)
        _unknown(f"the customer {printable(customer)} was merged into {became}: `segflow show {became}`")
    return partition, found


def in_force(settings: Settings) -> Control:
    """The definitions and cuts there were: a label's code means something in the rules it was made with only.

    Raises:
        UsageError: Kafka cannot be reached, or no worker has run.
    """
    control = Control(settings)
    with kafka_errors(settings.kafka):
        if not control.read():
            raise UsageError(f"{settings.kafka.topics.control} is empty: no worker has run yet with these topics")
    return control


def _unknown(message: str) -> NoReturn:
    sys.stderr.write(f"segflow: {message}\n")
    raise typer.Exit(1)
