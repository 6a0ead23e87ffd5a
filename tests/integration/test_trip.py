"""The trip of a purchase through a shard, from its buffer to Redis: short enough to be followed."""

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.fed_shard import Inputs
from segflow.embedded.kafka import ApacheKafka
from segflow.engine.columns.events import PURCHASES
from segflow.streams.consume.transport import Batch
from tests.support.events import event
from tests.support.kafka_records import Record
from tests.support.service import Service
from tests.support.walk import Walk
from tests.support.walks import documented
from tests.support.worked_shard import Committed, until, worked

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

SHARD = "streams/shard/shard.py"
SHARDS_OWN = (SHARD, "streams/shard/commit_loop.py", "streams/shard/shard_state.py", "streams/shard/acquire.py")
"""What one shard does by itself."""
ARRIVAL = ("streams/consume/shard_inputs.py", "ShardInputs.offer")


async def walk_of_a_purchase(service: Service) -> Walk:
    """What is called between the arrival of a purchase and the end of its commit, the second one of the shard."""
    walk = Walk()
    async with worked(service) as (shard, working):
        inputs, metrics = shard.state.feed, shard.state.metrics
        assert isinstance(inputs, Inputs)
        assert isinstance(metrics, Committed)

        def arrives(offset: int) -> None:
            value = json.dumps(event(offset, offset)).encode()
            inputs.read_to[PURCHASES] += 1
            shard.state.inputs.offer(PURCHASES, Batch([Record(offset, value=value)], offset, offset + 1))

        arrives(0)
        await until(lambda: metrics.commits_seen == 1)
        metrics.then = walk.end
        with walk.taken(working):
            arrives(1)
            await until(lambda: metrics.commits_seen == 2)
    return walk


def test_a_purchase_enters_the_shard_at_most_three_times(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """The shard is asked for its commit and gets the result by the reply that it waits for: it is called once.

    So is all that one shard does by itself, in whatever file. The walk is that of docs/architecture.md; it is printed
    on failure.
    """
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
    walk = asyncio.run(walk_of_a_purchase(service))
    assert len(walk.into(SHARD)) <= 3, str(walk)
    assert [each.function for each in walk.into(*SHARDS_OWN)] == ["CommitLoop.next_commit"], str(walk)
    stops = iter(documented()["A purchase"])
    while next(stops) != ARRIVAL:  # before, it is in Faust's hands
        pass
    calls = iter([(each.file, each.function) for each in walk.calls])
    assert [stop for stop in stops if stop not in calls] == [], str(walk)  # in this order: `in` reads on
    once = ("merge", "Loader.load", "RedisStore.begin", "execute_batch", "Publisher.publish", "RedisStore.send")
    called = [each.function for each in walk.calls]
    assert {name: called.count(name) for name in once} == dict.fromkeys(once, 1), str(walk)
    assert "RedisStore.due" not in called, str(walk)  # due timers are asked for with the records
