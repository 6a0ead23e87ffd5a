"""Partitions added under running workers: nobody is ever in two shards, and every sign says what is wrong."""

import json
import random
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread

import pytest
from kafka import KafkaProducer

from segflow.embedded.free_port import free_ports
from segflow.streams.kafka.topic_kinds import INPUTS
from tests.faults.installation import Installation, Make
from tests.support.command import segflow
from tests.support.events import bought_now
from tests.support.health import Health
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

CUSTOMERS = 300
BEFORE, AFTER = 3, 5


@contextmanager
def produced(installed: Installation, random_: random.Random) -> Iterator[list[str]]:
    """Purchases by a client's default partitioner, which sees new partitions at once; the customers so far."""
    ended, sent = Event(), list[str]()

    def produce() -> None:
        with closing(KafkaProducer(bootstrap_servers=installed.direct, metadata_max_age_ms=100)) as producer:
            while not ended.is_set():
                customer = f"c{random_.randrange(CUSTOMERS)}"
                topic = installed.settings.kafka.topics.purchases
                value = json.dumps(bought_now(len(sent), customer)).encode()
                producer.send(topic, key=customer.encode(), value=value)
                sent.append(customer)
                time.sleep(0.003)

    thread = Thread(target=produce)
    thread.start()
    try:
        yield sent
    finally:
        ended.set()
        thread.join()


def test_added_partitions_park_every_shard_before_anybody_is_in_two(installation: Make, seed: int) -> None:
    """Named in the log, /ready, the metric and by the doctor; the events wait, and a new worker says the same."""
    (port,) = free_ports(1)
    installed = installation(partitions=BEFORE)
    with (
        installed.worker(processes=2, http_port=port) as worker,
        produced(installed, random.Random(seed)) as sent,
    ):
        pages = [Health(port), Health(port + 1)]
        until(lambda: len(installed.shards_of_customers(AFTER)) == CUSTOMERS, "not everybody is known")
        until(lambda: all(page.is_ready() for page in pages), "the workers are not ready")
        names = [getattr(installed.settings.kafka.topics, role) for role in INPUTS]
        installed.add_partitions(AFTER)
        for page in pages:
            until(lambda page=page: "partitions_added" in str(page.verdict("ready")), worker.said)  # type: ignore[misc]
        count = len(sent)
        until(lambda: len(sent) > count + 300, "nobody buys any more")
        why = next(each for each in pages[0].verdict("ready")["why_not"] if "partitions_added" in each)
        assert f"{names[0]} has {AFTER} partitions and had {BEFORE}" in why
        parked = [
            tuple(sorted(key)) for page in pages for key, value in page.metrics()["segflow_parked"].items() if value
        ]
        assert sorted(parked) == [(str(number), "partitions_added") for number in range(BEFORE)]
        said = segflow("doctor", "--settings", installed.file, "--json")
        assert said.code == 1
        assert f"{names[0]} has {AFTER} partitions and had {BEFORE}" in said.out
        found = json.loads(said.out)
        assert [each["message"] for each in found if each["name"] == "topics"] == [
            each["message"] for each in found if each["name"] == "shards"
        ]
        keys, records = (
            next(each["message"] for each in found if each["name"] == name and names[0] in each["message"])
            for name in ("keys", "records")
        )
        assert keys.split()[0] == re.search(r"wrong_partition (\d+)", records)[1]  # type: ignore[index]
        assert "partitioner=" not in keys
        assert "Before the first worker ran" not in segflow("topics", "--settings", installed.file).err
        assert worker.process.poll() is None
        assert "Traceback" not in worker.said()
        worker.stop()
    found = installed.shards_of_customers(AFTER)
    assert {name: shards for name, shards in found.items() if len(shards) > 1} == {}
    assert len(found) == CUSTOMERS
    assert installed.read("dead_letters") == []
    with installed.worker() as again:
        assert again.ends() == 2
        assert f"{names[0]} has {AFTER} partitions and had {BEFORE}" in again.said()
        assert "Traceback" not in again.said()
