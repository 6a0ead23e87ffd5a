"""Transactions over a real Kafka: in the two requests of Kafka 4, and in the three of those before."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ProducerFenced
from aiokafka.structs import TopicPartition

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.columns.messages import Message, Messages
from segflow.schemas.settings import Settings
from segflow.streams.kafka import topics
from segflow.streams.kafka.clients import aiokafka_options
from segflow.streams.kafka.limits import BATCH_MAX_BYTES
from segflow.streams.publish.record_batch import batches
from segflow.streams.publish.transactional_producer import Filled, TransactionalProducer
from tests.support.until import PATIENCE_S

PARTITIONS = 2
TIMEOUT_MS = 10_000


@pytest.fixture(scope="module")
def settings(kafka: ApacheKafka) -> Settings:
    """Where the broker is, with topics of this module."""
    name = f"transactions-{secrets.token_hex(4)}"
    changes, alerts = f"{name}.changes", f"{name}.alerts"  # neither is compacted, and all records have one key
    made = Settings.model_validate(
        {"kafka": {"address": kafka.address, "group": name, "topics": {"changes": changes, "alerts": alerts}}}
    )
    topics.create(made, PARTITIONS)
    return made


@pytest.fixture(params=["two requests", "three requests"])
def transactional_id(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An id nobody has; with "three requests" the broker is taken for an older one."""
    if request.param == "three requests":
        monkeypatch.setattr(TransactionalProducer, "_adds_partitions", lambda _: asyncio.sleep(0, result=False))
    return f"t-{secrets.token_hex(4)}"


async def started(settings: Settings, transactional_id: str) -> TransactionalProducer:
    """A producer of that id."""
    producer = TransactionalProducer(settings.kafka, transactional_id, TIMEOUT_MS)
    await producer.start([settings.kafka.topics.changes, settings.kafka.topics.alerts])
    return producer


def filled(settings: Settings, values: list[bytes]) -> Filled:
    """The values, each as a record of the changes' partition 1 and of the alerts' partition 0."""
    messages = Messages.of([Message(b"k", value) for value in values])
    places = (TopicPartition(settings.kafka.topics.changes, 1), TopicPartition(settings.kafka.topics.alerts, 0))
    return {place: list(batches(messages, 0, transactional=True)) for place in places}


async def commit(producer: TransactionalProducer, sent: Filled) -> None:
    """A whole transaction."""
    await producer.begin(sent)
    await producer.send(sent)
    await producer.end()


async def read(settings: Settings, last: bytes) -> list[list[bytes]]:
    """What a read_committed subscriber sees of both partitions, up to the value `last`."""
    found = []
    for place in filled(settings, [b""]):
        consumer = AIOKafkaConsumer(
            isolation_level="read_committed", enable_auto_commit=False, **aiokafka_options(settings.kafka)
        )
        await consumer.start()
        try:
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            values: list[bytes] = []
            async with asyncio.timeout(PATIENCE_S):
                while last not in values:
                    values.append((await consumer.getone()).value)
            found.append(values)
        finally:
            await consumer.stop()
    return found


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run the coroutine that `story` gives."""

    async def told() -> None:
        await story()

    asyncio.run(told())


def test_transactions_one_after_the_other_are_read_in_their_order(settings: Settings, transactional_id: str) -> None:
    """Without a pause between them, of several batches a partition, too."""
    large = bytes(BATCH_MAX_BYTES // 2)
    sent = [[b"%s-%d" % (transactional_id.encode(), number), large] for number in range(30)]
    sent.append([large + b"a", large + b"b", b"last-" + transactional_id.encode()])

    async def story() -> None:
        producer = await started(settings, transactional_id)
        for values in sent:
            await commit(producer, filled(settings, values))
        await producer.close()
        for values in await read(settings, sent[-1][-1]):
            assert values[-sum(map(len, sent)) :] == [value for each in sent for value in each]

    run(story)


def test_a_fenced_producer_commits_nothing_more(settings: Settings, transactional_id: str) -> None:
    """Neither what it had sent before another took its id, nor anything after."""
    prefix = transactional_id.encode()

    async def story() -> None:
        zombie = await started(settings, transactional_id)
        await commit(zombie, filled(settings, [prefix + b"before"]))
        sent = filled(settings, [prefix + b"open"])
        await zombie.begin(sent)
        await zombie.send(sent)
        heir = await started(settings, transactional_id)
        with pytest.raises(ProducerFenced):
            await zombie.end()
        with pytest.raises(ProducerFenced):
            await commit(zombie, filled(settings, [prefix + b"after"]))
        await commit(heir, filled(settings, [prefix + b"heir"]))
        for values in await read(settings, prefix + b"heir"):
            assert values[-2:] == [prefix + b"before", prefix + b"heir"]
        await zombie.close()
        await heir.close()

    run(story)
