"""The connection to Redis: redis-py with the settings' address, certificates, password and timeout."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from segflow.schemas.connection_settings import Redis
from segflow.schemas.redis_url import SentinelAddress, sentinel_address


def client(settings: Redis) -> redis.Redis:
    """A client that never retries by itself: whoever commits looks before repeating (docs/architecture.md).

    With sentinels, each new connection asks them which server is the primary.

    Raises:
        ValueError: the address is none.
    """
    options = _options(settings)
    if settings.username is not None:
        options["username"] = settings.username
    if settings.password is not None:
        options["password"] = settings.password.get_secret_value()
    address = sentinel_address(settings.url)
    if address is None:
        return redis.Redis.from_url(settings.url, **options)
    return _by_sentinels(address, options, settings)


def _options(settings: Redis) -> dict[str, Any]:
    """Those of servers and sentinels."""
    timeout_s = settings.timeout.total_seconds()
    options = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "retry": Retry(NoBackoff(), 0)}
    return options if settings.tls_ca is None else options | {"ssl_ca_certs": settings.tls_ca}


def _by_sentinels(address: SentinelAddress, options: dict[str, Any], settings: Redis) -> redis.Redis:
    tls = {"ssl": True} if address.tls else {}
    of_url = {key: value for key in ("username", "password") if (value := getattr(address, key))}
    of_sentinels = {"username": settings.sentinel_username}
    if settings.sentinel_password is not None:
        of_sentinels["password"] = settings.sentinel_password.get_secret_value()
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        address.hosts,
        sentinel_kwargs=_options(settings) | tls | {key: value for key, value in of_sentinels.items() if value},
        **(tls | of_url | options),
    )
    found: redis.Redis = sentinels.master_for(address.service, db=address.database)  # type: ignore[no-untyped-call]
    return found
