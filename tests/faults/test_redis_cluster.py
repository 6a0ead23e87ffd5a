"""A Redis Cluster under load: a primary that dies, slots that move, all of it down; nothing is lost or told twice."""

from collections.abc import Iterator

import pytest

from segflow.state.keys import Keys
from tests.faults.installation import Installation, Make
from tests.faults.stream import Stream
from tests.support.command import segflow
from tests.support.health import Health
from tests.support.redis_cluster import Cluster, cluster
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

DOWN = "the Redis Cluster is down"
SHARDS = 4
"""Enough that not all are on one server."""
MOVED = 0
"""The shard that is made to move, or whose server dies."""


@pytest.fixture(scope="module")
def six() -> Iterator[Cluster]:
    """Three primaries with a replica each; whoever hurts them mends them."""
    with cluster(replicas=1, node_timeout_ms=2000) as found:
        yield found


def head_of(installed: Installation) -> str:
    """The key of the head of the shard that is hurt."""
    return Keys(installed.settings.redis.prefix, MOVED).head


def mended(six: Cluster) -> None:
    """All servers run, and the replicas have what their primaries have."""
    for each in six.servers:
        if not each.running:
            each.start()
    until(six.is_up, "the cluster does not come up")
    until(six.is_copied, "the replicas do not copy")


def audits_clean(installed: Installation) -> None:
    """Nothing is lost, repeated or altered, and Redis is the fold of the inputs."""
    found = segflow("audit", "--settings", installed.file, "--state")
    assert found.code == 0, found.out + found.err


def test_a_primary_killed_under_load_costs_nothing(installation: Make, six: Cluster, seed: int) -> None:
    """Its replica takes over; the worker finds it, copies what the replica lacked, and goes on."""
    installed = installation(redis=six.url, partitions=SHARDS)
    health = Health.at_free_port()
    stream = Stream(seed, step_hours=1)
    with installed.ready_worker(health) as worker:
        installed.put(stream.take(100))
        installed.settles()
        dead = six.primary_of(head_of(installed))
        with installed.flowing(stream, rate=100):
            installed.commits_more(4)
            dead.kill()
            until(lambda: six.primary_of(head_of(installed)) is not dead, "no replica takes over")
            installed.commits_more(4)
        found = installed.comes_out_right()
        until(health.is_ready, worker.said)
        worker.stop()
    assert found.events > 100
    audits_clean(installed)
    mended(six)


def test_slots_moved_under_load_cost_nothing(installation: Make, six: Cluster, seed: int) -> None:
    """There, halfway with a new customer's key missing, and back: the shard waits, and goes on at the other server."""
    installed = installation(redis=six.url, partitions=SHARDS, name="b")
    health = Health.at_free_port()
    stream = Stream(seed, step_hours=1)
    with installed.ready_worker(health) as worker:
        installed.put(stream.take(100))
        installed.settles()
        key = head_of(installed)
        source = six.primary_of(key)
        target = six.others(source)[0]
        with installed.flowing(stream, rate=100):
            installed.commits_more(4)
            six.begin_to_move(key, target)
            assert six.move_keys(key, target, most=10) == 10
            worker.says("the Redis Cluster moves the keys to another server")
            six.move_keys(key, target)
            six.end_move(key, target)
            installed.commits_more(4)
            six.move(key, source)
            installed.commits_more(4)
        found = installed.comes_out_right()
        until(health.is_ready, worker.said)
        worker.stop()
    assert found.events > 100
    audits_clean(installed)


def test_a_cluster_that_is_down_is_waited_for_and_said_everywhere(installation: Make, six: Cluster, seed: int) -> None:
    """Log, /ready, metric and doctor say the same; the same process goes on when the cluster is back."""
    installed = installation(redis=six.url, partitions=SHARDS, name="c")
    health = Health.at_free_port()
    stream = Stream(seed)
    with installed.ready_worker(health) as worker:
        installed.put(stream.take(100))
        installed.settles()
        one = six.primary_of(head_of(installed))
        hurt = [one, six.replica_of(one)]
        for each in hurt:
            each.kill()
        installed.put(stream.take(100))
        until(lambda: DOWN in str(health.verdict("ready").get("why_not")), worker.said)
        worker.says(DOWN)
        assert health.metrics()["segflow_up"][("redis",)] == 0
        assert DOWN in installed.doctor("FAIL")
        assert worker.process.poll() is None, worker.said()
        mended(six)
        found = installed.comes_out_right()
        until(health.is_ready, worker.said)
        worker.stop()
    assert found.events == 200
    audits_clean(installed)


def test_a_replica_that_lacks_the_last_commits_is_made_whole(installation: Make, six: Cluster, seed: int) -> None:
    """Redis acknowledged them, and the server that takes over never had them: they are copied from the state topic."""
    installed = installation(redis=six.url, partitions=SHARDS, name="d")
    stream = Stream(seed)
    with installed.ready_worker() as worker:
        installed.put(stream.take(100))
        installed.settles()
        primary = six.primary_of(head_of(installed))
        until(six.is_copied, "the replicas do not copy")
        replica = six.replica_of(primary)
        replica.pause()
        primary.says("CLIENT KILL", "TYPE", "replica")
        before = installed.commits()
        installed.put(stream.take(100))
        installed.settles()
        assert installed.commits() > before
        primary.kill()
        replica.resume()
        until(lambda: six.primary_of(head_of(installed)) is replica, "the replica does not take over")
        worker.says("its state is copied from")
        installed.put(stream.take(50))
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 250
    audits_clean(installed)
    mended(six)
