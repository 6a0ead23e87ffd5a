"""The look at a real Redis each second: which shards it says are lost, and of what kind that is."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis

from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.state.keys import Keys, installation
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.state.redis_servers import OneServer, RedisServers
from segflow.state.store import RolledBackError, ShardLostError, TornStateError
from segflow.streams.health.clocks import Clocks
from segflow.streams.health.redis_look import RedisLook

pytestmark = pytest.mark.redis

PREFIX = "looked"
WRITTEN = Head(owner="me", sequence=7, population=1)


@dataclass
class Looking:
    """A worker of shard 0 that looks."""

    connected: redis.Redis
    settings: Settings
    found: list[Exception] = field(default_factory=list)
    claims: int = 0

    def __post_init__(self) -> None:
        self.clocks = Clocks(30)
        self.look = RedisLook(
            self.settings,
            lambda: [0],
            self.clocks,
            written=lambda: {0: WRITTEN},
            lost=lambda *of_a_shard: self.found.append(of_a_shard[-1]),
            claim=self.claim,
        )

    def claim(self, servers: RedisServers) -> None:
        """Note that it was called for, and do it."""
        self.claims += 1
        servers.of(installation(PREFIX)).set(installation(PREFIX), b"{}")

    def stored(self, head: Head | None, *, directory: bool = True) -> None:
        """Give shard 0 this content."""
        keys = Keys(PREFIX, 0)
        self.connected.delete(keys.head, keys.page(0))
        if directory:
            self.connected.rpush(keys.page(0), "c1")
        if head is not None:
            store = RedisStore(OneServer(self.connected), keys)
            store.acquire(head, None)
            store.close()

    def sees(self) -> list[Exception]:
        """The errors of one more look."""
        self.found.clear()
        self.look()
        return list(self.found)


@pytest.fixture
def looking(redis_db: str) -> Iterator[Looking]:
    """One that has looked once, at a state that is whole."""
    settings = Settings.model_validate({"redis": {"url": redis_db, "prefix": PREFIX}})
    with client(settings.redis) as connected:
        found = Looking(connected, settings)
        found.stored(WRITTEN)
        assert found.sees() == []
        yield found


def test_a_head_as_written_or_later_by_the_same_worker_is_no_loss(looking: Looking) -> None:
    """A commit may come between the moment at which the worker was asked and that at which Redis was."""
    for sequence in (7, 8):
        looking.stored(Head(owner="me", sequence=sequence, population=1))
        assert looking.sees() == []


def test_a_head_that_is_gone_older_or_another_s_is_a_loss_of_its_kind(looking: Looking) -> None:
    """Gone and older: rolled back, nobody else has the shard; another owner's: it has it."""
    for head, kind in (
        (None, RolledBackError),
        (Head(owner="me", sequence=6), RolledBackError),
        (Head(owner="else", sequence=6), RolledBackError),
        (Head(owner="else", sequence=9), ShardLostError),
    ):
        looking.stored(head)
        assert [type(error) for error in looking.sees()] == [kind]


def test_another_process_with_the_same_head_is_looked_at_more_closely_once(looking: Looking) -> None:
    """Whole, it costs that look; without the customers beside the head it is torn, and is said to be."""
    looking.look._run_ids = {0: "another"}
    assert looking.sees() == []
    looking.stored(WRITTEN, directory=False)
    assert looking.sees() == [], "the same process: whoever commits would meet it"
    looking.look._run_ids = {0: "another"}
    (error,) = looking.sees()
    assert isinstance(error, TornStateError)


def test_a_head_that_cannot_be_read_is_torn(looking: Looking) -> None:
    """Something else wrote to it, or to the timers: of that shard alone, and Redis answers as before."""
    keys = Keys(PREFIX, 0)
    looking.connected.set(keys.head, b"?")
    (error,) = looking.sees()
    assert isinstance(error, TornStateError)
    for key in (keys.head, keys.timers):
        looking.connected.delete(key)
        looking.connected.rpush(key, "?")
    (error,) = looking.sees()
    assert isinstance(error, TornStateError)
    assert looking.look().timers_us == {0: None}


def test_what_all_shards_share_is_noted_again_where_it_is_gone(looking: Looking) -> None:
    """Without it nobody knows how customers are divided, and a worker that has started would not write it again."""
    before = looking.claims
    looking.sees()
    assert looking.claims == before
    looking.connected.delete(installation(PREFIX))
    looking.sees()
    assert looking.claims == before + 1


def test_the_look_tells_redis_time(looking: Looking) -> None:
    """It is that of this machine, where both run on it."""
    assert looking.clocks.offset_s("Redis") == 0
