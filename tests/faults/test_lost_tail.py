"""An input that lost its last records and took others in their place: nothing of it is skipped in silence."""

import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from segflow.embedded.kafka import ApacheKafka
from tests.conftest import started_or_skipped
from tests.faults.worker_process import WorkerProcess
from tests.support.command import segflow
from tests.support.events import event
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


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
    tmp_path: Path, redis_db: str, unique_prefix: str
) -> None:
    """While the worker runs, and while it does not; the reset that it advises reads what stands there now."""
    with closing(started_or_skipped(ApacheKafka)) as kafka:
        service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
        topic = service.settings.kafka.topics.purchases
        with WorkerProcess(service) as worker:
            send(service, range(20))
            worked(service, 20)
            worker.pause()  # or it may look while the topic is still short, which another test has
            lose(kafka, topic, 12)
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
        lose(kafka, topic, 40)
        send(service, range(200, 210))
        with WorkerProcess(service) as worker:
            worker.says(f"{topic} has lost its records from offset 40 on and taken others in their place")
            worker.ends()
