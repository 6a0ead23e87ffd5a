"""What is said of servers: where they are, and never a user or a password."""

import pytest
from pydantic import SecretStr
from redis.connection import SSLConnection

from segflow.schemas.connection_settings import Redis
from segflow.schemas.settings_file import SettingsError, parse
from segflow.state.redis_cluster import RedisCluster
from segflow.state.redis_connection import client, servers
from segflow.streams.runtime.connections import address

HIDDEN = "hunter2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6380/3", "redis://127.0.0.1:6380/3"),
        ("redis://redis", "redis://redis:6379/0"),
        (f"redis://:{HIDDEN}@redis:6379/0", "redis://redis:6379/0"),
        (f"rediss://admin:{HIDDEN}@redis/1", "rediss://redis:6379/1"),
        (f"redis://redis/0?password={HIDDEN}", "redis://redis:6379/0"),
        (f"redis://redis/0?username=admin&password={HIDDEN}%40x", "redis://redis:6379/0"),
        (f"redis://redis/0?password=x@{HIDDEN}", "redis://redis:6379/0"),
        (f"redis://a:b@redis/0?password={HIDDEN}@x", "redis://redis:6379/0"),
        (f"unix:///run/redis.sock?password={HIDDEN}", "unix:///run/redis.sock"),
        (f"redis://redis:notaport/0?password={HIDDEN}", "redis://…"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis+sentinel://a:26380,b/shop", "redis+sentinel://a:26380,b:26379/shop/0"),
        (f"rediss+sentinel://admin:{HIDDEN}@a,[::1]:5/shop/3", "rediss+sentinel://a:26379,[::1]:5/shop/3"),
        ("redis+cluster://a:7000,b", "redis+cluster://a:7000,b:6379"),
        (f"rediss+cluster://admin:{HIDDEN}@a,[::1]:5/0", "rediss+cluster://a:6379,[::1]:5"),
    ],
)
def test_the_address_of_redis_is_said_without_whoever_may_use_it(url: str, shown: str) -> None:
    """A password may stand before the host or in the query; redis-py takes both."""
    found = address(Redis(url=url))
    assert found == shown
    assert HIDDEN not in found


@pytest.mark.parametrize(
    "wrong",
    [
        f"redis+sentinel://:{HIDDEN}@a:26379",
        f"redis+sentinel://:{HIDDEN}@/shop/0",
        f"redis+sentinel://:{HIDDEN}@a:26379,/shop",
        f"redis+sentinel://:{HIDDEN}@a:26379:1/shop",
        f"redis+sentinel://:{HIDDEN}@a/shop/zero",
        f"redis+sentinel://:{HIDDEN}@a/shop/0/1",
    ],
)
def test_an_address_of_sentinels_that_lacks_something_is_refused_and_not_repeated(wrong: str) -> None:
    """The message shows one that is whole."""
    with pytest.raises(SettingsError, match=r"redis\.url: must name sentinels as in redis\+sentinel://") as refused:
        parse({"redis": {"url": wrong}}, name="settings", environment={})
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        f"redis+cluster://:{HIDDEN}@",
        f"redis+cluster://:{HIDDEN}@a,",
        f"redis+cluster://:{HIDDEN}@a:1:2",
        f"redis+cluster://:{HIDDEN}@a/1",
        f"redis+cluster://:{HIDDEN}@a/0?db=1",
    ],
)
def test_an_address_of_a_cluster_that_is_none_is_refused_and_not_repeated(wrong: str) -> None:
    """A database other than 0, too: a cluster has no other."""
    with pytest.raises(SettingsError, match=r"redis\.url: must name servers of a cluster as in redis") as refused:
        parse({"redis": {"url": wrong}}, name="settings", environment={})
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize("prefix", ["shop{1}", "{shop}", "shop}"])
def test_a_prefix_that_would_take_the_place_of_a_shard_s_hash_tag_is_refused(prefix: str) -> None:
    """All shards would be one slot, or a shard several."""
    with pytest.raises(SettingsError, match=r"redis\.prefix"):
        parse({"redis": {"prefix": prefix}}, name="settings", environment={})


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("foo=1", "has an option 'foo' that segflow does not take"),
        ("socket_timeout=1", "has an option 'socket_timeout' that segflow does not take"),
        ("db=x", "has an option db with a value that it cannot have"),
        ("ssl_cert_reqs=maybe", "has an option ssl_cert_reqs with a value that it cannot have"),
    ],
)
def test_an_option_in_the_address_that_redis_would_not_take_is_refused_when_settings_load(
    query: str, told: str
) -> None:
    """Redis' client raises a TypeError of its own at the first connection."""
    with pytest.raises(SettingsError, match=rf"redis\.url: {told}") as refused:
        parse({"redis": {"url": f"redis://h/0?password={HIDDEN}&{query}"}}, name="settings", environment={})
    assert HIDDEN not in str(refused.value)


def test_servers_and_sentinels_each_get_their_own_user() -> None:
    """What stands in the settings wins over what stands in the address; the sentinels get neither."""
    settings = Redis(
        url="rediss+sentinel://old:past@a,b:26380/shop/2",
        username="segflow",
        password=SecretStr(HIDDEN),
        sentinel_username="looker",
        sentinel_password=SecretStr("other"),
    )
    with client(settings) as connected:
        pool = connected.connection_pool
        assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("segflow", HIDDEN)
        assert pool.connection_kwargs["db"] == 2
        asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
        assert [(each["host"], each["port"]) for each in asked] == [("a", 26379), ("b", 26380)]
        assert {(each["username"], each["password"]) for each in asked} == {("looker", "other")}


def test_every_server_of_a_cluster_gets_the_same_user_and_is_asked_once() -> None:
    """What stands in the settings wins over what stands in the address; nothing is repeated, nothing waits for ever."""
    settings = Redis(url="rediss+cluster://old:past@a,b:7000", username="segflow", password=SecretStr(HIDDEN))
    with servers(settings) as there:
        assert isinstance(there, RedisCluster)
        pool = there._client(("c", 7001)).connection_pool
    assert pool.connection_class is SSLConnection
    kwargs = pool.connection_kwargs
    assert (kwargs["host"], kwargs["port"], kwargs["username"], kwargs["password"]) == ("c", 7001, "segflow", HIDDEN)
    assert (kwargs["retry"].get_retries(), kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (0, 3.0, 3.0)


@pytest.mark.parametrize("wrong", [f"admin:{HIDDEN}@kafka:9092", f"kafka:9092,x:{HIDDEN}@kafka:9092"])
def test_a_user_in_the_address_of_kafka_is_refused_and_not_repeated(wrong: str) -> None:
    """Kafka's clients know no such address, and four commands would print it."""
    with pytest.raises(SettingsError, match=r"kafka\.address: must be host:port without a user") as refused:
        parse({"kafka": {"address": wrong}}, name="settings", environment={})
    assert HIDDEN not in str(refused.value)
