"""The connection to Redis: redis-py with the settings' address, certificates, password and timeout."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from segflow.schemas.connection_settings import Redis


def client(settings: Redis) -> redis.Redis:
    """A client that never retries by itself: whoever commits looks before repeating (docs/architecture.md).

    Raises:
        ValueError: the address is none.
    """
    options: dict[str, Any] = {}
    if settings.username is not None:
        options["username"] = settings.username
    if settings.password is not None:
        options["password"] = settings.password.get_secret_value()
    if settings.tls_ca is not None:
        options["ssl_ca_certs"] = settings.tls_ca
    timeout_s = settings.timeout.total_seconds()
    return redis.Redis.from_url(
        settings.url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        **options,
    )
