"""One sick shard is parked with its reason, all others go on, and a command puts it right without a restart."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from segflow.state.keys import Keys
from segflow.state.redis_connection import client
from tests.faults.installation import Installation, Make, spoil_records
from tests.faults.stream import Stream
from tests.support.command import segflow
from tests.support.health import Health
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

SICK = 0
Harm = Callable[[Redis, Keys], object]


def last(installed: Installation, partition: int) -> int:
    """The latest commit of a shard in the journal."""
    found = [each["plan"]["sequence"] for each in installed.journal() if each["partition"] == partition]
    return max(found, default=0)


def commits_beyond(installed: Installation, partition: int, sequence: int) -> None:
    """Wait until the shard has a later commit."""
    until(lambda: last(installed, partition) > sequence, f"shard {partition} does not go on")


@contextmanager
def connected(installed: Installation) -> Iterator[tuple[Redis, Keys]]:
    """The installation's Redis, and the keys of the shard to be hurt."""
    with client(installed.settings.redis) as redis:
        yield redis, Keys(installed.settings.redis.prefix, SICK)


def grown(make: Make, stream: Stream, **content: object) -> tuple[Installation, Health]:
    """An installation of two shards with some customers, and the page for its next worker."""
    installed = make(**content)
    installed.put(stream.take(300))
    with installed.worker() as first:
        installed.settles()
        first.stop()
    return installed, Health.at_free_port()


def of_another_type(redis: Redis, keys: Keys) -> None:
    """A list where the head is."""
    redis.unlink(keys.head)
    redis.rpush(keys.head, "no head")


HARMS: dict[str, Harm] = {
    "a head that is garbage": lambda redis, keys: redis.set(keys.head, b"\xff{"),
    "a head of another type": of_another_type,
    "records that are garbage": spoil_records,
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_a_damaged_shard_is_parked_the_others_go_on_and_a_rebuild_beside_the_worker_mends_it(
    harm: Harm, installation: Make, seed: int
) -> None:
    """Named in the log, once and without a traceback, in /ready, in the metric and by the doctor, all alike."""
    stream = Stream(seed)
    installed, health = grown(installation, stream)
    with connected(installed) as (redis, keys):
        harm(redis, keys)
    installed.put(stream.take(100))
    before = last(installed, 1)
    with installed.worker(http_port=health.port) as worker:
        worker.says("shard 0 is parked (torn_state)")
        commits_beyond(installed, 1, before)
        ready = health.verdict("ready")
        assert ready["ready"] is False
        assert ready["parked"] == {"0": "torn_state"}
        (why,) = ready["why_not"]
        assert "`segflow rebuild --shard 0`" in why
        assert not re.search(r"\bc\d+\b", why)  # it names no customer
        assert health.metrics()["segflow_parked"] == {("torn_state", "0"): 1.0, ("", "1"): 0.0}
        assert why.partition("): ")[2] in installed.doctor()
        result = segflow("rebuild", "--shard", "0", "--settings", installed.file)
        assert result.code == 0, result.err
        worker.says("shard 0 goes on")
        installed.put(stream.take(100))
        installed.comes_out_right()
        until(health.is_ready, lambda: str(health.verdict("ready")))
        assert health.metrics()["segflow_parked"] == {("", "0"): 0.0, ("", "1"): 0.0}
        assert "torn_state" not in installed.doctor()
        assert worker.said().count("is parked") == 1
        assert "Traceback" not in worker.said()
        worker.stop()


def test_a_damaged_shard_ends_neither_of_two_workers(installation: Make, seed: int) -> None:
    """Not the one that has it, though it has no other; and not the other."""
    stream = Stream(seed)
    installed = installation()
    installed.put(stream.take(300))
    with installed.worker() as earlier:
        installed.settles()
        earlier.stop()
    with connected(installed) as (redis, keys):
        redis.unlink(keys.page(0))
    with installed.worker() as first, installed.worker() as second:
        installed.has_members(2)
        until(lambda: any("shard 0 is parked" in each.said() for each in (first, second)), "it is not parked")
        before = last(installed, 1)
        installed.put(stream.take(100))
        commits_beyond(installed, 1, before)
        assert segflow("rebuild", "--shard", "0", "--settings", installed.file).code == 0
        installed.comes_out_right()
        for each in (first, second):
            each.stop()


def test_a_shard_whose_input_was_cut_is_parked_and_reset_beside_the_worker(installation: Make, seed: int) -> None:
    """The command that its reason names is all there is to do."""
    stream = Stream(seed)
    installed, health = grown(installation, stream)
    installed.put(stream.take(200))
    head = installed.heads()[SICK]
    assert head is not None
    installed.cut_by_retention("purchases", SICK, head.purchases.offset + 5)
    healthy, before = last(installed, 1), last(installed, SICK)
    with installed.worker(http_port=health.port) as worker:
        worker.says("shard 0 is parked (input_lost)")
        commits_beyond(installed, 1, healthy)
        assert health.verdict("ready")["parked"] == {"0": "input_lost"}
        assert "by retention" in installed.doctor()
        command: str = re.findall(r"`segflow (reset [^`]* --to earliest)`", worker.said())[0]
        result = segflow(*command.split(), "--settings", installed.file)
        assert result.code == 0, result.err
        commits_beyond(installed, SICK, before + 1)
        until(health.is_ready, lambda: str(health.verdict("ready")))
        worker.stop()


def test_a_worker_ends_where_every_shard_is_parked(installation: Make, seed: int) -> None:
    """Nothing can go on: exit code 2, each shard's reason before it."""
    installed, _ = grown(installation, Stream(seed))
    with connected(installed) as (redis, _keys):
        for partition in range(installed.partitions):
            redis.unlink(Keys(installed.settings.redis.prefix, partition).page(0))
    with installed.worker() as worker:
        assert worker.ends() == 2
        for partition in range(installed.partitions):
            assert f"shard {partition} is parked (torn_state)" in worker.said()
        assert "every shard is parked" in worker.said()


def test_a_rebuild_of_all_shards_beside_a_worker_is_refused(installation: Make, seed: int) -> None:
    """One of them is parked, the other is at work."""
    installed, _ = grown(installation, Stream(seed))
    with connected(installed) as (redis, keys):
        redis.unlink(keys.page(0))
    with installed.worker() as worker:
        worker.says("shard 0 is parked")
        result = segflow("rebuild", "--settings", installed.file)
        assert result.code == 2
        assert "name it with --shard" in result.err
        worker.stop()
