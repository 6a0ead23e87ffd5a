"""Re-cuts under kills: which cuts held when is in the journal, and what an heir has not heard of it waits for."""

import asyncio
import json
from contextlib import suppress
from random import Random

import pytest
from aiokafka import AIOKafkaProducer

from segflow.streams.control.topic import Control
from segflow.streams.runtime.failpoints import COMMIT
from tests.faults.installation import Installation, Make
from tests.faults.stream import Stream

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

RECUTS = {"rfm": {"cuts": "quantile"}, "recut": {"min_population": 20, "every": "20d"}}


def test_cuts_that_move_while_workers_die_are_adopted_once_by_every_shard(installation: Make, seed: int) -> None:
    """Scans, decisions and adoptions are killed through; the oracle adopts where the journal says, and agrees."""
    installed = installation(**RECUTS, worker={"batch_max_records": 20})
    stream, random = Stream(seed, step_hours=24), Random(seed)
    for _ in range(4):
        installed.put(stream.take(200))
        with installed.worker(crash_at=f"{random.choice(COMMIT)}:{random.randrange(4, 12)}") as each:
            each.is_killed()
    with installed.worker() as last:
        installed.has_members(1)  # one that has nothing left to do would be told to stop before it listens
        installed.settles()
        installed.read("control", lambda records: any(json.loads(each.value)["kind"] == "cuts" for each in records))
        installed.journal(lambda entries: any(each["adopts"] is not None for each in entries))
        last.stop()
    found = installed.comes_out_right()
    assert found.events == 800


def test_a_follower_of_the_control_topic_comes_to_the_end_of_a_transaction(installation: Make) -> None:
    """New cuts end in a transaction's marker, which is no record: whoever waits for that end is not left waiting."""
    installed = installation(partitions=1, **RECUTS)
    control = Control(installed.settings)
    control.start(lambda: 0)
    before = control.rule_versions.latest.version
    cuts = {"kind": "cuts", "at_us": 0, "population": 1, "recency_us": [1, 2, 3, 4], "frequency": [2, 3, 4, 5]}
    cuts["monetary_minor"] = [1, 2, 3, 4]

    async def reached() -> None:
        following = asyncio.create_task(control.follow())
        await control.reaches(await transaction(installed, json.dumps(cuts).encode()))
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    asyncio.run(reached())
    assert control.rule_versions.latest.version > before


async def transaction(installed: Installation, value: bytes) -> int:
    """One control record in a transaction; the offset behind its marker."""
    producer = AIOKafkaProducer(
        bootstrap_servers=installed.direct, transactional_id=f"{installed.settings.kafka.group}-x"
    )
    await producer.start()
    try:
        async with producer.transaction():
            sent = await producer.send_and_wait(
                installed.settings.kafka.topics.control, key=b"cuts", value=value, partition=0
            )
    finally:
        await producer.stop()
    return int(sent.offset) + 2
