"""Redis under sentinels: a primary that dies under load is another server a moment later, and nothing is lost."""

from collections.abc import Iterator

import pytest

from tests.faults.installation import Make
from tests.faults.stream import Stream
from tests.support.health import Health
from tests.support.redis_sentinel import Watched, watched
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.fixture(scope="module")
def group() -> Iterator[Watched]:
    """A primary, two replicas and three sentinels."""
    with watched() as found:
        yield found


def test_a_primary_killed_under_load_costs_nothing(installation: Make, group: Watched, seed: int) -> None:
    """The sentinels name another primary; the worker finds it, replays what the replica lacked, and goes on."""
    installed = installation(redis=group.url)
    health = Health.at_free_port()
    stream = Stream(seed, step_hours=1)
    with installed.worker(http_port=health.port) as worker:
        installed.put(stream.take(100))
        installed.settles()
        dead = group.primary()
        with installed.flowing(stream, rate=100):
            installed.commits_more(4)
            dead.kill()
            until(lambda: group.primary() is not dead, "no sentinel names another primary")
            installed.commits_more(4)
        found = installed.comes_out_right()
        until(health.is_ready, worker.said)
        worker.stop()
    assert found.events > 100


def test_a_primary_that_is_made_a_replica_is_left_for_the_new_one(
    installation: Make, group: Watched, seed: int
) -> None:
    """A failover by hand: the old server lives on as a replica, and connections to it are given up."""
    installed = installation(redis=group.url, name="b")
    stream = Stream(seed, step_hours=1)
    with installed.worker() as worker:
        installed.put(stream.take(100))
        installed.settles()
        before = group.primary()
        group.fail_over()
        until(lambda: group.primary() is not before, "no sentinel names another primary")
        installed.put(stream.take(100))
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 200
