"""The connection to Redis: redis-py with the settings' address, certificates, password and timeout."""

from typing import Any

import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from segflow.schemas.connection_settings import Redis
from segflow.schemas.redis_url import ClusterAddress, SentinelAddress, cluster_address, sentinel_address
from segflow.state.redis_cluster import Place, RedisCluster
from segflow.state.redis_servers import OneServer, RedisServers


def servers(settings: Redis) -> RedisServers:
    """The servers at the settings' address. None is asked anything yet.

    Raises:
        ValueError: the address is none.
    """
    cluster = cluster_address(settings.url)
    return OneServer(client(settings)) if cluster is None else _of_cluster(cluster, settings)


def client(settings: Redis) -> redis.Redis:
    """A client of one server. Like all here, it never retries by itself.

    With sentinels, each new connection asks them which server is the primary.

    Raises:
        ValueError: the address is none, or one of a cluster.
    """
    address = sentinel_address(settings.url)
    if address is not None:
        return _by_sentinels(address, settings)
    return redis.Redis.from_url(settings.url, **_bounds(settings), **_user(settings.username, settings.password))


def _of_cluster(address: ClusterAddress, settings: Redis) -> RedisServers:
    """The cluster's servers. A user in the settings comes before one in the address."""
    user = _user(address.username, address.password) | _user(settings.username, settings.password)
    options = _bounds(settings) | ({"ssl": True} if address.tls else {}) | user

    def client_of(place: Place) -> redis.Redis:
        host, port = place
        return redis.Redis(host=host, port=port, **options)

    return RedisCluster(address.hosts, client_of)


def _by_sentinels(address: SentinelAddress, settings: Redis) -> redis.Redis:
    """The primary's client. A user in the settings comes before one in the address."""
    common = _bounds(settings) | ({"ssl": True} if address.tls else {})
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        address.hosts,
        sentinel_kwargs=common | _user(settings.sentinel_username, settings.sentinel_password),
        **(common | _user(address.username, address.password) | _user(settings.username, settings.password)),
    )
    found: redis.Redis = sentinels.master_for(address.service, db=address.database)  # type: ignore[no-untyped-call]
    return found


def _bounds(settings: Redis) -> dict[str, Any]:
    """Timeouts, retries and trust, the same of servers and sentinels."""
    timeout_s = settings.timeout.total_seconds()
    bounds = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "retry": Retry(NoBackoff(), 0)}
    return bounds if settings.tls_ca is None else bounds | {"ssl_ca_certs": settings.tls_ca}


def _user(username: str | None, password: SecretStr | str | None) -> dict[str, str]:
    """The name and the password, each if it is given."""
    secret = password.get_secret_value() if isinstance(password, SecretStr) else password
    return {key: value for key, value in (("username", username), ("password", secret)) if value is not None}
