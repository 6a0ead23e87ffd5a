"""One run over the whole topic: start the program, look on from afar, stop when all is published."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from benchmarks.peers.meter import Meter
from benchmarks.peers.peer import Program
from benchmarks.peers.site import Site, consumer, ends

LOOK_S: Final = 0.25
"""Between two looks, which cost some milliseconds each."""
START_S: Final = 120.0
"""Within which a program must publish its first change: a virtual machine and a rebalance take seconds."""
QUIET_S: Final = 2.0
"""All is published when no partition's end has moved for so long: twice the longest commit interval among the peers."""
HOPELESS: Final = (1 / 3, 1 / 4)
"""After this share of the allowed time a program has published this share of all, or it is cut off then: it will not
get to the end, and its pace is known."""
STILL_S: Final = 40.0
"""A program that publishes nothing for so long before all is there has failed."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The outcome of a run over the topic."""

    meter: Meter
    ends: dict[int, int]  # of the output, by partition
    whole: bool  # False: cut off, for it took longer than was allowed, or would have


async def follow(site: Site, program: Program, expected: int, limit_s: float) -> Progress:
    """Until `expected` changes are published, the program has ended, or `limit_s` after its first change is over.

    One that is not to get to the end by then is cut off sooner.

    Raises:
        PeerFailedError: it failed or stands still.
    """
    meter = site.meter(program)
    first_s = 0.0
    moved_s = started_s = time.monotonic()
    seen: dict[int, int] = {}
    async with consumer(site.kafka) as reader:
        while True:
            meter.look()
            code = program.process.poll()
            if code:
                raise program.failure(f"{site.peer.title} ended with code {code}:")
            now_s = time.monotonic()
            found = await ends(reader, site.place.output)
            if found != seen and any(found.values()):
                seen, moved_s = found, now_s
                first_s = first_s or now_s
            published = sum(seen.values())
            if code == 0 or (published >= expected and now_s - moved_s > QUIET_S):
                return Progress(meter=meter, ends=seen, whole=True)
            if first_s and _has_had(now_s - first_s, limit_s, published, expected):
                return Progress(meter=meter, ends=found, whole=False)
            if now_s - moved_s > (STILL_S if first_s else START_S):
                waited_s = now_s - (moved_s if first_s else started_s)
                what = f"{site.peer.title} published nothing for {waited_s:.0f} s, {published:,} records in all:"
                raise program.failure(what)
            await asyncio.sleep(LOOK_S)


def _has_had(passed_s: float, limit_s: float, published: int, expected: int) -> bool:
    """Whether a program has had its time."""
    time_share, published_share = HOPELESS
    return passed_s > limit_s or (passed_s > time_share * limit_s and published < published_share * expected)
