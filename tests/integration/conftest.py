"""What the integration tests share: an empty store of each kind."""

from collections.abc import Iterator

import pytest

from segflow.schemas.connection_settings import Redis
from segflow.state.keys import Keys
from segflow.state.memory import MemoryStore
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.state.store import Store


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    connected = client(Redis(url=request.getfixturevalue("redis_db")))
    redis_store = RedisStore(connected, Keys("test", 3))
    redis_store.wipe()
    yield redis_store
    redis_store.close()
    connected.close()
