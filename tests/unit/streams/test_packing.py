"""What several shards publish at a time is packed in one go, and each gets its own."""

import asyncio

import pytest
from aiokafka.structs import TopicPartition

from segflow.engine.columns.messages import Message, Messages
from segflow.schemas.settings import Settings
from segflow.streams.publish import packing
from segflow.streams.publish.packing import Packed, Packing
from segflow.streams.publish.record_batch import batches, batches_together


def addressed(shard: int) -> dict[TopicPartition, Messages]:
    """Two topics' messages of one shard."""
    return {
        TopicPartition(topic, shard): Messages.of([Message(b"k%d" % shard, topic.encode())] * (shard + 1))
        for topic in ("changes", "journal")
    }


def test_who_asks_in_one_turn_of_the_loop_shares_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight shards: one call, and each has the places and the messages that it gave; the next turn is another go."""
    sizes: list[int] = []

    def noted(parts: list[Messages], *values: int, **named: bool) -> object:
        sizes.append(len(parts))
        return batches_together(parts, *values, **named)

    monkeypatch.setattr(packing, "batches_together", noted)

    async def eight() -> list[Packed]:
        each = Packing(Settings())
        first = await asyncio.gather(*(each.packed(addressed(shard)) for shard in range(8)))
        return [*first, await each.packed(addressed(8))]

    for shard, packed in enumerate(asyncio.run(eight())):
        assert list(packed) == list(addressed(shard))
        for place, (batch,) in packed.items():
            (alone,) = batches(addressed(shard)[place], 0, transactional=True, compressed=True)
            assert batch.count == alone.count == shard + 1
            assert len(batch.built()) == len(alone.built())
    assert sizes == [16, 2]


def test_what_cannot_be_packed_is_told_to_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, and the next go is a new one."""

    def failing(*_: object, **__: object) -> object:
        raise MemoryError

    async def two(each: Packing) -> list[object]:
        return list(await asyncio.gather(*(each.packed(addressed(n)) for n in range(2)), return_exceptions=True))

    async def twice() -> list[object]:
        each = Packing(Settings())
        with monkeypatch.context() as patch:
            patch.setattr(packing, "batches_together", failing)
            failed = await two(each)
        return [*failed, *await two(each)]

    failed, failed_too, *packed = asyncio.run(twice())
    assert isinstance(failed, MemoryError)
    assert isinstance(failed_too, MemoryError)
    assert [len(each) for each in packed if isinstance(each, dict)] == [2, 2]
