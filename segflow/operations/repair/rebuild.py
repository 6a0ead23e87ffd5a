"""Making a shard's state in Redis again, on purpose; nothing is published.

It is copied from `segments.state`. Where that is not complete, the state is made from the journal and the inputs: first
all of it in memory, so that Redis is left as it is where that cannot be done. Then Redis is cleared and filled, its
head saying from before the first key goes until after the last has come that it is not to be trusted.
"""

import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from segflow.schemas.settings import Settings
from segflow.state import record
from segflow.state.head import PAGE_CUSTOMERS, Head
from segflow.state.layout import NO_TIMER
from segflow.state.memory import MemoryStore
from segflow.state.store import HOLE, LedgerEntry, Store, TornStateError, Write
from segflow.streams.control.topic import Control
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.journal.replay import JournalReplay
from segflow.streams.publish.publisher import Publisher
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.state_topic.copier import Copier
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts
from segflow.streams.state_topic.whole import latest_whole

OnProgress = Callable[[int, str, int], None]
"""Called with (units done, a note, of how many): offsets of a topic, then customers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """The result of rebuilding a shard."""

    shard: int
    commits: int
    customers: int
    copied: bool = False  # from the state topic; else made from the journal and the inputs


async def rebuild(
    settings: Settings,
    control: Control,
    topic_ids: tuple[str, ...],
    facts: TopicFacts,
    partition: int,
    store: Store,
    on_progress: OnProgress = lambda *_: None,
) -> Rebuilt:
    """Rebuild the state of one shard.

    1. InitTransactions: a worker that has the shard can commit no more. Where the state topic has the last commit,
       whole, copy all of it (`Copier.anew`), and that is it: a worker that comes in between goes on with it.
    2. Replay every commit of the journal in memory, also those of other versions of segflow, and check that it gives
       what it gave before.
    3. Mark the head and clear the rest away. From here on a worker that acquires it finds nothing whole, and makes
       the state again itself, commit by commit; so does `segflow rebuild`, typed again.
    4. Write customers, timers and directory, page by page, each only while the mark is still there; what stays of
       erased ones, and who became whom, last.
    5. Write the head.

    Raises:
        JournalError: it cannot be done (InputGoneError: inputs are no longer kept). Redis is as it was.
        ShardLostError: a worker has acquired the shard meanwhile.
        aiokafka.errors.KafkaError, redis.RedisError: type it again.
    """
    publisher = Publisher(settings, partition)
    await publisher.start()  # 1
    try:
        stored, readable = _stored(store)
        copied = await _copied(settings, control, facts, partition, store, stored, on_progress)
        if copied is not None:
            return copied
        memory = MemoryStore()
        commits = await _remember(settings, control, topic_ids, partition, memory, on_progress)  # 2
        head = memory.head()
        if not readable:
            store.drop_head()
        if head is None:
            store.wipe()
            return Rebuilt(shard=partition, commits=0, customers=0)
        mark = Head(owner=secrets.token_hex(8), partial=True)
        store.clear(mark, stored)  # 3
        mark = _write(memory, store, mark, lambda done: on_progress(done, f"shard {partition}", head.population))  # 4
        store.acquire(msgspec.structs.replace(head, owner=mark.owner), mark)  # 5
    finally:
        await publisher.close()
        store.close()
    return Rebuilt(shard=partition, commits=commits, customers=head.population - head.holes)


def _stored(store: Store) -> tuple[Head | None, bool]:
    """The head that is to be replaced, and whether there is none that cannot be read."""
    try:
        return store.head(), True
    except TornStateError:
        return None, False


async def _copied(
    settings: Settings,
    control: Control,
    facts: TopicFacts,
    partition: int,
    store: Store,
    stored: Head | None,
    on_progress: OnProgress,
) -> Rebuilt | None:
    """Fill the store from the state topic; None: that has not all of the state."""
    async with JournalReader(settings, partition) as journal, StateTopicReader(settings, partition) as topic:
        found = await latest_whole(topic, journal, facts)
        if found is None:
            return None
        last, end = found
        if stored is None:
            store.drop_head()  # where there is one that cannot be read
        copier = Copier(
            topic=topic,
            last=last,
            end=end,
            store=store,
            versions=control.rule_versions,
            on_progress=lambda done, total, _: on_progress(done, f"shard {partition}", total),
        )
        head = await copier.anew(stored, now_us())
        store.acquire(msgspec.structs.replace(head, owner=secrets.token_hex(8)), head)
    return Rebuilt(shard=partition, commits=head.sequence, customers=head.population - head.holes, copied=True)


async def _remember(
    settings: Settings,
    control: Control,
    topic_ids: tuple[str, ...],
    partition: int,
    memory: MemoryStore,
    on_progress: OnProgress,
) -> int:
    """Every commit into `memory`; how many there were."""
    commits = 0
    async with JournalReader(settings, partition) as journal, InputReader(settings, partition) as inputs:
        first, end = await journal.first(), await journal.end()
        replay = JournalReplay(
            settings=settings,
            partition=partition,
            topic_ids=topic_ids,
            control=control,
            inputs=inputs,
            journal=journal,
            store=memory,
            tries_other_versions=True,
        )
        async for replayed in replay.run(None, end):
            commits += 1
            on_progress(replayed.at + 1 - first, f"shard {partition}: {commits:,} commits", end - first)
        if not commits and await journal.was_cut():  # what Redis has is the only copy
            state = settings.kafka.topics.state
            raise JournalError(f"{state} does not have all of its state, and {journal.topic} was cut to nothing")
    return commits


def _write(memory: MemoryStore, store: Store, mark: Head, on_page: Callable[[int], None]) -> Head:
    """All of `memory` into the cleared `store`; the mark as it is stored then."""
    head = memory.head()
    assert head is not None
    for number in range(head.pages):
        page = memory.page(number)
        ids = [customer_id for customer_id in page if customer_id != HOLE]
        values = [value for value in memory.load(ids) if value is not None]
        timers = zip(ids, record.timers_us(values), strict=True)
        then = msgspec.structs.replace(mark, population=mark.population + len(page))
        write = Write(
            records=list(zip(ids, values, strict=True)),
            timers=[(customer_id, timer_us) for customer_id, timer_us in timers if timer_us != NO_TIMER],
            born=page,
            head=then,
        )
        store.begin(mark)
        store.commit(write)
        mark = then
        on_page(mark.population)
    counts = [(*kind, count) for kind, count in memory.counts().items()]
    store.begin(mark)
    store.commit(Write(records=[], timers=[], born=[], head=mark, counts=counts))
    erased = memory.oldest_erased(sys.maxsize)
    for start in range(0, len(erased), PAGE_CUSTOMERS):
        store.begin(mark)
        slice_ = erased[start : start + PAGE_CUSTOMERS]
        store.commit(Write(records=[], timers=[], born=[], head=mark, erased=slice_))
    redirects = list(memory.redirects.items())
    ledger = [LedgerEntry(*each, holds=True) for each in memory.ledger.items()]
    for start in range(0, max(len(redirects), len(ledger)), PAGE_CUSTOMERS):
        store.begin(mark)
        stop = start + PAGE_CUSTOMERS
        write = Write(records=redirects[start:stop], timers=[], born=[], head=mark, ledger=ledger[start:stop])
        store.commit(write)
    return mark
