"""A record on a partition where its key does not belong: its customer lives elsewhere, and must not live twice."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.columns.events import none
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.plan import plan_for
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.engine.partitioner import Partitioner, partition_of
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings
from tests.support.events import event

SHARDS = 4


def shard_of(partition: int, names: list[str], partitioner: Partitioner | None) -> tuple[MemoryShard, CommitResult]:
    """A shard that read a purchase of each of these customers from its partition."""
    settings = Settings(nobody=())
    shard = MemoryShard(settings, RuleVersions(from_settings(settings)), partition, shards=SHARDS)
    log = [event(number, 0, customer=name, order_id=f"o{number}") for number, name in enumerate(names)]
    chunk = Decoder(settings, None).decode(
        [json.dumps(each).encode() for each in log], [name.encode() for name in names], range(len(names))
    )
    plan = plan_for(
        settings, shard.head, purchases_to=len(names), interactions_to=0, wall_us=2**52, rules=0, shards=SHARDS
    )
    plan = msgspec.structs.replace(plan, partitioner=partitioner)
    result = shard.executor.execute(plan, chunk, none(), shard.head, shard.store)
    shard.store.commit(result.write)
    return shard, result


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
@given(names=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), max_size=20))
def test_no_customer_is_ever_in_two_shards(partitioner: Partitioner, names: list[str]) -> None:
    """All shards read all records: each customer stands in one, and in each other the record is a dead letter."""
    homes: dict[str, list[int]] = {name: [] for name in names}
    for partition in range(SHARDS):
        shard, result = shard_of(partition, names, partitioner)
        for name, found in homes.items():
            if shard.store.load([name])[0] is not None:
                found.append(partition)
        elsewhere = [name for name in names if partition_of(name.encode(), partitioner, SHARDS) != partition]
        assert result.dead_kinds == ["wrong_partition"] * len(elsewhere)
    assert homes == {name: [partition_of(name.encode(), partitioner, SHARDS)] for name in names}


def test_the_dead_letter_says_where_the_key_belongs() -> None:
    """And what to look at: the producer's partitioner, or partitions that were added."""
    name = next(f"c{number}" for number in range(99) if partition_of(f"c{number}".encode(), "murmur2", SHARDS) == 2)
    _, result = shard_of(1, [name], "murmur2")
    (letter,) = result.dead
    content: dict[str, Any] = json.loads(letter.value or b"")
    assert "lies on partition 1, but kafka.partitioner = murmur2 puts its key on 2 of 4" in content["reason"]


def test_commits_from_before_did_not_look() -> None:
    """Replayed from the journal they give what they gave: the plan says whether keys were looked at."""
    names = [f"c{number}" for number in range(8)]
    _, result = shard_of(1, names, None)
    assert result.events == len(names)
    assert result.dead == []
