"""Faults 7, 8 and 11: workers that come, go, halt, and take too long."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import yaml

from segflow.embedded.redis_server import RedisServer
from segflow.streams.runtime.error_reason import FENCED
from tests.faults.installation import Installation, Make
from tests.faults.stream import Stream
from tests.faults.worker_process import WorkerProcess
from tests.support.health import Health
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.proxy import HEARTBEAT, SYNC_GROUP, Proxy, kafka_request, redis_exec
from tests.support.until import until

UNKNOWN_SERVER_ERROR = (-1).to_bytes(2, "big", signed=True)
"""The last bytes of a heartbeat's reply are its error code."""
LONGER_THAN_IT_IS = (32_767).to_bytes(2, "big")
"""The last bytes of a reply with an assignment are the length of its user data, which has none."""

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.fixture
def wire(own_redis: RedisServer) -> Iterator[Proxy]:
    """A wire to the test's own Redis."""
    with Proxy(own_redis.ports[0]) as proxy:
        yield proxy


def named(installed: Installation, name: str) -> Installation:
    """The installation, its next worker with this lasting name."""
    installed.content["worker"]["group_instance_id"] = name
    installed.file.write_text(yaml.safe_dump(installed.content))
    return installed


def test_a_storm_of_workers_coming_and_going_loses_and_repeats_nothing(installation: Make, seed: int) -> None:
    """One worker, three, one, and once more, while records come in: some stopped, some killed."""
    installed = installation(partitions=6)
    stream = Stream(seed, step_hours=1)
    with installed.flowing(stream, rate=60), ExitStack() as workers:
        first = workers.enter_context(installed.worker())
        installed.commits_more(6)
        for _ in range(2):
            others = [workers.enter_context(installed.worker()) for _ in range(2)]
            for other in others:
                other.says("acquired shard")
            installed.commits_more(12)
            others[0].stop()
            others[1].kill()
            installed.commits_more(6)
        found_in_flight = installed.commits()
    with installed.worker() as last:
        found = installed.comes_out_right()
        last.stop()
    assert first.said().count("acquired shard") > 6, "the first worker never lost a shard"
    assert found.commits >= found_in_flight


@pytest.mark.parametrize(
    ("point", "fenced_by"),
    [
        ("commit:prepared", FENCED),
        ("commit:produced", FENCED),
        ("commit:published", "another has taken it"),
    ],
)
def test_a_worker_that_wakes_up_after_its_shard_has_moved_is_fenced(
    point: str, fenced_by: str, installation: Make, seed: int
) -> None:
    """Halted within a commit beyond the session timeout; another goes on; awake again, it publishes and writes nothing.

    Before the transaction is committed Kafka refuses it, after that Redis.
    """
    installed = installation(partitions=1)
    stream = Stream(seed)
    installed.put(stream.take(200))
    with installed.worker(crash_at=f"{point}:3:stop") as zombie:
        zombie.is_stopped()
        with installed.worker() as heir:
            heir.says("acquired shard")
            installed.put(stream.take(100))
            installed.settles()
            zombie.resume()
            zombie.says(fenced_by)
            installed.put(stream.take(100))
            installed.settles()
            heir.stop()  # whoever has the shard now goes on
            installed.put(stream.take(50))
            found = installed.comes_out_right()
            zombie.stop()
    assert found.events == 450


def test_a_fenced_worker_does_not_take_the_shard_back_from_its_heir(installation: Make, seed: int) -> None:
    """It asks its group first: a zombie that fences its heir in return would stop both, again and again."""
    installed = installation(partitions=1)
    stream = Stream(seed)
    installed.put(stream.take(200))
    with installed.worker(crash_at="commit:prepared:3:stop") as zombie:
        zombie.is_stopped()
        with installed.worker() as heir:
            heir.says("acquired shard")
            zombie.resume()
            zombie.says(FENCED)
            with installed.flowing(stream, rate=100):
                installed.commits_more(20)
            found = installed.comes_out_right()
            assert FENCED not in heir.said()
            heir.stop()
            zombie.stop()
    assert found.events > 200


def test_a_commit_slower_than_the_session_timeout_keeps_its_shard(
    installation: Make, wire: Proxy, own_redis: RedisServer, seed: int
) -> None:
    """Redis answers EXEC only after twice the session timeout: the worker is still a member, and nothing is redone."""
    assert own_redis.running
    installed = installation(redis=f"redis://127.0.0.1:{wire.port}/0", partitions=1)
    stream = Stream(seed)
    with installed.worker() as worker, installed.worker() as idle:
        installed.has_members(2)
        installed.put(stream.take(100))
        installed.settles()
        taken = (worker.said() + idle.said()).count("acquired shard")
        for times in (1, 2):
            wire.delay_reply_to(redis_exec, delay_s=4)
            installed.put(stream.take(50))
            until(lambda times=times: wire.delayed == times, "no reply was delayed")  # type: ignore[misc]
            installed.settles()
        found = installed.comes_out_right()
        said = worker.said() + idle.said()
        assert said.count("acquired shard") == taken, said
        assert "acquiring it again" not in said
        worker.stop()
        idle.stop()
    assert found.events == 200


