"""Failpoints: named points in a commit and in the acquisition of a shard, at which a test can stop this process.

`SEGFLOW_CRASH_AT=commit:published:3` kills the process when it reaches that point for the third time. A fourth part
says what happens instead of `kill`: `stop` (SIGSTOP, as a long pause of the whole machine) or `raise` (as if the reply
of the step just done had been lost). Read once, when the process starts; without it a point is an empty function.
"""

import os
import re
import signal
from collections.abc import Callable
from typing import Final

ENVIRONMENT: Final = "SEGFLOW_CRASH_AT"
COMMIT: Final = ("commit:prepared", "commit:produced", "commit:published", "commit:stored")
"""Worked out; produced, and the transaction open; the transaction committed; written to Redis."""
ACQUIRE: Final = (
    "acquire:fenced",
    "acquire:head-read",
    "acquire:one-copied",
    "acquire:recovered",
    "acquire:owned",
    "acquire:opened",
)
"""After each step of acquiring a shard; while its state is copied, also after each slice."""
OLDER: Final = ("acquire:one-replayed", "acquire:cleared")
"""Likewise, where the state topic is not complete yet: after each commit that was replayed; and where a state is made
anew, after the older one was cleared away."""
BACKUP: Final = ("snapshot:shard-written", "snapshot:shards-written", "restore:fenced", "restore:filled")
"""After each step of a snapshot, and of restoring a shard from one."""
RESHARD: Final = (
    "reshard:taken",
    "reshard:one-grown",
    "reshard:grown",
    "reshard:written",
    "reshard:swapped",
    "reshard:one-copied",
    "reshard:noted",
)
"""The old shards are fenced; a topic, and all of them, have their partitions; all is written, and the transaction open;
it is committed; a shard is in Redis; the installation is noted."""
SPECIFICATION: Final = re.compile(
    rf"({'|'.join(COMMIT + ACQUIRE + OLDER + BACKUP + RESHARD)}):([1-9]\d{{0,8}})(?::(kill|stop|raise))?"
)


class _Armed:
    """Stops the process when `point` is reached for the `nth` time."""

    def __init__(self, specification: str) -> None:
        found = SPECIFICATION.fullmatch(specification)
        if found is None:
            raise ValueError(f"{ENVIRONMENT}={specification} is not POINT:NTH[:kill|stop|raise]")
        self._point, self._left, self._action = found[1], int(found[2]), found[3] or "kill"

    def __call__(self, point: str) -> None:
        if point != self._point:
            return
        self._left -= 1
        if self._left:
            return
        if self._action == "raise":
            raise ConnectionResetError(f"{ENVIRONMENT}: the reply at {point} was lost")
        os.kill(os.getpid(), signal.SIGKILL if self._action == "kill" else signal.SIGSTOP)


def _unarmed(point: str) -> None:
    """Do nothing: the failpoint where no test asks for more."""


def armed(specification: str | None) -> Callable[[str], None]:
    """The function `failpoint` for a specification; None: one that does nothing.

    Raises:
        ValueError: the specification cannot be parsed.
    """
    return _Armed(specification) if specification else _unarmed


failpoint: Final = armed(os.environ.get(ENVIRONMENT))
"""Say that the named point was reached."""
