"""An input that lost its last records and took others in their place: nothing of it is skipped in silence."""

import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segflow.embedded.kafka import ApacheKafka
from tests.conftest import started_or_skipped
from tests.support.command import segflow
from tests.support.events import event
from tests.support.service import STOP_S, Service
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


def says(service: Service, what: str) -> None:
    """Wait until the worker's log says something more than it did."""
    log = service.file.parent / "worker.log"
    until(lambda: what in log.read_text(encoding="utf-8"), lambda: log.read_text(encoding="utf-8"))
    log.write_text("", encoding="utf-8")


def started(service: Service) -> "subprocess.Popen[bytes]":
    """A worker that may end by itself."""
    with (service.file.parent / "worker.log").open("ab") as said:
        command = [sys.executable, "-m", "segflow", "worker", "--settings", str(service.file)]
        return subprocess.Popen(command, stdout=said, stderr=said)


def ended(worker: "subprocess.Popen[bytes]") -> None:
    """Stop it, if it has not ended."""
    if worker.poll() is None:
        worker.send_signal(signal.SIGTERM)
    worker.wait(STOP_S)


def worked(service: Service, offset: int) -> None:
    """Wait until the purchases have been worked up to an offset."""
    until(lambda: (head := service.heads()[0]) is not None and head.purchases.offset >= offset, f"not at {offset}")


def test_a_tail_that_was_lost_and_refilled_stops_the_shard_until_somebody_decides(
    tmp_path: Path, redis_db: str, unique_prefix: str
) -> None:
    """While the worker runs, and while it does not; the reset that it advises reads what stands there now."""
    kafka = started_or_skipped(ApacheKafka)
    try:
        service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
        topic = service.settings.kafka.topics.purchases
        worker = started(service)
        try:
            send(service, range(20))
            worked(service, 20)
            worker.send_signal(signal.SIGSTOP)  # or it may look while the topic is still short, which another test has
            lose(kafka, topic, 12)
            send(service, range(100, 130))
            worker.send_signal(signal.SIGCONT)
            says(service, f"{topic} has lost its records from offset 12 on and taken others in their place")
        finally:
            ended(worker)
        reset: list[str | Path] = ["reset", "--settings", service.file, "--shard", "0", "--input", "purchases", "--to"]
        assert segflow(*reset, "12").code == 0
        with service.worker():
            worked(service, 42)
        assert {each["customer_id"] for each in service.changes(50)} == {
            f"c{number}" for number in (*range(20), *range(100, 130))
        }
        lose(kafka, topic, 40)
        send(service, range(200, 210))
        worker = started(service)
        try:
            says(service, f"{topic} has lost its records from offset 40 on and taken others in their place")
        finally:
            ended(worker)
    finally:
        kafka.close()
