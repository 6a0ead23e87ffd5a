"""Real servers for the tests: one Apache Kafka and one Redis a session, started when a test first asks for them."""

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final

import pytest
from hypothesis import settings
from redis import Redis

from segflow.embedded.kafka import ApacheKafka
from segflow.embedded.options import UnavailableError, real_is_required
from segflow.embedded.redis_server import RedisServer
from segflow.embedded.server_process import ServerT, started
from tests.support.trials import CI, DEV, DEV_EXAMPLES

# No deadlines: how long an example takes says how busy a machine is. `--hypothesis-profile` overrides the choice.
settings.register_profile(CI, deadline=None)
settings.register_profile(DEV, max_examples=DEV_EXAMPLES, deadline=None)
settings.load_profile(CI if os.environ.get("CI") or real_is_required() else DEV)

# A shell starts what it puts in the background with SIGINT ignored, and the commands under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of commands start from here. Where this is set, each compiles all of segflow again: a quarter of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


LONG: Final = ("faults", "acceptance", "integration")
"""Folders with files that take minutes. They come first, so that the short files share out what is left in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the folders; within each, tests stay as they stand."""
    items.sort(key=lambda item: LONG.index(item.path.parent.name) if item.path.parent.name in LONG else len(LONG))


def started_or_skipped(make: Callable[[], ServerT]) -> ServerT:
    """The server, answering; else the test is skipped with the reason, or fails where SEGFLOW_REQUIRE_REAL is set."""
    try:
        return started(make())
    except UnavailableError as reason:
        if real_is_required():
            raise
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def kafka() -> Iterator[ApacheKafka]:
    """The session's Apache Kafka. Its topics are shared: use `unique_prefix`."""
    with closing(started_or_skipped(ApacheKafka)) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The session's Redis. Its data is shared: use `redis_db`."""
    with closing(started_or_skipped(RedisServer)) as server:
        yield server


@pytest.fixture
def unique_prefix() -> str:
    """A start for names (topics, groups) that no other test uses."""
    return f"t{secrets.token_hex(4)}-"


@pytest.fixture
def redis_db(redis_server: RedisServer) -> str:
    """The URL of an empty database of the session's Redis."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url
