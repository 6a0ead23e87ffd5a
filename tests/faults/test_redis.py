"""Faults 2 to 6: what Redis, and the wire to it, can do to a worker."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis

from segflow.embedded.redis_server import RedisServer
from segflow.state.keys import installation as installation_key
from tests.conftest import started_or_skipped
from tests.faults.installation import Make
from tests.faults.stream import Stream
from tests.support.health import Health
from tests.support.proxy import Proxy, redis_exec
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

ANEW = "acquiring it again"
AGAIN = "its state is copied from"
NOTICED_S = 15.0
"""A look a second notices; a test machine may be slow."""


@pytest.fixture
def wire(own_redis: RedisServer) -> Iterator[Proxy]:
    """A wire to the test's own Redis."""
    with Proxy(own_redis.ports[0]) as proxy:
        yield proxy


@pytest.fixture
def health() -> Health:
    """The pages of a worker, at a port of their own."""
    return Health.at_free_port()


def retakes(health: Health) -> float:
    """How often the worker has released a shard after an error."""
    return health.metrics().get("segflow_retakes_total", {}).get((), 0.0)


def through(wire: Proxy) -> str:
    """The URL of what is behind the wire."""
    return f"redis://127.0.0.1:{wire.port}/0"


def connected(server: RedisServer) -> Redis:
    """A client of the test's own."""
    return Redis.from_url(server.url)


def test_a_commit_whose_reply_from_redis_was_lost_is_neither_lost_nor_repeated(
    installation: Make, wire: Proxy, seed: int
) -> None:
    """Redis carries EXEC out and the connection ends before its answer: the head tells what happened. Three times."""
    installed = installation(redis=through(wire), partitions=1)
    stream = Stream(seed)
    with installed.worker() as worker:
        installed.put(stream.take(100))
        installed.settles()
        for times in (1, 2, 3):
            wire.drop_reply_to(redis_exec)
            installed.put(stream.take(60))
            until(lambda times=times: wire.dropped == times, "no reply was dropped")  # type: ignore[misc]
            worker.says(ANEW, times)
        found = installed.comes_out_right()
        assert AGAIN not in worker.said(), "the commits were done: nothing was to be copied"
        worker.stop()
    assert found.events == 280


def test_an_exec_that_never_arrived_is_copied_from_the_state_topic(installation: Make, wire: Proxy, seed: int) -> None:
    """The connection ends before EXEC reaches Redis: the published commit is copied, not published again."""
    installed = installation(redis=through(wire), partitions=1)
    stream = Stream(seed)
    with installed.worker() as worker:
        installed.put(stream.take(100))
        installed.settles()
        wire.lose_request(redis_exec)
        installed.put(stream.take(60))
        until(lambda: wire.lost == 1, "no request was lost")
        worker.says(AGAIN)
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 160


def test_while_redis_is_down_a_worker_waits_and_goes_on_by_itself(
    installation: Make, own_redis: RedisServer, health: Health, seed: int
) -> None:
    """Killed with all its memory on disk, away for a while, back: the same worker process goes on."""
    own_redis.options |= {"appendonly": "yes", "appendfsync": "always"}
    own_redis.kill()
    own_redis.start()
    installed = installation(redis=own_redis.url)
    stream = Stream(seed)
    with installed.worker(http_port=health.port) as worker:
        installed.put(stream.take(100))
        installed.settles()
        own_redis.kill()
        installed.put(stream.take(100))
        worker.says(ANEW)
        until(lambda: retakes(health) >= 4, "it tries no more")  # each is a line, of which the log shows 3 a minute
        assert worker.process.poll() is None, worker.said()
        own_redis.start()
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 200


def test_a_redis_that_answers_nobody_for_longer_than_its_timeout_changes_nothing(
    installation: Make, wire: Proxy, seed: int
) -> None:
    """Connections stay open and silent: each round trip ends at redis.timeout, and the shards are acquired again."""
    installed = installation(redis=through(wire), redis_timeout="500ms")
    stream = Stream(seed)
    with installed.worker() as worker:
        installed.put(stream.take(100))
        installed.settles()
        wire.silence()
        installed.put(stream.take(100))
        worker.says("Redis does not answer in time", 2)
        wire.resume()
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 200


