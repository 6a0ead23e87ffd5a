"""The argument of every benchmark: servers, sizes, and a place to say what goes on."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Self

from segflow.embedded.broker import Broker, broker
from segflow.embedded.redis_server import RunningRedis, redis
from segflow.schemas.settings import BUILT_IN, Settings

KAFKA_HEAP_MB = 1024
"""Of the embedded broker: the whole of it is in use at full rate, and 512 MB shows in its collector's pauses."""


@dataclass(kw_only=True)
class Bench:
    """One run of benchmarks. Servers start when first asked for and end with the run."""

    quick: bool = False  # shrink everything: only shows that it works
    customers: int | None = None  # in place of a benchmark's own number
    events: int | None = None
    all_dimensions: bool = False  # else those that are on by default
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions of the settings."""
        return tuple(BUILT_IN) if self.all_dimensions else Settings().dimensions

    @cached_property
    def kafka(self) -> Broker:
        """The broker: Apache Kafka or the one SEGFLOW_KAFKA names."""
        chosen = self._open.enter_context(broker(memory_mb=KAFKA_HEAP_MB, optimised=True, announce=self.say))
        self.say(f"Kafka: {chosen.description}")
        return chosen

    @cached_property
    def redis(self) -> RunningRedis:
        """Redis: from the PATH or the one SEGFLOW_REDIS names."""
        chosen = self._open.enter_context(redis())
        self.say(f"Redis: {chosen.description}")
        return chosen

    def say(self, line: str) -> None:
        """One line of progress, on standard error."""
        sys.stderr.write(f"  {line}\n")
        sys.stderr.flush()

    def sized(self, given: int | None, full: int, quick: int) -> int:
        """A size: what was asked for, or by whether this is a quick run."""
        return given or (quick if self.quick else full)

    def servers(self) -> dict[str, str]:
        """Descriptions of the servers that were started, for the results."""
        return {name: getattr(self, name).description for name in ("kafka", "redis") if name in self.__dict__}


def pid_of(server: Broker | RunningRedis) -> int | None:
    """Its process, None where somebody else runs it."""
    return getattr(server, "pid", None)
