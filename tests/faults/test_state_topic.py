"""A state that outlives Redis: inputs and journal gone, Redis emptied, workers killed while they copy."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from redis import Redis

from segflow.embedded.redis_server import RedisServer
from segflow.state import head as head_codec
from segflow.state.keys import Keys
from segflow.streams.kafka.topic_kinds import READ
from tests.faults.installation import Make
from tests.faults.stream import Stream, records_of
from tests.support.command import segflow
from tests.support.events import alias, event
from tests.support.older_state import without_state_topic
from tests.support.placement import SHARDS, name_in
from tests.support.redis_content import content
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

COPIED = "its state is copied from"
REPLAYED = "of the journal replayed"
ALL_BUT_STATE = (*READ, "journal")


@contextmanager
def connected(server: RedisServer) -> Iterator[Redis]:
    """A client of the test's own."""
    with closing(Redis.from_url(server.url)) as client:
        yield client


def test_a_redis_emptied_under_workers_comes_back_without_inputs_and_journal(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """All is there again, under running workers and between two runs; nothing is told twice, and versions go on."""
    installed = installation(redis=own_redis.url)
    stream = Stream(seed)
    with connected(own_redis) as client:
        with installed.worker() as first:
            installed.put(stream.take(200))
            installed.settles()
            before = content(client, installed.partitions)
            installed.cut_to_nothing(*ALL_BUT_STATE)
            client.flushall()
            first.says(COPIED, installed.partitions)
            until(lambda: content(client, installed.partitions) == before, "not all is there again")
            installed.put(stream.take(100))
            installed.comes_out_right()
            first.stop()
        before = content(client, installed.partitions)
        installed.cut_to_nothing(*ALL_BUT_STATE)
        client.flushall()
        with installed.worker() as second:
            second.says(COPIED, installed.partitions)
            until(lambda: content(client, installed.partitions) == before, "not all is there again")
            installed.put(stream.take(100))
            found = installed.comes_out_right()
            second.stop()
        assert REPLAYED not in first.said() + second.said()
    assert found.events == 400


def test_a_worker_killed_at_every_step_of_filling_redis_leaves_what_the_next_one_goes_on_with(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """Each owner is killed a step further, after one slice of several; the inputs are gone all the while."""
    installed = installation(redis=own_redis.url, partitions=1, worker={"batch_max_records": 400})
    stream = Stream(seed, customers=1500, step_hours=0.5)
    with connected(own_redis) as client:
        installed.works(stream.take(3000))
        before = content(client, 1)
        installed.cut_to_nothing(*READ)
        client.flushall()
        for point, partial in (("cleared", True), ("one-copied", True), ("one-copied", False), ("recovered", False)):
            with installed.worker(crash_at=f"acquire:{point}:1") as each:
                each.is_killed()
            head = installed.heads()[0]
            assert head is not None
            assert head.partial == partial, "the topic has two slices"
        with installed.worker() as last:
            until(lambda: content(client, 1) == before, "not all is there again")
            installed.put(stream.take(200))
            installed.comes_out_right()
            last.stop()


def test_an_erased_and_a_merged_customer_stay_so(installation: Make, own_redis: RedisServer, seed: int) -> None:
    """Restored whole, and a Redis of before the erase brought up to date: nobody comes back, and the ledger holds."""
    installed = installation(redis=own_redis.url, partitions=SHARDS)
    member, visitor, gone = name_in(1), name_in(2), name_in(0)
    with connected(own_redis) as client, installed.worker() as worker:
        installed.put(records_of([bought_or_erased(number, Random(seed + number)) for number in range(60)]))
        installed.put(records_of([event(1000, 60, customer=each) for each in (member, visitor, gone)]))
        installed.settles()
        client.save()
        installed.put(records_of([alias(1001, 61, member, visitor), event(1002, 61, "erase", gone)]))
        installed.settles()
        before = content(client, SHARDS)
        assert Keys(installed.settings.redis.prefix, 0).record(gone).encode() not in before
        installed.cut_to_nothing(*ALL_BUT_STATE)
        for lose in (client.flushall, own_redis.kill):
            lose()
            if lose == own_redis.kill:
                own_redis.start()  # from what was saved
            until(lambda: _same(client, before), "Redis does not come back as it was")
        worker.stop()
    told = [json.loads(each.value)["change_id"] for each in installed.read("changes")]
    assert len(told) == len(set(told))


def bought_or_erased(number: int, random: Random) -> dict[str, Any]:
    """An event of one of twelve customers, who come back after they were erased."""
    kind = random.choice(["purchase"] * 5 + ["erase"])
    return event(number, number, kind, f"c{random.randrange(12)}")


def _same(client: Redis, before: dict[bytes, Any]) -> bool:
    try:
        return content(client, SHARDS) == before
    except OSError:
        return False


def test_an_installation_begun_without_the_topic_is_brought_over_while_it_works(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """Filled in slices beside live work, killed in between; from then on it comes back without its inputs."""
    installed = installation(redis=own_redis.url, partitions=1, worker={"batch_max_records": 400})
    stream = Stream(seed, customers=1500, step_hours=0.5)
    with connected(own_redis) as client:
        installed.works(stream.take(2500))
        without_state_topic(installed)
        with installed.worker(crash_at="commit:published:2") as killed:
            killed.is_killed()
        client.flushall()  # half filled: made again from the inputs, as before there was the topic
        with installed.worker() as second, installed.flowing(stream.take(300), rate=200):
            second.says(REPLAYED)
            until(installed.is_in_state_topic, "the topic is not filled")
        installed.comes_out_right()
        before = content(client, 1)
        installed.cut_to_nothing(*ALL_BUT_STATE)
        client.flushall()
        with installed.worker() as third:
            third.says(COPIED)
            until(lambda: content(client, 1) == before, "not all is there again")
            installed.put(stream.take(100))
            installed.comes_out_right()
            third.stop()


def test_a_redis_older_than_tombstones_are_kept_is_filled_anew(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """What was erased since may have left no trace in the topic: the older state counts for nothing."""
    installed = installation(redis=own_redis.url, partitions=1)
    stream = Stream(seed)
    with connected(own_redis) as client:
        installed.works(stream.take(100))
        key = Keys(installed.settings.redis.prefix, 0).head
        stored = head_codec.decode(client.get(key) or b"")  # type: ignore[arg-type]
        assert stored.in_topic is not None
        old = msgspec.structs.replace(stored, in_topic=msgspec.structs.replace(stored.in_topic, at_us=0))
        client.set(key, head_codec.encode(old))
        client.set(Keys(installed.settings.redis.prefix, 0).record("erased since"), b"\x02")
        client.save()
        installed.works(stream.take(100))
        own_redis.kill()
        own_redis.start()  # from what was saved
        with installed.worker() as third:
            third.says("too old, or not whole")
            found = installed.comes_out_right()
            third.stop()
        assert client.get(Keys(installed.settings.redis.prefix, 0).record("erased since")) is None
    assert found.events == 200


def test_a_state_that_only_redis_has_is_taken_as_it_is_and_without_it_never_begun_anew(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """Inputs and journal cut, the state topic made anew: workers go on while Redis has it, and park once it is gone."""
    installed = installation(redis=own_redis.url, partitions=1)
    stream = Stream(seed)
    for round_ in range(2):
        with installed.worker() as worker:
            installed.put(stream.take(100))
            assert installed.comes_out_right().events == 100 * (round_ + 1)
            worker.stop()
        installed.cut_to_nothing(*ALL_BUT_STATE)
        installed.make_anew("state")
        assert segflow("topics", "--accept", "state", "--settings", installed.file).code == 0
    with connected(own_redis) as client:
        before = content(client, 1)
        rebuilt = segflow("rebuild", "--shard", "0", "--settings", installed.file)
        assert (rebuilt.code, "nothing of it was wiped" in rebuilt.err) == (2, True)
        assert content(client, 1) == before
        client.flushall()
    published = len(installed.read("changes"))
    with installed.worker() as parked:
        parked.says("its state is nowhere")
        assert parked.ends() == 2, "its one shard is parked"
    moved = segflow("reset", "--shard", "0", "--to", "latest", "--settings", installed.file)
    assert (moved.code, "its state is nowhere" in moved.err) == (2, True)
    assert len(installed.read("changes")) == published
    assert "lost all state in Redis" in installed.doctor("FAIL")
