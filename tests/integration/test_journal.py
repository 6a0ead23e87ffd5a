"""Reading the journal again: where a commit stands, in slices, past aborted transactions, and never over a gap."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.columns.messages import Message, Messages
from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.streams.journal import entry_codec, journal
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.kafka import partition_reader
from segflow.streams.kafka.partition_reader import TAIL_STEP
from segflow.streams.publish.publisher import Publisher
from segflow.streams.publish.record_batch import batches
from tests.support.journal_entry import entry_of
from tests.support.service import Service

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

COMMITS = 700


def entry(sequence: int) -> Entry:
    """A commit that read and published nothing."""
    return entry_of(sequence, purchases_to=sequence, topic_ids=("a", "b"), purchases_from=sequence)


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[Publisher]:
    """A shard's producer."""
    publisher = Publisher(settings, 0)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.close()


async def write(settings: Settings, sequences: list[int], *, aborted_every: int = 0) -> None:
    """A transaction an entry, as commits are, some of them with an aborted one of the same sequence before."""
    topic = settings.kafka.topics.journal
    async with publishing(settings) as publisher:
        for sequence in sequences:
            message = journal.message(entry(sequence))
            if aborted_every and sequence % aborted_every == 0:
                producer, place = publisher._producer, TopicPartition(topic, 0)
                await producer.begin([place])
                await producer.send({place: list(batches(Messages.of([message]), 0, transactional=True))})
                await producer.fence()
            await publisher.publish({topic: Messages.of([message])})


async def read(settings: Settings, after: int, end: int | None = None) -> list[int]:
    """The sequences of the entries beyond commit `after`."""
    async with JournalReader(settings, 0) as reader:
        return [found.plan.sequence async for _, found in reader.after(Head(sequence=after), end)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, kafka: ApacheKafka) -> Service:
    """An installation of one shard with a journal of COMMITS commits, every tenth tried twice."""
    folder: Path = tmp_path_factory.mktemp("journal")
    service = Service(folder, kafka.address, "redis://127.0.0.1:9", "journal-", 1)
    asyncio.run(write(service.settings, list(range(1, COMMITS + 1)), aborted_every=10))
    return service


@pytest.mark.parametrize("after", [0, 1, 9, 10, 250, COMMITS - 40, COMMITS - 1, COMMITS])
def test_the_commits_beyond_any_other_come_oldest_first_and_each_once(installed: Service, after: int) -> None:
    """Whatever number it begins after; those that were aborted never come."""
    assert asyncio.run(read(installed.settings, after)) == list(range(after + 1, COMMITS + 1))


def test_finding_the_last_commits_reads_little_of_the_journal(
    installed: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decoded to find the last two of 700 is a step's worth of records."""
    decoded: list[Any] = []

    def counting(value: bytes) -> Entry:
        decoded.append(value)
        return entry_codec.decode(value)

    monkeypatch.setattr(journal, "decode", counting)
    assert asyncio.run(read(installed.settings, COMMITS - 2)) == [COMMITS - 1, COMMITS]
    assert len(decoded) <= TAIL_STEP


def test_the_journal_is_held_a_slice_at_a_time(installed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No slice is longer than the bound, and slices join without a gap."""
    monkeypatch.setattr(partition_reader, "SLICE_RECORDS", 50)
    sizes: list[int] = []

    async def slices() -> None:
        reader = partition_reader.PartitionReader(installed.settings.kafka, installed.settings.kafka.topics.journal, 0)
        async with reader:
            end = await reader.end()
            sizes.extend([len(records) async for records in reader.slices(0, end // 2)])
            sizes.extend([len(records) async for records in reader.slices(end // 2, end)])

    asyncio.run(slices())
    assert max(sizes) <= 50
    assert sum(sizes) == COMMITS


def test_a_journal_that_ends_before_the_state_is_refused(installed: Service) -> None:
    """The state knows a commit that the journal does not: it is another's, or was cut."""
    with pytest.raises(JournalError, match=f"ends at commit {COMMITS}, but the state is of commit {COMMITS + 1}"):
        asyncio.run(read(installed.settings, COMMITS + 1))


def test_a_journal_with_a_gap_is_refused(tmp_path: Path, kafka: ApacheKafka, unique_prefix: str) -> None:
    """Up to the gap the commits come; a commit after it never does."""
    service = Service(tmp_path, kafka.address, "redis://127.0.0.1:9", unique_prefix, 1)
    asyncio.run(write(service.settings, [1, 2, 4]))
    with pytest.raises(JournalError, match="no unbroken line of commits after 2"):
        asyncio.run(read(service.settings, 0))
    with pytest.raises(JournalError, match="no unbroken line of commits after 2"):
        asyncio.run(read(service.settings, 3))
    with pytest.raises(JournalError, match="no unbroken line of commits after 0"):
        asyncio.run(read_from_second(service.settings))


async def read_from_second(settings: Settings) -> None:
    """As if the oldest entry had been cut."""
    async with JournalReader(settings, 0) as reader:
        first = await reader.first()

        async def later() -> int:
            return first + 1

        reader._reader.first = later  # type: ignore[method-assign]
        async for _ in reader.after(Head()):
            raise AssertionError("an entry came")


def test_an_entry_written_twice_counts_once(tmp_path: Path, kafka: ApacheKafka, unique_prefix: str) -> None:
    """As at_least_once may write it when an acknowledgement is lost."""
    service = Service(tmp_path, kafka.address, "redis://127.0.0.1:9", unique_prefix, 1)
    asyncio.run(write(service.settings, [1, 2, 2, 3]))
    assert asyncio.run(read(service.settings, 0)) == [1, 2, 3]
    assert asyncio.run(read(service.settings, 2)) == [3]


def test_a_record_of_another_program_is_passed_over_and_one_with_an_entry_s_key_is_not(
    tmp_path: Path, kafka: ApacheKafka, unique_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A stray record can hide no commit: they are counted. What looks like an entry may be one of a newer version."""
    service = Service(tmp_path, kafka.address, "redis://127.0.0.1:9", unique_prefix, 1)
    topic = service.settings.kafka.topics.journal

    async def stray(key: bytes) -> None:
        async with publishing(service.settings) as publisher:
            message = Message(key=key, value=b"garbage", headers=[])
            await publisher.publish({topic: Messages.of([message])})

    asyncio.run(write(service.settings, [1, 2]))
    asyncio.run(stray(b"stray"))
    asyncio.run(write(service.settings, [3]))
    asyncio.run(stray(b""))
    assert asyncio.run(read(service.settings, 0)) == [1, 2, 3]
    assert asyncio.run(read(service.settings, 2)) == [3]
    assert f"{topic}, partition 0, offset 4, is no entry of segflow" in caplog.text
    asyncio.run(stray(b"4"))
    with pytest.raises(JournalError, match=f"{topic}, partition 0, offset 10, has the key of an entry"):
        asyncio.run(read(service.settings, 3))
