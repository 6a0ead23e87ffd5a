"""The trip of a purchase through a shard, from its buffer to Redis: short enough to be followed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.fed_shard import Inputs
from segflow.embedded.kafka import ApacheKafka
from segflow.engine.columns.events import PURCHASES
from segflow.engine.commit.execute import CommitResult
from segflow.engine.encode.change_json import Encoder
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.streams.consume.transport import Batch
from segflow.streams.control.topic import Control
from segflow.streams.health.metrics import Metrics
from segflow.streams.kafka import topics
from segflow.streams.publish.packing import Packing
from segflow.streams.shard.commit_batcher import CommitBatcher
from segflow.streams.shard.shard import Shard
from segflow.streams.shard.shard_state import ShardState
from tests.support.events import event
from tests.support.kafka_records import Record
from tests.support.service import Service
from tests.support.walk import Walk
from tests.support.walks import documented

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

SHARD = "streams/shard/shard.py"
SHARDS_OWN = (SHARD, "streams/shard/commit_loop.py", "streams/shard/shard_state.py", "streams/shard/acquire.py")
"""What one shard does by itself."""
ARRIVAL = ("streams/consume/shard_inputs.py", "ShardInputs.offer")
PATIENCE_S = 60.0


class _Committed(Metrics):
    """Tells when a commit has ended, before the next one begins."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[], None] = lambda: None
        self.commits_seen = 0

    def committed(self, result: CommitResult, records: int, took_s: float) -> None:
        super().committed(result, records, took_s)
        self.commits_seen += 1
        self.then()


@asynccontextmanager
async def worked(service: Service) -> AsyncIterator[tuple[Shard, "asyncio.Task[None]"]]:
    """The installation's shard, worked on this event loop as a worker works it, once its inputs are open."""
    settings = service.settings
    control = Control(settings)
    await asyncio.to_thread(control.start, lambda: 0)
    connected = client(settings.redis)
    state = ShardState(
        settings=settings,
        partition=0,
        partitions=service.partitions,
        topic_ids=(await asyncio.to_thread(topics.check, settings)).input_ids,
        control=control,
        store=RedisStore(connected, Keys(settings.redis.prefix, 0)),
        feed=Inputs(),
        metrics=_Committed(),
        packing=Packing(settings),
        clock_is_right=lambda: True,  # the worker's own; the shard's default would count as a call into it
    )
    shard = Shard(state, CommitBatcher(encoder=Encoder(settings.currency), linger_s=0.0, look_every_s=PATIENCE_S))
    following = asyncio.create_task(control.follow())
    working = asyncio.create_task(shard.run())
    try:
        await until(lambda: state.acquired)
        yield shard, working
    finally:
        shard.stop()
        await working
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        connected.close()


async def until(condition: Callable[[], bool]) -> None:
    """Until it holds, within PATIENCE_S."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - polled, with a bound
            await asyncio.sleep(0.001)


async def walk_of_a_purchase(service: Service) -> Walk:
    """What is called between the arrival of a purchase and the end of its commit, the second one of the shard."""
    walk = Walk()
    async with worked(service) as (shard, working):
        inputs, metrics = shard.state.feed, shard.state.metrics
        assert isinstance(inputs, Inputs)
        assert isinstance(metrics, _Committed)

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
