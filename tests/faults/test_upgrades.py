"""Workers of two versions on one installation: one takes over from the other, killed in mid-commit, both ways."""

from contextlib import closing
from pathlib import Path

import pytest
from redis import Redis

from segflow.embedded.redis_server import RedisServer
from segflow.engine.commit.engine_version import ENGINE
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import KEPT_FOR_EVER
from tests.faults.installation import Installation, Make
from tests.faults.stream import Stream
from tests.support.earlier_version import BEFORE_STATE_TOPIC, EarlierVersion, earlier_version
from tests.support.redis_content import content
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

COPIED = "its state is copied from"
DRAIN = "Drain the shard first: start segflow 0.2.0.dev0 (engine 1)"
OLDER = f"Start segflow 0.2.0.dev0 (engine {ENGINE}): an older version does not go on behind a newer one"


@pytest.fixture
def installed(installation: Make, own_redis: RedisServer) -> Installation:
    """One whose Redis is its own. Journal and control are kept for ever, as that version wants it."""
    made = installation(redis=own_redis.url)
    names = made.settings.kafka.topics
    topics.alter(made.settings, dict.fromkeys((names.journal, names.control), KEPT_FOR_EVER))
    return made


@pytest.fixture
def earlier(installed: Installation, tmp_path: Path) -> EarlierVersion:
    """The version before there was the state topic."""
    return earlier_version(BEFORE_STATE_TOPIC, installed, tmp_path / "earlier")


def test_each_version_takes_over_from_the_other_killed_before_its_commit_counts(
    installed: Installation, earlier: EarlierVersion, own_redis: RedisServer, seed: int
) -> None:
    """Up, back and up again: nothing is lost or told twice, and the last has all that a lost Redis is copied from."""
    stream = Stream(seed)
    for version in (earlier, None, earlier):
        with installed.worker(crash_at="commit:produced:2", earlier=version) as killed:
            installed.put(stream.take(150))
            killed.is_killed()
    with installed.worker() as last:
        installed.comes_out_right()
        until(installed.is_in_state_topic, last.said)
        last.stop()
    with closing(Redis.from_url(own_redis.url)) as client:
        before = content(client, installed.partitions)
        client.flushall()
        with installed.worker() as again:
            again.says(COPIED, installed.partitions)
            until(lambda: content(client, installed.partitions) == before, "not all is there again")
            installed.put(stream.take(50))
            assert installed.comes_out_right().events == 500
            again.stop()


def test_a_commit_that_redis_lacks_is_finished_by_the_version_that_made_it(
    installed: Installation, earlier: EarlierVersion, seed: int
) -> None:
    """The other refuses the shard and says so, both ways; only from the state topic this version copies its own."""
    stream = Stream(seed)
    for version, other, refusal in ((earlier, None, DRAIN), (None, earlier, OLDER)):
        with installed.worker(crash_at="commit:published:2", earlier=version) as killed:
            installed.put(stream.take(150))
            killed.is_killed()
        with installed.worker(earlier=other) as refusing:
            refusing.says(refusal)
            assert "Traceback" not in refusing.said()
        with installed.worker(earlier=version) as draining:
            installed.settles()
            draining.stop()
    with installed.worker(earlier=earlier) as back:
        installed.put(stream.take(100))
        assert installed.comes_out_right().events == 400
        back.stop()


def test_two_versions_work_side_by_side_while_workers_are_replaced_one_by_one(
    installed: Installation, earlier: EarlierVersion, seed: int
) -> None:
    """A roll under load, and the same way back."""
    stream = Stream(seed)
    with installed.flowing(stream.take(100_000), rate=100), installed.worker(earlier=earlier) as first:
        installed.commits_more()
        with installed.worker() as second:
            installed.has_members(2)
            installed.commits_more(4)
            first.stop()
            installed.has_members(1)
            with installed.worker(earlier=earlier) as third:
                installed.has_members(2)
                installed.commits_more(4)
                second.stop()
                installed.commits_more(4)
                third.stop()
    with installed.worker() as last:
        installed.comes_out_right()
        last.stop()
