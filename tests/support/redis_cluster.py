"""A Redis Cluster on this machine: three primaries, with or without a replica each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from redis import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import RedisError

from segflow.embedded.redis_program import RedisProgram
from segflow.embedded.redis_server import RedisServer
from tests.conftest import started_or_skipped
from tests.support.until import until

PRIMARIES: Final = 3
BATCH: Final = 20
"""Keys moved at once."""
MOVE_TIMEOUT_MS: Final = 10_000


class ClusterServer(RedisServer):
    """One server of a cluster, alone until it meets others. It comes back with its slots and what it held."""

    port_count = 2  # the second for the other servers: by default it would be 10,000 above the first, if there is one

    def __init__(self, program: RedisProgram | None, node_timeout_ms: int) -> None:
        super().__init__(
            program=program,
            appendonly=True,
            options={
                "cluster-enabled": "yes",
                "cluster-node-timeout": str(node_timeout_ms),
                "cluster-replica-validity-factor": "0",  # however long a replica heard nothing, it may take over
                "repl-diskless-sync-delay": "0",
            },
        )

    def _command(self) -> list[str]:
        return [*super()._command(), "--cluster-port", str(self.ports[1])]

    @property
    def client(self) -> Redis:
        """A client of this server alone."""
        return Redis(port=self.ports[0], socket_timeout=10)

    def says(self, *command: Any) -> Any:
        """Its answer."""
        with self.client as client:
            return client.execute_command(*command)

    @property
    def id(self) -> str:
        """Its name among the servers."""
        return str(self.says("CLUSTER MYID").decode())


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The servers: primaries first, as they were at the start."""

    servers: list[ClusterServer]

    @property
    def url(self) -> str:
        """The address for segflow."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{each.ports[0]}" for each in self.servers)

    def running(self) -> list[ClusterServer]:
        """The servers that have not been killed."""
        return [each for each in self.servers if each.running]

    def is_up(self) -> bool:
        """Whether every running server says so, and knows all that run."""
        try:
            return all(
                each.says("CLUSTER INFO")["cluster_state"] == "ok"
                and int(each.says("CLUSTER INFO")["cluster_known_nodes"]) >= len(self.servers)
                for each in self.running()
            )
        except RedisError:
            return False

    def is_copied(self) -> bool:
        """Whether every replica that runs has what its primary has."""
        roles = [each.says("ROLE") for each in self.running()]
        return all(role[0] == b"master" or role[3] == b"connected" for role in roles)

    def primary_of(self, key: str) -> ClusterServer:
        """The server that has the key."""
        slot = key_slot(key.encode())
        for first, last, primary, *_ in self.running()[0].says("CLUSTER SLOTS"):
            if first <= slot <= last:
                return next(each for each in self.servers if each.ports[0] == int(primary[1]))
        raise LookupError(f"nobody has slot {slot}")

    def replica_of(self, primary: ClusterServer) -> ClusterServer:
        """A running replica of that server."""
        port = primary.ports[0]
        found = [(each, each.says("ROLE")) for each in self.running()]
        return next(each for each, role in found if role[0] == b"slave" and role[2] == port)

    def others(self, one: ClusterServer) -> list[ClusterServer]:
        """The primaries beside that one."""
        return [each for each in self.running() if each is not one and each.says("ROLE")[0] == b"master"]

    def begin_to_move(self, key: str, to: ClusterServer) -> None:
        """The slot of `key` is on its way; none of its keys has gone yet."""
        slot, source = key_slot(key.encode()), self.primary_of(key)
        to.says("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        source.says("CLUSTER SETSLOT", slot, "MIGRATING", to.id)

    def move_keys(self, key: str, to: ClusterServer, most: int | None = None) -> int:
        """Keys of the slot go, `most` at the most; how many did."""
        slot, source, moved = key_slot(key.encode()), self.primary_of(key), 0
        while most is None or moved < most:
            count = BATCH if most is None else min(BATCH, most - moved)
            keys = source.says("CLUSTER GETKEYSINSLOT", slot, count)
            if not keys:
                break
            source.says("MIGRATE", "127.0.0.1", to.ports[0], "", 0, MOVE_TIMEOUT_MS, "KEYS", *keys)
            moved += len(keys)
        return moved

    def end_move(self, key: str, to: ClusterServer) -> None:
        """The slot is the other server's, and everybody knows."""
        slot, name = key_slot(key.encode()), to.id
        for each in [to, *(each for each in self.others(to))]:
            each.says("CLUSTER SETSLOT", slot, "NODE", name)
        until(lambda: self.primary_of(key) is to, "the slot does not go")

    def move(self, key: str, to: ClusterServer) -> None:
        """The slot of `key` goes to another server, as `redis-cli --cluster reshard` moves it."""
        self.begin_to_move(key, to)
        self.move_keys(key, to)
        self.end_move(key, to)


@contextmanager
def cluster(
    *, replicas: int = 0, program: Callable[[], RedisProgram] | None = None, node_timeout_ms: int = 15_000
) -> Iterator[Cluster]:
    """Three primaries, each with so many replicas, which have all slots.

    Args:
        replicas: of each primary.
        program: by default the Redis of this machine.
        node_timeout_ms: after it a silent server counts as dead.
    """
    with ExitStack() as stack:

        def started() -> ClusterServer:
            made = started_or_skipped(lambda: ClusterServer(program() if program else None, node_timeout_ms))
            return stack.enter_context(closing(made))

        servers = [started() for _ in range(PRIMARIES * (1 + replicas))]
        bounds = [REDIS_CLUSTER_HASH_SLOTS * number // PRIMARIES for number in range(PRIMARIES + 1)]
        for number, (each, (first, end)) in enumerate(zip(servers, pairwise(bounds), strict=False), 1):
            each.says("CLUSTER SET-CONFIG-EPOCH", number)
            each.says("CLUSTER ADDSLOTSRANGE", first, end - 1)
        for each in servers[1:]:
            each.says("CLUSTER MEET", "127.0.0.1", servers[0].ports[0], servers[0].ports[1])
        found = Cluster(servers=servers)
        until(lambda: all(_knows(each, len(servers)) for each in servers), "the servers do not find each other")
        for number, each in enumerate(servers[PRIMARIES:]):
            primary = servers[number % PRIMARIES]
            until(lambda each=each, primary=primary: _follows(each, primary), "no replica")  # type: ignore[misc]
        until(found.is_up, "the cluster does not come up")
        until(found.is_copied, "the replicas do not copy")
        yield found


def _knows(server: ClusterServer, count: int) -> bool:
    return int(server.says("CLUSTER INFO")["cluster_known_nodes"]) >= count


def _follows(server: ClusterServer, primary: ClusterServer) -> bool:
    try:
        server.says("CLUSTER REPLICATE", primary.id)
    except RedisError:  # it does not know the primary yet
        return False
    return True
