"""A worker's membership in its consumer group, watched: after an error, or where shards wait, it joins again."""

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
REMIND_S: Final = 6.0
"""Seconds for which shards may wait for a worker that gives them up. It has 5 s to finish their commits and then has
the group divided again; where it died and was back before the group missed it, it does not know of them."""


async def keep_membership(app: App, trouble: Callable[[str], None]) -> None:
    """Join the group again after an error, and where shards wait too long, until the app stops.

    Args:
        app: the worker's.
        trouble: told why the worker is no member now, for people.

    Raises:
        MembershipEndedError: it cannot be a member any more.
    """
    backoff = Backoff(*RETRY_S, steady_s=RETRY_S[1])
    well_since_s = divided_s = time.monotonic()
    generation = -1
    while not app.should_stop:
        await asyncio.sleep(WATCH_S)
        error = await app.consumer.membership_error()
        if error is not None:
            log.warning("the group's coordination: %s; joining again", reason(error))
            trouble(reason(error))
            await asyncio.sleep(backoff.next_s(after_s=time.monotonic() - well_since_s))
            well_since_s = time.monotonic()
        if generation != app.consumer_generation_id or not app.gate.assignor.some_wait:
            generation, divided_s = app.consumer_generation_id, time.monotonic()
        elif time.monotonic() - divided_s > REMIND_S:
            divided_s = time.monotonic()
            await app.consumer.join_again()
