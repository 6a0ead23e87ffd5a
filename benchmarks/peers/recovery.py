"""From kill -9 to the first new change of the same program started again, with all customers remembered."""

import asyncio
import time
from typing import Final

from aiokafka import TopicPartition

from benchmarks.peers.input_log import InputLog
from benchmarks.peers.peer import Program, running
from benchmarks.peers.site import Site, consumer, ends_now

GIVE_UP_S: Final = 180.0
POLL_MS: Final = 100


def first_change_s(site: Site, program: Program, log: InputLog) -> float:
    """Kill `program`, which has read everything; one purchase of a new customer; start it again; wait for the change.

    Raises:
        PeerFailedError: no change within GIVE_UP_S.
    """
    killed_s = time.monotonic()
    program.kill()
    before = ends_now(site.kafka, site.place.output)
    who = log.append()
    with running(site.peer, site.place) as again:
        asyncio.run(_wait(site, again, before, who.encode()))
        return time.monotonic() - killed_s


async def _wait(site: Site, program: Program, after: dict[int, int], who: bytes) -> None:
    """Until a committed change of the customer `who` stands at or beyond the offsets `after`.

    What comes before it are changes told again: the peer was not back yet.
    """
    until = time.monotonic() + GIVE_UP_S
    async with consumer(site.kafka) as reader:
        places = [TopicPartition(site.place.output, partition) for partition in after]
        reader.assign(places)
        for place in places:
            reader.seek(place, after[place.partition])
        while not any(
            who in record.value for records in (await reader.getmany(timeout_ms=POLL_MS)).values() for record in records
        ):
            if program.process.poll() is not None or time.monotonic() > until:
                raise program.failure(f"{site.peer.title} made no change within {GIVE_UP_S:.0f} s of being killed:")
