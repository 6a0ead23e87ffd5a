"""What the fault tests share: a broker of their own with a proxy that injects faults, installations, a printed seed."""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from segflow.embedded.redis_server import RedisServer
from tests.conftest import started_or_skipped
from tests.faults.installation import Installation, Make
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.proxy import Proxy

SEED = "SEGFLOW_TEST_SEED"


@pytest.fixture
def seed() -> int:
    """What the test's random choices follow from; shown with a failure, given again by SEGFLOW_TEST_SEED."""
    chosen = int(os.environ.get(SEED) or secrets.randbelow(2**31))
    print(f"{SEED}={chosen}")  # noqa: T201 - pytest shows it with a failure
    return chosen


@pytest.fixture(scope="session")
def hurt_kafka() -> Iterator[ProxiedKafka]:
    """A broker that tests may kill, pause and cut off; whoever does restores it."""
    with Proxy(0) as wire, closing(started_or_skipped(lambda: ProxiedKafka(wire))) as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for one test, to kill and to wipe; it saves nothing unless told to."""
    with closing(started_or_skipped(RedisServer)) as server:
        yield server


@pytest.fixture
def installation(tmp_path: Path, hurt_kafka: ProxiedKafka, redis_db: str, unique_prefix: str) -> Make:
    """Makes an installation on the tests' broker."""

    def make(
        *,
        redis: str | None = None,
        redis_timeout: str = "10s",
        proxied: bool = False,
        partitions: int = 2,
        name: str = "",
        **content: object,
    ) -> Installation:
        return Installation(
            tmp_path,
            direct=hurt_kafka.address,
            address=hurt_kafka.proxied_address if proxied else hurt_kafka.address,
            redis=redis or redis_db,
            redis_timeout=redis_timeout,
            prefix=unique_prefix + name,
            partitions=partitions,
            content=content,
        )

    return make
