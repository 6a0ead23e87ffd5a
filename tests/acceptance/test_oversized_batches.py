"""A batch that holds far more than it weighs, and events as large as they may be: the worker's memory stays bounded."""

import asyncio
import json
import subprocess
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import TopicPartition
from kafka import KafkaProducer

from segflow.embedded.kafka import ApacheKafka
from segflow.streams.publish.transactional_producer import TransactionalProducer
from tests.support.command import segflow
from tests.support.events import event
from tests.support.packed_batches import of_zeros
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

GIBIBYTE: Final = 1024
PACKED_MAX_BYTES: Final = 150_000
MEMORY_MAX_MB: Final = 450
"""A worker with nothing to do takes 150 to 200; a batch of 64 MiB is there twice while it is unpacked."""


@dataclass
class Written:
    """A batch that was written by hand, as a producer sends it."""

    content: bytes
    count: int = 1

    def built(self) -> bytes:
        """The bytes on the wire."""
        return self.content


def put(service: Service, content: bytes) -> None:
    """Append a batch to partition 0 of the purchases."""

    async def send() -> None:
        topic = service.settings.kafka.topics.purchases
        producer = TransactionalProducer(service.settings.kafka, None, 10_000)
        await producer.start([topic])
        written: Any = [Written(content)]
        await producer.send({TopicPartition(topic, 0): written})
        await producer.close()

    asyncio.run(send())


def peak_mb(worker: "subprocess.Popen[bytes]") -> int:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{worker.pid}/status").read_text(encoding="utf-8")
    (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


def worked(service: Service, offset: int) -> None:
    """Wait until the purchases have been worked up to an offset."""
    until(lambda: (head := service.heads()[0]) is not None and head.purchases.offset >= offset, f"not at {offset}")


def test_a_gibibyte_in_one_small_batch_is_one_dead_letter_and_the_worker_goes_on(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Nothing of it is kept in memory, what follows is worked, also by the next worker, and the audit agrees."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1)
    bomb = of_zeros(GIBIBYTE, "zstd")
    assert len(bomb) < PACKED_MAX_BYTES
    service.send([event(1, 0)])
    put(service, bomb)
    service.send([event(2, 1, customer="c2")])
    with service.worker() as worker:
        worked(service, 3)
        assert peak_mb(worker) < MEMORY_MAX_MB
    (letter,) = [json.loads(each.value) for each in service.read("dead_letters")]
    assert (letter["kind"], letter["offset"], letter["last_offset"], letter["value"]) == ("oversized", 1, 1, None)
    put(service, bomb)
    with service.worker() as worker:
        service.send([event(3, 2, customer="c3")])
        worked(service, 5)
        assert peak_mb(worker) < MEMORY_MAX_MB
    assert {each["customer_id"] for each in service.changes(3)} == {"c1", "c2", "c3"}
    audited = segflow("audit", "--settings", service.file, "--json")
    assert audited.code == 0, audited
    assert json.loads(audited.out)["dead_letters"] == 2


def large(numbers: Iterable[int]) -> Iterable[dict[str, Any]]:
    """Events of 60 kB, each of another customer."""
    return (event(number, 0, customer=f"c{number}") | {"channel": "x" * 60_000} for number in numbers)


def test_events_of_60_kb_do_not_fill_the_memory(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """More of them than fit: what waits in a shard is bounded in bytes."""
    count = 6_000
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
    topic = service.settings.kafka.topics.purchases
    with closing(KafkaProducer(bootstrap_servers=kafka.address, compression_type="lz4", batch_size=2**19)) as producer:
        for each in large(range(count)):
            producer.send(topic, key=each["customer_id"].encode(), value=json.dumps(each).encode(), partition=0)
        producer.flush()
    with service.worker() as worker:
        worked(service, count)
        assert peak_mb(worker) < MEMORY_MAX_MB
