"""A Redis sentinel, and a primary with replicas that three of them watch."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from segflow.embedded.redis_program import RedisProgram
from segflow.embedded.redis_server import RedisServer
from segflow.embedded.server_process import ServerProcess, ServerT
from tests.conftest import started_or_skipped
from tests.support.until import until

SERVICE: Final = "shop"
QUORUM: Final = 2
DOWN_AFTER_MS: Final = 1000
"""Silence after which a sentinel takes the primary for dead; a default of 30 s would make the tests wait."""


class RedisSentinel(ServerProcess):
    """One sentinel, which watches the primary at that port."""

    name = "Redis Sentinel"

    def __init__(self, program: RedisProgram, primary: int) -> None:
        super().__init__(start_timeout_s=30)
        self._program = program
        self._primary = primary

    @property
    def description(self) -> str:
        """The server's name and version, for people."""
        return str(self._program)

    def _command(self) -> list[str]:
        file = self.folder / "sentinel.conf"  # a sentinel writes into it what it learns
        if not file.exists():
            file.write_text(
                f"port {self.ports[0]}\nbind 127.0.0.1\ndir {self.folder}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {self._primary} {QUORUM}\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {SERVICE} 10000\n",
                encoding="utf-8",
            )
        return [str(self._program.path), str(file), "--sentinel"]

    def _answers(self) -> bool:
        with Redis(port=self.ports[0], socket_timeout=2) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A primary and its replicas under sentinels."""

    servers: list[RedisServer]
    sentinels: list[RedisSentinel]

    @property
    def url(self) -> str:
        """The address for segflow."""
        hosts = ",".join(f"127.0.0.1:{each.ports[0]}" for each in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def primary(self) -> RedisServer:
        """The server that the first sentinel takes for the primary."""
        with Redis(port=self.sentinels[0].ports[0], socket_timeout=2) as client:
            _, port = client.sentinel_get_master_addr_by_name(SERVICE)
        return next(each for each in self.servers if each.ports[0] == int(port))

    def fail_over(self) -> None:
        """Have the sentinels make another server the primary, as soon as they can."""
        until(self.knows_all, "a server is missing")

        def ordered() -> bool:
            with Redis(port=self.sentinels[0].ports[0], socket_timeout=2) as client:
                try:
                    client.execute_command("SENTINEL", "FAILOVER", SERVICE)
                except RedisError:  # no replica is good enough yet, or a failover is under way
                    return False
            return True

        until(ordered, "the sentinels do not fail over")

    def knows_all(self) -> bool:
        """Whether every sentinel knows the others and both replicas, so that it can fail over."""
        for each in self.sentinels:
            with Redis(port=each.ports[0], socket_timeout=2) as client:
                seen = client.sentinel_master(SERVICE)
            if seen["num-other-sentinels"] < len(self.sentinels) - 1 or seen["num-slaves"] < len(self.servers) - 1:
                return False
        return True


@contextmanager
def watched() -> Iterator[Watched]:
    """A primary, two replicas and three sentinels, which know each other."""
    with ExitStack() as stack:

        def started(make: Callable[[], ServerT]) -> ServerT:
            return stack.enter_context(closing(started_or_skipped(make)))

        first = started(lambda: RedisServer(appendonly=True))
        follow = {"replicaof": f"127.0.0.1 {first.ports[0]}"}
        servers = [first, *(started(lambda: RedisServer(options=follow)) for _ in range(2))]
        sentinels = [started(lambda: RedisSentinel(first.program, first.ports[0])) for _ in range(3)]
        found = Watched(servers=servers, sentinels=sentinels)
        until(found.knows_all, "the sentinels do not find each other")
        yield found
