"""Whether Redis lets segflow's user write, for `segflow doctor`: tried with commands that change nothing."""

from collections.abc import Iterator
from typing import Final

from redis.exceptions import NoPermissionError

from segflow.operations.finding import Finding
from segflow.state.redis_servers import RedisServers

WRITES: Final[tuple[tuple[str | int, ...], ...]] = (
    ("SETRANGE", 0, ""),
    ("HDEL", "-"),
    ("LREM", 0, "-"),
    ("ZREM", "-"),
    ("UNLINK",),
)
"""A write of each kind that commits make, with what follows the key. On a key that is not there each does nothing."""


def rights_findings(servers: RedisServers, prefix: str) -> Iterator[Finding]:
    """A failure where the user may not write; nothing where it may, or where something else is in the way.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    refused = []
    for client in servers.each():  # a server looks at the rights first, then whether it has the key
        pipeline = client.pipeline(transaction=False)
        for command, *rest in WRITES:
            pipeline.execute_command(str(command), f"{prefix}:never-there", *rest)  # type: ignore[no-untyped-call]
        refused += [each for each in pipeline.execute(raise_on_error=False) if isinstance(each, NoPermissionError)]
    if refused:
        yield Finding(
            name="redis",
            status="FAIL",
            message=f"segflow's user may not write: {refused[0]}",
            advice="Give it the rights that docs/operations.md names. Parked shards are tried again once a minute.",
        )
