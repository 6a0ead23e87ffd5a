"""Where keys are in a real Redis Cluster: found, followed when they move; what is no such address is refused."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr
from redis.exceptions import AskError, MovedError, TryAgainError

from segflow.operations.redis_rights import rights_findings
from segflow.schemas.connection_settings import Redis
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import servers
from segflow.state.redis_servers import RedisServers
from segflow.state.store import NO_CURSOR, Write
from segflow.streams.runtime.connections import UnreachableError, redis_errors
from segflow.streams.runtime.errors import UsageError
from tests.support.redis_cluster import Cluster
from tests.support.until import until

pytestmark = pytest.mark.redis

KEYS = Keys("cluster", 5)
IDS = [f"c{number}" for number in range(50)]
HEAD = Head(sequence=1, population=len(IDS))


@pytest.fixture
def there(redis_cluster: Cluster) -> Iterator[RedisServers]:
    """The servers of the cluster."""
    with servers(Redis(url=redis_cluster.url)) as found:
        yield found


@pytest.fixture
def store(there: RedisServers) -> Iterator[RedisStore]:
    """A shard with customers."""
    made = RedisStore(there, KEYS)
    made.wipe()
    made.acquire(Head(), None)
    made.begin(Head())
    made.commit(Write(records=[(each, b"1") for each in IDS], timers=[(IDS[0], 5)], born=IDS, head=HEAD))
    yield made
    made.close()


def at(url: str) -> Redis:
    """Settings with that address."""
    return Redis(url=url)


def test_each_shard_is_found_and_replies_come_in_the_order_asked(there: RedisServers) -> None:
    """Shards are on different servers; a round trip goes to each."""
    keys = [Keys("order", number).parked for number in range(12)]
    assert len(there.grouped(keys)) == 3
    there.replies([("SET", key, place) for place, key in enumerate(keys)])
    assert there.replies([("GET", key) for key in keys]) == [str(place).encode() for place in range(12)]
    assert there.replies([("UNLINK", key) for key in keys]) == [1] * 12


def test_a_shard_that_has_moved_is_followed_after_one_error(redis_cluster: Cluster, store: RedisStore) -> None:
    """The store is disconnected, as after any error; the next try goes to the new server, where all is."""
    before = redis_cluster.primary_of(KEYS.head)
    redis_cluster.move(KEYS.head, redis_cluster.others(before)[0])
    with pytest.raises(MovedError):
        store.head()
    until(lambda: store.head() == HEAD, "it is not followed")
    assert store.load(IDS) == [b"1"] * len(IDS)
    redis_cluster.move(KEYS.head, before)


def test_a_shard_on_its_way_is_never_taken_for_an_empty_one(redis_cluster: Cluster, store: RedisStore) -> None:
    """Whatever is asked of keys that have gone, or of all keys, fails; nothing is half cleared, nobody is new."""
    source = redis_cluster.primary_of(KEYS.head)
    target = redis_cluster.others(source)[0]
    redis_cluster.begin_to_move(KEYS.head, target)
    try:
        assert store.head() == HEAD
        assert redis_cluster.move_keys(KEYS.head, target, most=20) == 20
        for ask in (
            lambda: store.load(IDS),
            lambda: store.load(["nobody"]),
            lambda: store.outside_directory((2, 0)),
            lambda: store.clear(Head(partial=True), store.head()),
        ):
            with pytest.raises((AskError, TryAgainError)):
                ask()
    finally:
        redis_cluster.move_keys(KEYS.head, target)
        redis_cluster.end_move(KEYS.head, target)
    until(lambda: _answers(store), "it is not followed")
    store.clear(Head(partial=True), store.head())
    assert store.load(IDS) == [None] * len(IDS)
    assert store.outside_directory(NO_CURSOR).erased == []
    redis_cluster.move(KEYS.head, source)


def _answers(store: RedisStore) -> bool:
    try:
        return store.head() is not None
    except redis.RedisError:
        return False


def test_a_cluster_without_all_slots_is_refused_by_whatever_asks_it(redis_cluster: Cluster) -> None:
    """Also for keys whose slots have a server. It may pass: a worker waits, a command ends."""
    one = redis_cluster.primary_of(KEYS.head)
    slot = one.says("CLUSTER SLOTS")[0][0]
    one = next(each for each in redis_cluster.servers if each.ports[0] == one.says("CLUSTER SLOTS")[0][2][1])
    for each in redis_cluster.servers:
        each.says("CLUSTER DELSLOTS", slot)
    settings = at(redis_cluster.url)
    try:
        with (
            pytest.raises(UnreachableError, match="the Redis Cluster is down: not every slot has a server"),
            redis_errors(settings),
            servers(settings) as there,
        ):
            there.of(KEYS.head)
    finally:
        one.says("CLUSTER ADDSLOTS", slot)
        until(redis_cluster.is_up, "the cluster does not come up")


def test_one_server_of_a_cluster_under_a_plain_address_is_refused(redis_cluster: Cluster) -> None:
    """It has some of the shards only, whichever it is."""
    for each in redis_cluster.servers:
        settings = at(f"redis://127.0.0.1:{each.ports[0]}/0")
        with (
            pytest.raises(UsageError, match=r"one server of a Redis Cluster: write redis.url as in redis\+cluster://"),
            redis_errors(settings),
            servers(settings) as there,
        ):
            there.of(KEYS.head)


def test_a_plain_server_under_the_address_of_a_cluster_is_refused(redis_db: str) -> None:
    """It has all keys, and an address of its own."""
    settings = at(redis_db.replace("redis://", "redis+cluster://"))
    with (
        pytest.raises(UsageError, match=r"is not of a Redis Cluster: write redis.url as redis://HOST:PORT/0"),
        redis_errors(settings),
        servers(settings) as there,
    ):
        there.each()


def test_a_cluster_nobody_of_which_answers_is_unreachable() -> None:
    """Each of the addresses is tried."""
    settings = at("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(UnreachableError, match="cannot be reached"), redis_errors(settings), servers(settings) as there:
        there.each()


def test_the_rights_in_the_documents_are_enough_on_a_cluster(redis_cluster: Cluster) -> None:
    """Those of one server, and the two commands that say which slots are where."""
    page = Path("docs/operations.md").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^`(~segflow:\* .+)`$", page, re.MULTILINE)
    more = re.findall(r"`(\+cluster.+?)`", page)[0].replace("\\", "")
    for each in redis_cluster.servers:
        each.says("ACL SETUSER", "narrow", "on", ">secret", *rule.split(), *more.split())
    settings = Redis(url=redis_cluster.url, username="narrow", password=SecretStr("secret"))
    with servers(settings) as there:
        assert list(rights_findings(there, "segflow")) == []
        narrow = RedisStore(there, Keys("segflow", 1))
        narrow.wipe()
        narrow.acquire(HEAD, None)
        narrow.wipe()
        narrow.close()
        for each in redis_cluster.servers[:1]:
            each.says("ACL SETUSER", "narrow", "-hdel")
        (found,) = rights_findings(there, "segflow")
    assert "may not write" in found.message


def test_servers_are_reached_as_they_want_to_be(redis_cluster: Cluster) -> None:
    """By the name that they announce; by their address where they announce none though names are preferred."""
    try:
        for each in redis_cluster.servers:
            each.says("CONFIG SET", "cluster-preferred-endpoint-type", "hostname")
        for name, host in (("localhost", "localhost"), ("", "127.0.0.1")):
            for each in redis_cluster.servers:
                each.says("CONFIG SET", "cluster-announce-hostname", name)
            until(lambda host=host: _hosts(redis_cluster) == {host}, "the names do not get about")  # type: ignore[misc]
    finally:
        for each in redis_cluster.servers:
            each.says("CONFIG SET", "cluster-preferred-endpoint-type", "ip")


def _hosts(redis_cluster: Cluster) -> set[str]:
    """Of the servers that take writes, each of which answers there."""
    with servers(Redis(url=redis_cluster.url)) as there:
        found = there.each()
        assert all(client.ping() for client in found)
        return {client.connection_pool.connection_kwargs["host"] for client in found}
