"""The checks of `segflow doctor` on the servers of Redis: version, role, persistence, memory."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from segflow.operations.finding import Finding
from segflow.schemas.settings import Settings
from segflow.streams.health.redis_memory import RedisMemory
from segflow.streams.runtime.connections import address

REDIS_MIN: Final = (6, 2)
"""Older ones are out of support; the tests run on 7."""
STATUSES: Final = ("OK", "WARN", "FAIL")
"""From good to bad."""


def redis_findings(settings: Settings, infos: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    """The findings about the servers; `infos`: INFO of each that takes writes. Of several servers, the worst."""
    each = [list(_of_server(settings, info)) for info in infos]
    for findings in zip(*each, strict=True):
        yield max(findings, key=lambda finding: STATUSES.index(finding.status))


def _of_server(settings: Settings, info: dict[str, Any]) -> Iterator[Finding]:
    text = str(info["redis_version"])
    version = tuple(int(part) for part in text.split(".")[:2])
    message = f"{address(settings.redis)}: version {text}"
    if version < REDIS_MIN:
        yield Finding(
            name="redis", status="FAIL", message=message, advice="Use Redis {}.{} or later.".format(*REDIS_MIN)
        )
    elif info.get("role") == "slave":
        yield Finding(
            name="redis",
            status="FAIL",
            message=f"{message}, a replica",
            advice="Point redis.url at the primary: the worker writes.",
        )
    else:
        yield Finding(name="redis", status="OK", message=message)
    if info.get("aof_enabled"):
        yield Finding(name="persistence", status="OK", message="appendonly is on")
    else:
        yield Finding(
            name="persistence",
            status="WARN",
            message="appendonly is off: a restart of Redis loses what it holds",
            advice="Set appendonly yes (appendfsync everysec is enough). Without it every restart of Redis waits until "
            "all state is made again from Kafka; see recovery below.",
        )
    yield _memory(RedisMemory(int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))))
    yield _eviction(str(info.get("maxmemory_policy", "noeviction")), int(info.get("maxmemory", 0)))


def _memory(memory: RedisMemory) -> Finding:
    if not memory.limit_bytes:
        return Finding(name="memory", status="OK", message=f"{memory.used_bytes:,} bytes used, with no limit")
    message = f"{memory.used_bytes:,} of {memory.limit_bytes:,} bytes used (maxmemory)"
    if not memory.is_short:
        return Finding(name="memory", status="OK", message=message)
    return Finding(
        name="memory",
        status="FAIL" if memory.is_full else "WARN",
        message=f"{message}: Redis is full and refuses writes" if memory.is_full else message,
        advice="Raise maxmemory, or give Redis a larger machine. Workers go on by themselves then; nothing is lost.",
    )


def _eviction(policy: str, limit_bytes: int) -> Finding:
    message = (
        f"maxmemory-policy is {policy}, maxmemory is {limit_bytes:,} bytes"
        if limit_bytes
        else f"maxmemory-policy is {policy}, with no limit of memory"
    )
    if policy == "noeviction":
        return Finding(name="eviction", status="OK", message=message)
    return Finding(
        name="eviction",
        status="FAIL" if limit_bytes else "WARN",
        message=message,
        advice="Set maxmemory-policy noeviction: a customer that Redis evicts is forgotten.",
    )
