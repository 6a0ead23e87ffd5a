"""What the integration tests share: an empty store of each kind."""

from collections.abc import Iterator

import pytest

from schemas.connection_settings import Redis
from state.keys import Keys
from state.memory import MemoryStore
from state.redis import RedisStore
from state.redis_connection import client
from state.store import Store


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
