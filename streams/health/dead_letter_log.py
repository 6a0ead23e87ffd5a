"""Reports of records that cannot be used: in the log, and among the warnings of /ready."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from segflow.engine.commit.execute import CommitResult

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
"""Between two lines of the log: the first comes at once, and a flood of bad records is one line a minute."""


@dataclass(slots=True)
class Tally:
    """The counts of one period."""

    records: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class DeadLetterLog:
    """One a worker. `clock`: seconds that only grow."""

    clock: Callable[[], float] = time.monotonic
    _now: Tally = field(default_factory=Tally)  # this period
    _before: Tally = field(default_factory=Tally)  # the one before it
    _since_s: float = float("-inf")  # when this period began
    _told_s: float = float("-inf")  # the last line of the log
    _untold: Counter[str] = field(default_factory=Counter)  # since then
    _first: bytes | None = None  # the first of those

    def committed(self, result: CommitResult, records: int) -> None:
        """A commit read so many records."""
        self._turn()
        self._now.records += records
        self._now.kinds.update(result.dead_kinds)
        if result.dead_kinds:
            self._untold.update(result.dead_kinds)
            self._first = self._first or result.dead[0].value
        if self._untold and self.clock() - self._told_s >= EVERY_S:
            self._tell()

    def warnings(self) -> list[str]:
        """Warnings about the last one to two minutes; empty where every record could be used."""
        self._turn()
        kinds = self._before.kinds + self._now.kinds
        records = self._before.records + self._now.records
        if not kinds:
            return []
        return [f"{kinds.total():,} of the latest {records:,} records could not be used: {_counted(kinds)}"]

    def share(self) -> float:
        """Of the records of the last one to two minutes, how many could not be used: 0 to 1."""
        self._turn()
        records = self._before.records + self._now.records
        return (self._before.kinds.total() + self._now.kinds.total()) / records if records else 0.0

    def _turn(self) -> None:
        """Begin a new period where this one is over."""
        now_s = self.clock()
        if now_s - self._since_s < EVERY_S:
            return
        old = now_s - self._since_s >= 2 * EVERY_S
        self._before, self._now, self._since_s = Tally() if old else self._now, Tally(), now_s

    def _tell(self) -> None:
        letter = msgspec.json.decode(self._first or b"{}")
        log.warning(
            "%d records could not be used and are dead letters: %s. The first: %s, partition %s, offset %s: %s",
            self._untold.total(),
            _counted(self._untold),
            letter.get("topic"),
            letter.get("partition"),
            letter.get("offset"),
            letter.get("reason"),
        )
        self._told_s, self._untold, self._first = self.clock(), Counter(), None


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