def test_a_redis_that_lost_its_last_second_is_noticed_and_healed(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """Killed and back as it was some commits ago, under a running worker: those commits are copied."""
    installed = installation(redis=own_redis.url)
    stream = Stream(seed)
    with installed.worker() as worker, closing(connected(own_redis)) as client:
        installed.put(stream.take(100))
        installed.settles()
        client.save()
        before = installed.commits()
        installed.put(stream.take(200))
        installed.settles()
        assert installed.commits() > before
        own_redis.kill()
        own_redis.start()  # from what was saved
        installed.put(stream.take(50))
        worker.says(AGAIN)
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 350


def test_a_redis_rolled_back_while_nobody_looked_is_healed_at_the_start(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """The worker stops cleanly, Redis loses its latest commits, the next worker copies them and goes on."""
    installed = installation(redis=own_redis.url)
    stream = Stream(seed)
    with closing(connected(own_redis)) as client:
        with installed.worker() as first:
            installed.put(stream.take(100))
            installed.settles()
            client.save()
            installed.put(stream.take(200))
            installed.settles()
            first.stop()
        own_redis.kill()
        own_redis.start()
    installed.put(stream.take(50))
    with installed.worker() as second:
        second.says(AGAIN)
        installed.comes_out_right()
        second.stop()


def test_a_failover_to_a_stale_replica_is_noticed_and_healed(
    installation: Make, own_redis: RedisServer, wire: Proxy, seed: int
) -> None:
    """A replica that stopped following some commits ago becomes the Redis at the same address."""
    installed = installation(redis=through(wire))
    stream = Stream(seed)
    with (
        closing(started_or_skipped(RedisServer)) as replica,
        closing(connected(replica)) as client,
        installed.worker() as worker,
    ):
        client.replicaof("127.0.0.1", own_redis.ports[0])
        installed.put(stream.take(100))
        installed.settles()
        until(lambda: client.info("replication")["master_link_status"] == "up", "the replica does not follow")
        heads = heads_in(own_redis)
        until(lambda: heads_in(replica) == heads, "the replica does not follow")
        client.replicaof("NO", "ONE")  # what follows does not reach it
        installed.put(stream.take(200))
        installed.settles()
        assert heads_in(own_redis) != heads
        wire.target = replica.ports[0]
        wire.cut()
        own_redis.kill()
        installed.put(stream.take(50))
        worker.says(AGAIN)
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 350


def heads_in(server: RedisServer) -> dict[object, object]:
    """Every shard's head as it stands there."""
    with closing(connected(server)) as client:
        return {key: client.get(key) for key in client.keys("*:head")}


def test_a_redis_that_comes_back_empty_is_filled_again_from_the_state_topic(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """Everything is wiped under a running worker, whose connection holds: nobody takes it for a new installation."""
    installed = installation(redis=own_redis.url)
    stream = Stream(seed)
    with installed.worker() as worker, closing(connected(own_redis)) as client:
        installed.put(stream.take(200))
        installed.settles()
        client.flushall()
        installed.put(stream.take(50))
        worker.says(AGAIN, installed.partitions)
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 250


def rollbacks(health: Health) -> float:
    """Shards that the worker has found to be gone or older in Redis."""
    return health.metrics()["segflow_rollbacks_total"][()]


def test_a_redis_emptied_under_an_idle_worker_is_noticed_without_any_event(
    installation: Make, own_redis: RedisServer, health: Health, seed: int
) -> None:
    """FLUSHALL, and nothing comes in: every shard is taken anew and filled again, told in log, metric and /ready.

    What no shard holds is there again, too: how customers are divided into shards.
    """
    installed = installation(redis=own_redis.url)
    with installed.worker(http_port=health.port) as worker, closing(connected(own_redis)) as client:
        installed.put(Stream(seed).take(200))
        installed.settles()
        until(health.is_ready, "not ready")
        before = heads_in(own_redis)
        client.flushall()
        until(lambda: rollbacks(health) == installed.partitions, "not noticed", NOTICED_S)
        worker.says(AGAIN, installed.partitions)
        until(health.is_ready, "not ready again")
        assert worker.said().count("it was emptied") == installed.partitions
        assert set(heads_in(own_redis)) == set(before)
        until(lambda: client.exists(installation_key(installed.settings.redis.prefix)), "it is not divided", NOTICED_S)
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 200


def test_a_redis_restarted_without_its_data_under_an_idle_worker_is_filled_again(
    installation: Make, own_redis: RedisServer, health: Health, seed: int
) -> None:
    """Killed, and back at once with nothing, and nothing comes in: the shards are not ready before they are whole."""
    installed = installation(redis=own_redis.url)
    with installed.worker(http_port=health.port) as worker:
        installed.put(Stream(seed).take(200))
        installed.settles()
        own_redis.kill()
        own_redis.start()
        worker.says(AGAIN, installed.partitions)
        until(health.is_ready, "not ready again")
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 200


def test_a_redis_restarted_with_its_data_costs_a_look(
    installation: Make, own_redis: RedisServer, health: Health, seed: int
) -> None:
    """Nothing is executed again, no shard counts as rolled back, and the log says that another process answers."""
    own_redis.options |= {"appendonly": "yes", "appendfsync": "always"}
    own_redis.kill()
    own_redis.start()
    installed = installation(redis=own_redis.url)
    with installed.worker(http_port=health.port) as worker:
        installed.put(Stream(seed).take(200))
        installed.settles()
        until(health.is_ready, "not ready")
        own_redis.kill()
        own_redis.start()
        worker.says("Redis was restarted")
        until(health.is_ready, "not ready again")
        installed.comes_out_right()
        assert rollbacks(health) == 0
        assert AGAIN not in worker.said()
        worker.stop()


def test_a_replica_under_a_worker_s_address_is_not_ready_for_work(
    installation: Make, own_redis: RedisServer, health: Health, seed: int
) -> None:
    """The primary became a replica: an idle shard would not meet it before its next commit."""
    installed = installation(redis=own_redis.url)
    with (
        closing(started_or_skipped(RedisServer)) as primary,
        closing(connected(own_redis)) as client,
        installed.worker(http_port=health.port) as worker,
    ):
        installed.put(Stream(seed).take(50))
        installed.settles()
        until(health.is_ready, "not ready")
        client.replicaof("127.0.0.1", primary.ports[0])
        until(lambda: "replica" in str(health.verdict("ready").get("why_not")), "still ready", NOTICED_S)
        client.replicaof("NO", "ONE")
        until(health.is_ready, "not ready again")
        worker.stop()


def test_a_state_that_the_journal_does_not_know_stops_the_worker(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """A journal made anew beside a state that is not: going on would leave commits nobody could do again."""
    installed = installation(redis=own_redis.url, partitions=1)
    with installed.worker() as first:
        installed.put(Stream(seed).take(100))
        installed.settles()
        first.stop()
    installed.make_anew("journal")
    with installed.worker() as second:
        assert second.ends() == 2
        assert "journal" in second.said()
        assert "Traceback" not in second.said()


def test_a_reply_lost_at_any_step_of_a_commit_is_resolved_by_looking(installation: Make, seed: int) -> None:
    """An error after each step, whatever its outcome: the shard is acquired again and the process goes on."""
    for place, point in enumerate(("commit:prepared", "commit:produced", "commit:published", "commit:stored")):
        installed = installation(name=f"n{place}-")
        installed.put(Stream(seed).take(150))
        with installed.worker(crash_at=f"{point}:2:raise") as worker:
            worker.says(f"the reply at {point} was lost")
            found = installed.comes_out_right()
            worker.stop()
        assert found.events == 150
