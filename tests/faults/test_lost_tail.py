"""Topics that lost their last records and took others in their place: nothing is skipped or done twice in silence."""

import asyncio
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.columns.messages import Message, Messages
from segflow.state.redis_connection import client
from segflow.streams.publish.publisher import JournalShortenedError, Publisher
from tests.conftest import started_or_skipped
from tests.faults.worker_process import WorkerProcess
from tests.support.command import segflow
from tests.support.events import event
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.fixture(scope="module")
def broker() -> Iterator[ApacheKafka]:
    """One of this module's own, which loses what was not on its disk."""
    with closing(started_or_skipped(ApacheKafka)) as kafka:
        yield kafka


def lose(kafka: ApacheKafka, topic: str, kept: int) -> None:
    """A machine without power: the broker is gone, and of the topic only the first batches were on the disk."""
    kafka.kill()
    folder = kafka.folder / "data" / f"{topic}-0"
    (segment,) = folder.glob("*.log")
    content, at = segment.read_bytes(), 0
    while struct.unpack_from(">q", content, at)[0] < kept:
        at += 12 + int.from_bytes(content[at + 8 : at + 12])
    segment.write_bytes(content[:at])
    for index in folder.glob("*index"):
        index.unlink()
    kafka.start()


def purchases(numbers: range) -> list[dict[str, Any]]:
    """One of each customer."""
    return [event(number, number, customer=f"c{number}") for number in numbers]


def send(service: Service, numbers: range) -> None:
    """Purchases, a batch each."""
    for each in purchases(numbers):
        service.send([each])


def worked(service: Service, offset: int) -> None:
    """Wait until the purchases have been worked up to an offset."""
    until(lambda: (head := service.heads()[0]) is not None and head.purchases.offset >= offset, f"not at {offset}")


def test_a_tail_that_was_lost_and_refilled_stops_the_shard_until_somebody_decides(
    broker: ApacheKafka, tmp_path: Path, redis_db: str, unique_prefix: str
) -> None:
    """While the worker runs, and while it does not; the reset that it advises reads what stands there now."""
    service = Service(tmp_path, broker.address, redis_db, unique_prefix, 1, clock="event")
    topic = service.settings.kafka.topics.purchases
    with WorkerProcess(service) as worker:
        send(service, range(20))
        worked(service, 20)
        worker.pause()  # or it may look while the topic is still short, which another test has
        lose(broker, topic, 12)
        send(service, range(100, 130))
        worker.resume()
        worker.says(f"{topic} has lost its records from offset 12 on and taken others in their place")
        worker.ends()
    reset: list[str | Path] = ["reset", "--settings", service.file, "--shard", "0", "--input", "purchases", "--to"]
    assert segflow(*reset, "12").code == 0
    with service.worker():
        worked(service, 42)
    assert {each["customer_id"] for each in service.changes(50)} == {
        f"c{number}" for number in (*range(20), *range(100, 130))
    }
    lose(broker, topic, 40)
    send(service, range(200, 210))
    with WorkerProcess(service) as worker:
        worker.says(f"{topic} has lost its records from offset 40 on and taken others in their place")
        worker.ends()


def committed(service: Service, numbers: range) -> int:
    """Purchases, a commit each; the number of the last commit."""
    for number in numbers:
        send(service, range(number, number + 1))
        worked(service, number + 1)
    head = service.heads()[0]
    assert head is not None
    return head.sequence


def all_keys(redis: Redis, service: Service) -> dict[bytes, bytes]:
    """Everything that the installation has in Redis."""
    keys = redis.scan_iter(f"{service.settings.redis.prefix}:*")
    return {key: content for key in keys if (content := redis.dump(key)) is not None}


def put_back(redis: Redis, service: Service, then: dict[bytes, bytes]) -> None:
    """Redis as it was then: another primary, which was cut off, is the one again."""
    for key in redis.scan_iter(f"{service.settings.redis.prefix}:*"):
        redis.delete(key)
    for key, content in then.items():
        redis.restore(key, 0, content)


def parks(service: Service, what: str) -> None:
    """A worker parks the only shard there is, for this reason, and ends."""
    with WorkerProcess(service) as worker:
        worker.says(what)
        assert worker.ends() == 2


def test_a_journal_that_lost_its_tail_stops_the_shard_also_where_it_was_refilled(
    broker: ApacheKafka, tmp_path: Path, redis_db: str, unique_prefix: str
) -> None:
    """Not refilled it stops the shard; refilled by a worker whose Redis was older, the state is that of the topics."""
    service = Service(tmp_path, broker.address, redis_db, unique_prefix, 1, clock="event")
    journal = f"{service.settings.kafka.topics.journal}, partition 0,"

    def lose_after(commit: int) -> None:
        lose(broker, service.settings.kafka.topics.journal, 2 * commit)  # behind an entry, its transaction's marker

    with client(service.settings.redis) as redis:
        with service.worker():
            assert committed(service, range(2)) == 2
            at_two = all_keys(redis, service)
            assert committed(service, range(2, 4)) == 4
        at_four = all_keys(redis, service)
        lose_after(2)
        parks(service, f"{journal} ends at commit 2, but the state is of commit 4")
        put_back(redis, service, at_two)
        with service.worker():
            worked(service, 4)
            assert committed(service, range(4, 5)) >= 4
        put_back(redis, service, at_four)
    with WorkerProcess(service) as worker:  # the state is of a commit that was lost: it counts for nothing
        worker.says("is too old, or not whole: it is filled from")
        assert committed(service, range(5, 6)) > 4
        worker.stop()
    changes = service.changes(6)
    assert {each["customer_id"] for each in changes} == {f"c{number}" for number in range(6)}
    assert len({each["change_id"] for each in changes}) == len(
        {(each["customer_id"], each["version"]) for each in changes}
    )


def test_a_commit_whose_entry_does_not_stand_behind_the_earlier_ones_is_not_published(
    broker: ApacheKafka, tmp_path: Path, unique_prefix: str
) -> None:
    """The journal lost its end between two commits of a running worker, under a leader of its own."""
    service = Service(tmp_path, broker.address, "redis://127.0.0.1:9", unique_prefix, 1)
    topic = service.settings.kafka.topics.journal

    async def run() -> None:
        publisher = Publisher(service.settings, 0)
        await publisher.start()

        async def publish(number: int) -> None:
            message = Message(key=str(number).encode(), value=b"an entry", headers=[])
            await publisher.publish({topic: Messages.of([message])})

        try:
            for number in (1, 2, 3):
                await publish(number)
            await asyncio.to_thread(lose, broker, topic, 2)
            with pytest.raises(JournalShortenedError, match=f"{topic}, partition 0, has lost its records from offset"):
                await publish(4)
        finally:
            await publisher.close()
        heir = Publisher(service.settings, 0)
        await heir.start()
        await heir.close()

    asyncio.run(run())
    assert [each.key for each in service.read("journal")] == [b"1"]
