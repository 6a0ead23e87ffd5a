"""One peer over the whole topic: its pace, its price, what it remembers, and how soon it is back when killed."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks.bench import Bench
from benchmarks.ceiling import Traffic
from benchmarks.peers import traffic
from benchmarks.peers.input_log import InputLog
from benchmarks.peers.peer import Peer, PeerFailedError, running
from benchmarks.peers.progress import Progress, follow
from benchmarks.peers.published import Pace, Published, SegflowRecord, each, pace, read_now, verdict
from benchmarks.peers.recovery import first_change_s
from benchmarks.peers.site import Site, site

WARM_UP_SHARE: Final = 1 / 3
"""Of the events, the first, which count in nobody's pace: a virtual machine compiles, caches and connections fill."""


@dataclass(slots=True)
class Run:
    """The result of one run."""

    figures: dict[str, float] = field(default_factory=dict)
    whole: bool = True  # False: cut off
    wrong: str | None = None  # what is the matter with the output; then there are no figures
    traffic: Traffic | None = None  # of segflow
    not_back: str | None = None  # why there is no time from its kill on; all else counts


def run(bench: Bench, peer: Peer, log: InputLog, *, limit_s: float) -> Run:
    """Start the peer on an empty memory and let it read the topic to its end, or for `limit_s`; at its end, kill it.

    Its output is compared with the answer before anything else is looked at.

    Raises:
        PeerFailedError: its program failed.
    """
    with site(bench, peer, log.kafka, clock="event") as place, running(peer, place.place) as program:
        expected, events = log.answer.count, log.answer.events
        progress = asyncio.run(follow(place, program, expected if peer.judged else events, limit_s))
        found = Run(whole=progress.whole)
        if not peer.judged:
            found.figures = _figures(progress, _even_pace(place, progress, events))
            return found
        if not progress.whole:
            program.kill()
        state_bytes = place.state_bytes()
        published = read_now(place.kafka, place.place.output, peer.record, progress.ends)
        found.wrong = verdict(log.answer, published, whole=progress.whole)
        if found.wrong is not None:
            return found
        found.figures = _figures(progress, pace(log.answer, published))
        found.figures["state_bytes_customer"] = state_bytes / max(1, len(published.changes))
        if peer.record is SegflowRecord:
            found.traffic = traffic.of_segflow(place, _events_read(log, published))
        if progress.whole:
            try:
                found.figures["recovery_s"] = first_change_s(place, program, log)
            except PeerFailedError as error:
                bench.say(str(error))
                found.not_back = str(error).splitlines()[0].removesuffix(":")
        return found


def _figures(progress: Progress, seen: Pace) -> dict[str, float]:
    begin_s, end_s, events = seen.window(WARM_UP_SHARE)
    meter = progress.meter
    used_s = {part: meter.cpu_between(part, begin_s, end_s) for part in meter.pids}
    resident_mib = meter.resident_most("peer") + meter.resident_most("redis")
    return {
        "events_s": events / (end_s - begin_s),
        "events_cpu_s": events / sum(used_s.values()),
        "events_cpu_s_but_broker": events / (used_s["peer"] + used_s["redis"]),
        "resident_mib": resident_mib,
    }


def _events_read(log: InputLog, published: Published) -> int:
    """The number of events that led to the published changes."""
    return int(pace(log.answer, published).events[-1])


def _even_pace(place: Site, progress: Progress, events: int) -> Pace:
    """The pace of a program that publishes equally many records at each event."""
    times: list[int] = []

    def take(record: Any) -> None:
        times.append(record.timestamp)

    asyncio.run(each(place.kafka, place.place.output, progress.ends, take))
    times.sort()
    return Pace(np.array(times, dtype=np.int64), np.arange(1, len(times) + 1) * events // max(1, len(times)))
