"""A worker's membership in its consumer group, watched: an error is answered by joining again."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from segflow.streams.consume.faust_app import App
from segflow.streams.runtime.backoff import Backoff
from segflow.streams.runtime.error_reason import reason

log = logging.getLogger(__name__)

WATCH_S: Final = 0.5
"""Seconds between two looks. An error of the membership is answered by joining again, a crashed app by ending the
process, both within a heartbeat of the shortest session timeout Kafka allows (6 s)."""
RETRY_S: Final = (0.5, 10.0)
"""First and longest pause between two tries at the group."""


async def keep_membership(app: App, trouble: Callable[[str], None]) -> None:
    """Join the group again after an error, until the app stops.

    Args:
        app: the worker's.
        trouble: told why the worker is no member now, for people.

    Raises:
        MembershipEndedError: it cannot be a member any more.
    """
    backoff = Backoff(*RETRY_S, steady_s=RETRY_S[1])
    well_since_s = time.monotonic()
    while not app.should_stop:
        await asyncio.sleep(WATCH_S)
        error = await app.consumer.membership_error()
        if error is not None:
            log.warning("the group's coordination: %s; joining again", reason(error))
            trouble(reason(error))
            await asyncio.sleep(backoff.next_s(after_s=time.monotonic() - well_since_s))
            well_since_s = time.monotonic()
