"""The time of each step of a commit: a shard's commits over real Kafka and Redis, one step after the other."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import uvloop

from benchmarks.bench import Bench
from benchmarks.fed_shard import PARTITION, fed_shard, portions
from benchmarks.figure import Figure
from benchmarks.filled_state import BATCH_EVENTS, FilledShard
from benchmarks.history import History
from benchmarks.installation import Installation, installation
from benchmarks.stopwatch import REST, Border, Stopwatch
from segflow.engine.columns.events import none
from segflow.engine.commit import execute, load
from segflow.engine.decode.records import Decoder
from segflow.engine.encode.change_json import Encoder
from segflow.state import record
from segflow.state.head import Head
from segflow.state.redis import RedisStore
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.journal import JournalReader
from segflow.streams.publish import packing
from segflow.streams.publish.publisher import Publisher
from segflow.streams.publish.record_batch import RecordBatch
from segflow.streams.runtime.memory import tune_process_memory
from segflow.streams.shard.commit_batcher import CommitBatcher
from segflow.streams.shard.commit_loop import CommitLoop

CUSTOMERS: Final = 300_000
EVENTS: Final = 600_000
"""Of the history: twice as many as customers, as in `throughput`."""
BEFORE: Final = 3 / 8
"""Of the history is worked before what is measured: customers are known then, and silence has its changes. Those of
30 days come in what is measured and those of 60 do not, so it has about as many an event as the whole history has."""
LOAD: Final = "load from Redis, waiting included"
WRITE: Final = "encode customer records, assemble the write"
BATCHES: Final = "record batches, with lz4"
STORED: Final = "Redis write, waiting included"
BORDERS: Final = (
    Border(Decoder, "records", "decode records"),
    Border(load, "merge", "merge both inputs"),
    Border(RedisStore, "begin", LOAD),
    Border(RedisStore, "load", LOAD),
    Border(record, "decode", "decode customer records"),
    Border(execute, "advance", "advance"),
    Border(Encoder, "encode", "encode changes"),
    Border(Encoder, "_current", "encode current segments"),
    Border(execute, "split", WRITE),
    Border(execute, "write", WRITE),
    Border(packing, "batches_together", BATCHES),
    Border(RecordBatch, "built", BATCHES),
    Border(Publisher, "publish", "Kafka transaction, waiting included"),
    Border(CommitLoop, "_store", STORED),
    Border(RedisStore, "commit", STORED),
    Border(CommitBatcher, "run", REST),
    Border(CommitLoop, "_execute", REST),
    Border(CommitLoop, "_commit", REST),
)
"""In the order of a commit. What a commit's changes and its current segments have in common counts as `encode
changes`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """Commits of so many events each."""

    events: int
    unit: str  # of its figures
    per: int  # what the time of a commit is divided by, for that unit
    first: int  # commits that are not measured, until the broker and this process run as they will
    measured: int
    quick: int  # measured in a quick run, after one that is not

    @property
    def name(self) -> str:
        """The beginning of its figures' names."""
        return f"{self.events:,} events"

    def counts(self, bench: Bench) -> tuple[int, int]:
        """Commits before those that are measured, and those."""
        return (1, self.quick) if bench.quick else (self.first, self.measured)


SIZES: Final = (
    Size(events=30, unit="µs/commit", per=1, first=1_000, measured=300, quick=3),
    Size(events=2_000, unit="µs/event", per=2_000, first=15, measured=40, quick=2),
)
"""As a worker's commits are while it keeps up, and while it is behind. During the first the broker compiles its
code."""


def run(bench: Bench) -> list[Figure]:
    """The time of the commits of each size by step: of the middle half of them, by the time of the whole.

    The median of each step would add up to less than any commit takes: they do not have their slow steps together.
    The history is at least twice what is measured. Its records are given to the shard as the consumer gives them:
    reading from Kafka is not among the steps, nor is what a commit waits for its turn.
    """
    sizes = [size.events for size in SIZES for _ in range(sum(size.counts(bench)))]
    events = max(bench.sized(bench.events, EVENTS, 0), 2 * sum(sizes))
    before = int(BEFORE * events)
    history = History(customers=bench.sized(bench.customers, CUSTOMERS, 5_000), events=events)
    values = [value for lines in history.lines() for value in lines.values]
    tune_process_memory()
    with installation(bench, clock="event") as site:
        _fill(site, values[:before])
        bench.say(f"{before:,} events worked before")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            spent, changes = runner.run(_commits(site, values[before:], sizes))
    figures: list[Figure] = []
    start = 0
    for size in SIZES:
        first, measured = size.counts(bench)
        start += first
        figures += _figures(size, spent[start : start + measured], changes[start : start + measured])
        start += measured
    return figures


def _fill(site: Installation, values: Sequence[bytes]) -> None:
    """Work these events into the state, and whatever deadlines they make due."""
    shard = FilledShard(site.settings, site.rule_versions, PARTITION, site.stores()[PARTITION])
    decoder = Decoder(site.settings, None)
    for start in range(0, len(values), BATCH_EVENTS):
        happened = values[start : start + BATCH_EVENTS]
        shard.apply(decoder.decode(happened, None, range(len(happened))))
    while shard.apply(none()):
        pass
    shard.done()
    shard.store.close()


async def _commits(
    site: Installation, values: Sequence[bytes], sizes: Sequence[int]
) -> tuple[list[dict[str, float]], list[int]]:
    """Commits of so many events each: the seconds of their steps, and their changes."""
    stopwatch, spent = Stopwatch(), []
    async with fed_shard(site) as shard:
        with stopwatch.timing(BORDERS):
            for portion in portions(values, sizes):
                await shard.commit(portion)
                spent.append(stopwatch.take())
    async with JournalReader(site.settings, PARTITION) as journal:
        entries = [entry async for _, entry in journal.after(Head())]
    with_events = [entry for entry in entries if _reads(entry)]  # others are of silence that one commit could not hold
    return spent, [entry.changes for entry in with_events]


def _reads(entry: Entry) -> bool:
    """Whether the commit had events."""
    plan = entry.plan
    return (plan.purchases_to, plan.interactions_to) != (entry.purchases_from, entry.interactions_from)


def _figures(size: Size, spent: Sequence[dict[str, float]], changes: Sequence[int]) -> Iterator[Figure]:
    """Means of the commits about the median one, so that the steps add up to the whole."""
    middle = sorted(spent, key=lambda each: sum(each.values()))[len(spent) // 4 : -(len(spent) // 4) or None]
    steps_s = {step: fmean(each[step] for each in middle) for step in dict.fromkeys(border.step for border in BORDERS)}
    for name, seconds in (steps_s | {"the whole": sum(steps_s.values())}).items():
        yield Figure(name=f"{size.name}: {name}", value=1e6 * seconds / size.per, unit=size.unit)
    yield Figure(name=f"{size.name}: changes", value=sum(changes) / size.events / len(changes), unit="changes/event")
