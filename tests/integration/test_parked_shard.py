"""A shard that is parked: tried again where nothing shows that it was mended, and all of them parked and let go on."""

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.fed_shard import Inputs
from segflow.embedded.kafka import ApacheKafka
from segflow.engine.columns.events import PURCHASES
from segflow.state.parking import Reason
from segflow.streams.consume.transport import Batch
from segflow.streams.shard import shard as life
from segflow.streams.shard.shard import Shard
from tests.support.events import event
from tests.support.kafka_records import Record
from tests.support.service import Service
from tests.support.worked_shard import until, worked

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> Service:
    """An installation of one shard."""
    return Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and tries that come soon."""
    monkeypatch.setattr(life, "LOOK_S", 0.1)
    monkeypatch.setattr(life, "AGAIN_S", 0.5)


def arrives(shard: Shard, offset: int) -> None:
    """A purchase comes, which the consumer reads again whenever the shard is acquired."""
    inputs = shard.state.feed
    assert isinstance(inputs, Inputs)
    value = json.dumps(event(offset, offset)).encode()
    inputs.read_to[PURCHASES] = offset + 1
    shard.state.inputs.offer(PURCHASES, Batch([Record(offset, value=value)], offset, offset + 1))


@pytest.mark.usefixtures("quick")
def test_a_record_over_a_topic_s_limit_parks_the_shard_until_the_limit_is_raised(service: Service) -> None:
    """Parked, to all who ask, through every try; and nothing is lost."""

    async def run() -> None:
        async with worked(service) as (shard, _):
            state = shard.state
            await asyncio.to_thread(service.limit_batches, "journal", 100)
            arrives(shard, 0)
            await until(lambda: state.parked is not None)
            assert state.parked is not None
            assert state.parked.reason == Reason.TOO_LARGE
            assert service.settings.kafka.topics.journal in state.parked.why
            await until(lambda: state.acquired)  # a try
            assert state.parked is not None
            arrives(shard, 0)
            await until(lambda: not state.acquired)
            await asyncio.to_thread(service.limit_batches, "journal", 2**20)
            await until(lambda: state.acquired)
            arrives(shard, 0)
            await until(lambda: state.parked is None)
            await until(lambda: state.head.sequence == 1)

    asyncio.run(run())


@pytest.mark.usefixtures("quick")
def test_what_parks_every_shard_lets_the_commit_under_way_finish_and_is_lifted(service: Service) -> None:
    """No commit meanwhile; then it goes on where it stood, and its note in Redis is gone."""

    async def run() -> None:
        async with worked(service) as (shard, _):
            state = shard.state
            state.parking.interrupt = shard.interrupt
            await asyncio.to_thread(service.send, [event(0, 0), event(1, 1)])  # there at the next acquisition
            arrives(shard, 0)
            await until(lambda: state.head.sequence == 1)
            state.parking.hold_all(Reason.NOT_ALLOWED, "because")
            await until(lambda: state.parked is not None and not state.acquired)
            await until(lambda: 0 in state.parking.notes.read([0]))
            assert state.parking.notes.read([0])[0].why == "because"
            arrives(shard, 1)
            await asyncio.sleep(0.3)
            assert state.head.sequence == 1
            state.parking.lift(Reason.NOT_ALLOWED)
            await until(lambda: state.acquired)
            arrives(shard, 1)
            await until(lambda: state.head.sequence == 2)
            await until(lambda: state.parked is None and not state.parking.notes.read([0]))

    asyncio.run(run())
