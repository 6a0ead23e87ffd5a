"""Workers of one installation that share its shards."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from benchmarks.installation import PARTITIONS, Installation, WorkerProcess
from segflow.embedded.free_port import free_ports

GIVE_UP_S: Final = 120.0
"""For the workers to have divided the shards: a rebalance takes seconds."""


@dataclass(frozen=True)
class Member:
    """One of the workers."""

    worker: WorkerProcess
    port: int

    def shards(self) -> list[int]:
        """Those it says it has taken, once it is ready."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            answer: dict[str, Any] = json.load(connection.getresponse())
        except (OSError, HTTPException):
            return []
        finally:
            connection.close()
        return list(answer["shards"]) if answer["ready"] else []


@contextmanager
def member(site: Installation, name: str) -> Iterator[Member]:
    """A worker of this name, while the block lasts."""
    (port,) = free_ports(1)
    with site.worker(name, http_port=port) as worker:
        yield Member(worker, port)


def wait_until_shared(members: Sequence[Member]) -> None:
    """Until every shard is acquired, and each worker has at least one.

    Raises:
        WorkerFailedError: that takes longer than GIVE_UP_S.
    """

    def is_shared() -> bool:
        shares = [member.shards() for member in members]
        return all(shares) and sorted(shard for share in shares for shard in share) == list(range(PARTITIONS))

    members[0].worker.wait_for(is_shared, "share the shards", GIVE_UP_S)
