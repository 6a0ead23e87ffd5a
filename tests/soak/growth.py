"""The end of a soak: partitions are added to the inputs under the running workers."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from segflow.engine.decode.merge_inputs import MISPLACED
from segflow.state.parking import Reason
from segflow.streams.kafka.topic_kinds import INPUTS
from tests.faults.installation import Installation
from tests.faults.stream import Stream
from tests.support.health import Health
from tests.support.until import until

ADDED: Final = 2
RATE: Final = 150.0
"""Records a second, as during the soak."""
STANDS_S: Final = 20.0
"""Producers go on for so long when every shard is parked: as many records as a shard would commit ten times."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """The figures of the added partitions."""

    parked_after_s: float
    records_beyond: int  # on the new partitions, which no shard has: they wait in Kafka
    commits_while_parked: int
    customers_in_two_shards: list[str]
    misplaced: int  # dead letters of good records that came where they now belong
    doctor_names_it: bool

    @property
    def right(self) -> bool:
        """Nothing was worked, nobody is in two shards, and the records beyond are known of."""
        done = self.commits_while_parked or self.customers_in_two_shards or self.misplaced
        return bool(self.records_beyond and self.doctor_names_it and not done)


def grow(installed: Installation, pages: list[Health], stream: Stream) -> dict[str, object]:
    """Add partitions while records come in, and wait for every shard to be parked; figures for the result file.

    Raises:
        TimeoutError: some shard is not parked.
    """
    count, misplaced = installed.partitions + ADDED, _misplaced(installed)
    with _produced(installed, stream):
        installed.add_partitions(count)
        since_s = time.monotonic()
        every = {str(number) for number in range(installed.partitions)}
        until(lambda: _parked(pages) >= every, lambda: f"not all are parked: {[_parked([page]) for page in pages]}")
        parked_after_s = time.monotonic() - since_s
        commits = installed.commits()
        time.sleep(STANDS_S)
    shards = installed.shards_of_customers(count)
    found = Growth(
        parked_after_s=round(parked_after_s, 1),
        records_beyond=_beyond(installed),
        commits_while_parked=installed.commits() - commits,
        customers_in_two_shards=[name for name, shards in shards.items() if len(shards) > 1],
        misplaced=_misplaced(installed) - misplaced,
        doctor_names_it=f"has {count} partitions and had {installed.partitions}" in installed.doctor("FAIL"),
    )
    return asdict(found) | {"right": found.right}


@contextmanager
def _produced(installed: Installation, stream: Stream) -> Iterator[None]:
    """Records by a client's own partitioner, which sees new partitions at once."""
    ended = threading.Event()

    def produce() -> None:
        with closing(KafkaProducer(bootstrap_servers=installed.direct, metadata_max_age_ms=100)) as producer:
            for record in stream:
                producer.send(getattr(installed.settings.kafka.topics, record.role), key=record.key, value=record.value)
                if ended.wait(1 / RATE):
                    return

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _parked(pages: list[Health]) -> set[str]:
    """The shards that their workers say are parked for it."""
    told = [page.verdict("ready") for page in pages]
    return {
        number
        for verdict in told
        for number, why in dict(verdict.get("parked") or {}).items()
        if why == Reason.PARTITIONS_ADDED
    }


def _misplaced(installed: Installation) -> int:
    """Dead letters of records on a partition that was not their key's."""
    return sum(json.loads(each.value)["kind"] == MISPLACED for each in installed.read("dead_letters"))


def _beyond(installed: Installation) -> int:
    """Records on partitions that no shard has."""
    places = [
        TopicPartition(getattr(installed.settings.kafka.topics, role), installed.partitions + number)
        for role in INPUTS
        for number in range(ADDED)
    ]
    with closing(KafkaConsumer(bootstrap_servers=installed.direct)) as consumer:
        return sum(consumer.end_offsets(places).values())
