"""Checks before a worker starts: topics, key placement, Redis, the definition of the segments."""

import logging
import signal
import sys
import time
from typing import Any, Final

from segflow.schemas.settings import Settings
from segflow.state import lookup
from segflow.state.redis_connection import servers
from segflow.streams.control.topic import Control, DefinitionRefusedError
from segflow.streams.health.pages import Pages, Starting
from segflow.streams.kafka import topics
from segflow.streams.kafka.clients import group_members
from segflow.streams.kafka.key_placement import check_keys
from segflow.streams.kafka.topics_report import grown
from segflow.streams.runtime.backoff import Backoff
from segflow.streams.runtime.connections import UnreachableError, address, kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.version import installed_version
from segflow.streams.worker.installation import check_control, claim, note_secret
from segflow.streams.worker.worker import Worker

log = logging.getLogger(__name__)

RETRY_S: Final = (0.5, 10.0)
"""First and longest pause before servers that do not answer are asked again."""


class NotReadyError(UsageError):
    """A worker cannot start; the message says why and what to do."""


def work(settings: Settings, *, wait: bool, quiet: bool = False) -> int:
    """Be a worker until SIGTERM or SIGINT.

    Args:
        settings: of the installation, or the first with a new definition.
        wait: for servers that cannot be reached, as long as it takes.
        quiet: what moves by a new definition is not published.

    Returns:
        The exit code, see streams.worker.

    Raises:
        UsageError: it cannot start, with what to do.
    """
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _leave)  # nothing is held yet that would have to be finished
    with Pages(settings.worker) as pages:
        worker = _prepared(settings, pages, quiet=quiet) if wait else prepare(settings, quiet=quiet)
        pages.source = worker.view
        return worker.run()


def _leave(*_: Any) -> None:
    sys.exit(0)


def _prepared(settings: Settings, pages: Pages, *, quiet: bool) -> Worker:
    """A worker that is ready to run, once Kafka and Redis answer."""
    backoff = Backoff(*RETRY_S)
    while True:
        try:
            return prepare(settings, quiet=quiet)
        except UnreachableError as error:
            log.warning("waiting to start: %s", error)
            pages.source = Starting(f"waiting to start: {error}")
        time.sleep(backoff.next_s())


def prepare(settings: Settings, *, quiet: bool = False) -> Worker:
    """A worker that is ready to run; the first with a changed definition has written it.

    Raises:
        NotReadyError: something is missing or does not fit, with what to do.
    """
    with kafka_errors(settings.kafka):
        report = topics.check(settings)
    with redis_errors(settings.redis), servers(settings.redis) as connected:
        held = lookup.installation(connected, settings.redis.prefix)
    added = grown(report, held.partitions) if held is not None else ""
    if added:
        raise NotReadyError(added)
    with kafka_errors(settings.kafka):
        if report.problems:
            raise NotReadyError("\n".join(report.problems))
        problem = check_keys(settings, report.partitions)
        if problem is not None:  # no reason to hold up what is right: misplaced records are dead letters
            log.warning("%s", problem)
    with redis_errors(settings.redis), servers(settings.redis) as connected:
        claim(connected, settings, report)
    log.info(
        "segflow %s: Kafka at %s, group %s, %d shards; Redis at %s, prefix %s; pages %s",
        installed_version(),
        settings.kafka.address,
        settings.kafka.group,
        report.partitions,
        address(settings.redis),
        settings.redis.prefix,
        f"on {settings.worker.http_host}:{settings.worker.http_port}" if settings.worker.http_port else "off",
    )
    control = Control(settings)
    with (
        kafka_errors(settings.kafka),
        redis_errors(settings.redis),
        servers(settings.redis) as connected,
    ):
        control.read()
        check_control(connected, settings, control, report)
        try:
            control.start(lambda: _others(settings), quiet=quiet)
        except DefinitionRefusedError as error:
            raise NotReadyError(str(error)) from error
        note_secret(connected, settings, control)
    return Worker(settings, report=report, control=control)


def _others(settings: Settings) -> int:
    with topics.admin(settings.kafka) as client:
        return group_members(client, settings.kafka.group)