def test_a_worker_that_comes_gets_its_share_and_the_others_keep_the_rest(installation: Make, seed: int) -> None:
    """Of six shards a second worker gets three, a third two; each of the others keeps what it is left with."""
    installed = installation(partitions=6, worker={"session_timeout": "60s"})
    stream = Stream(seed, step_hours=1)
    pages: list[Health] = []
    found: list[list[set[int]]] = []  # after each change of the group, by worker

    def divided(count: int) -> list[set[int]]:
        shards = [set(page.verdict("ready").get("shards", [])) for page in pages]
        sizes = [len(its) for its in shards if its]
        return shards if set().union(*shards) == set(range(6)) and sorted(sizes) == [6 // count] * count else []

    with installed.flowing(stream, rate=30), ExitStack() as workers:
        running: list[WorkerProcess] = []
        for count in (1, 2, 3):
            pages.append(Health.at_free_port())
            running.append(workers.enter_context(installed.worker(http_port=pages[-1].port)))
            until(lambda count=count: bool(divided(count)), running[0].said)  # type: ignore[misc]
            found.append(divided(count))
        running[2].stop()
        until(lambda: bool(divided(2)), running[0].said)
        found.append(divided(2))
        for worker in running[:2]:
            worker.stop()
    (all_six,), (first, second), (one, other, _), (one_again, other_again, _) = found
    assert first < all_six
    assert (one < first, other < second) == (True, True)
    assert (one_again > one, other_again > other) == (True, True)
    with installed.worker() as last:
        installed.comes_out_right()
        last.stop()


def test_a_heartbeat_answered_with_an_unforeseen_error_makes_the_worker_join_again(
    installation: Make, hurt_kafka: ProxiedKafka, seed: int
) -> None:
    """It acquires its shard again and stays a member; nothing is lost or repeated."""
    installed = installation(proxied=True, partitions=1)
    stream = Stream(seed)
    wire = hurt_kafka.wire
    with installed.worker() as worker:
        installed.put(stream.take(100))
        installed.settles()
        before = wire.altered
        wire.alter_reply_to(kafka_request(HEARTBEAT), UNKNOWN_SERVER_ERROR)
        until(lambda: wire.altered == before + 1, "no heartbeat was answered otherwise")
        worker.says("joining again")
        worker.says("acquired shard", times=2)
        installed.has_members(1)
        installed.put(stream.take(100))
        found = installed.comes_out_right()
        installed.has_members(1)
        assert worker.said().count("acquired shard") == 2, worker.said()
        worker.stop()
    assert found.events == 200


def test_a_worker_that_cannot_be_a_member_any_more_ends(
    installation: Make, hurt_kafka: ProxiedKafka, seed: int
) -> None:
    """Its assignment cannot be read, on which its membership ends for good; the next worker does its work."""
    installed = installation(proxied=True, partitions=1)
    hurt_kafka.wire.alter_reply_to(kafka_request(SYNC_GROUP), LONGER_THAN_IT_IS)
    with installed.worker() as worker:
        assert worker.ends() == 1, worker.said()
        assert "cannot be a member of its group any more" in worker.said()
    installed.put(Stream(seed).take(100))
    with installed.worker() as heir:
        found = installed.comes_out_right()
        heir.stop()
    assert found.events == 100


def test_a_worker_with_a_lasting_name_that_is_started_again_finds_its_shards_where_they_were(
    installation: Make, seed: int
) -> None:
    """Within the session timeout, stopped as well as killed: no shard moves, to it or from it."""
    installed = installation(partitions=4, worker={"session_timeout": "60s"})
    stream = Stream(seed, step_hours=1)
    with ExitStack() as workers:
        other = workers.enter_context(named(installed, "second").worker())
        other.says("acquired shard", times=4)
        first = workers.enter_context(named(installed, "first").worker())
        first.says("acquired shard", times=2)
        other.says("acquired shard", times=6)  # the two that it keeps once more: the group was divided
        for end in (WorkerProcess.stop, WorkerProcess.kill):
            installed.put(stream.take(50))
            end(first)
            first = workers.enter_context(installed.worker())
            first.says("acquired shard", times=2)
            installed.put(stream.take(50))
            installed.settles()
        assert other.said().count("acquired shard") == 6, "the group was divided again"
        installed.comes_out_right()


def test_of_two_workers_with_one_lasting_name_the_earlier_ends(installation: Make, seed: int) -> None:
    """It says what to do, and does not take the shards back: both would do so in turn."""
    installed = named(installation(), "same")
    with installed.worker() as earlier:
        earlier.says("acquired shard", times=2)
        with installed.worker() as later:
            assert earlier.ends() == 2, earlier.said()
            assert "give each worker a worker.group_instance_id of its own" in earlier.said()
            later.says("acquired shard", times=2)
            installed.put(Stream(seed).take(100))
            found = installed.comes_out_right()
            later.stop()
    assert found.events == 100


def test_a_session_timeout_that_kafka_refuses_is_named_by_ready(installation: Make) -> None:
    """The worker goes on trying: the broker's bounds can be changed."""
    page = Health.at_free_port()
    with installation(worker={"session_timeout": "40m"}).worker(http_port=page.port) as worker:
        until(lambda: "group.max.session.timeout.ms" in str(page.verdict("ready").get("why_not")), worker.said)
        assert worker.process.poll() is None
