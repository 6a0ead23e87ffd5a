"""One shard, worked on a test's event loop as a worker works it, its inputs given to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from benchmarks.fed_shard import Inputs, as_ever
from segflow.engine.commit.execute import CommitResult
from segflow.engine.encode.change_json import Encoder
from segflow.state.keys import Keys
from segflow.state.parking import ParkingNotes
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import servers
from segflow.streams.control.topic import Control
from segflow.streams.health.metrics import Metrics
from segflow.streams.kafka import topics
from segflow.streams.publish.packing import Packing
from segflow.streams.shard.commit_batcher import CommitBatcher
from segflow.streams.shard.parking import Parking
from segflow.streams.shard.shard import Shard
from segflow.streams.shard.shard_state import ShardState
from segflow.streams.state_topic.reader import TopicFacts
from tests.support.service import Service
from tests.support.until import PATIENCE_S


class Committed(Metrics):
    """Tells when a commit has ended, before the next one begins."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[], None] = lambda: None
        self.commits_seen = 0

    def committed(self, result: CommitResult, records: int, took_s: float) -> None:
        """As Metrics; then call `then`."""
        super().committed(result, records, took_s)
        self.commits_seen += 1
        self.then()


@asynccontextmanager
async def worked(service: Service) -> AsyncIterator[tuple[Shard, "asyncio.Task[None]"]]:
    """The installation's shard, worked on this event loop as a worker works it, once its inputs are open."""
    settings = service.settings
    control = Control(settings)
    await asyncio.to_thread(control.start, lambda: 0)
    connected = servers(settings.redis)
    report = await asyncio.to_thread(topics.check, settings)
    state = ShardState(
        settings=settings,
        partition=0,
        partitions=service.partitions,
        topic_ids=report.input_ids,
        state_topic=TopicFacts.of(report.topics["state"]),
        control=control,
        store=RedisStore(connected, Keys(settings.redis.prefix, 0)),
        feed=Inputs(),
        metrics=Committed(),
        packing=Packing(settings),
        parking=Parking(ParkingNotes(connected, settings.redis.prefix)),
        look_at_topics=as_ever,
        clock_is_right=lambda: True,
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
