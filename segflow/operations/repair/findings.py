"""The findings of an audit, shard by shard and in all."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

PROBLEMS_MAX: Final = 20
"""Texts kept a shard and kind: the counts say how many there are."""


@dataclass(kw_only=True, slots=True)
class ShardAudit:
    """The findings in one shard. Counts, unless a comment says otherwise."""

    shard: int
    commits: int = 0  # replayed; where that cannot be, read in the journal
    events: int = 0  # usable records, repeats too
    changes: int = 0  # published, as found
    lost: int = 0  # a commit gave it, and it is not there
    repeated: int = 0  # there again
    reordered: int = 0  # behind one that was to come later
    altered: int = 0  # there with other content
    foreign: int = 0  # no commit gave it
    broken: int = 0  # places where a customer's chain does not go on from the change before
    in_two_shards: int = 0  # customers who stand in an earlier shard, too
    dead_letters: int = 0  # published, as found
    dead_letters_lost: int = 0
    dead_letters_repeated: int = 0
    dead_letters_foreign: int = 0
    alerts: int = 0  # published, as found
    alerts_lost: int = 0
    alerts_repeated: int = 0
    alerts_foreign: int = 0  # or with other content
    expired: int = 0  # changes older than the oldest that the topic still keeps
    unread: int = 0  # input offsets beyond the last commit
    state_differences: int = 0  # of Redis, where that was compared
    complete: bool = True  # all of it was compared
    problems: list[str] = field(default_factory=list)  # what is wrong, at most PROBLEMS_MAX of a kind
    unchecked: list[str] = field(default_factory=list)  # what could not be looked at, and why
    versions: list[str] = field(default_factory=list)  # where commits of two versions of segflow meet

    def report(self, texts: Iterable[str]) -> None:
        """Problems of one kind."""
        self.problems += islice(texts, PROBLEMS_MAX)

    @property
    def clean(self) -> bool:
        """Nothing wrong was found."""
        return not self.problems


COUNTS: Final = tuple(
    name for name in ShardAudit.__slots__ if name not in ("shard", "complete", "problems", "unchecked", "versions")
)


@dataclass(kw_only=True, slots=True)
class Audit:
    """The findings in all shards."""

    shards: list[ShardAudit]

    def total(self, name: str) -> int:
        """The sum of one of COUNTS."""
        return sum(getattr(shard, name) for shard in self.shards)

    @property
    def clean(self) -> bool:
        """Nothing wrong was found."""
        return all(shard.clean for shard in self.shards)

    @property
    def complete(self) -> bool:
        """Every change ever published was compared."""
        return all(shard.complete for shard in self.shards)

    @property
    def problems(self) -> list[str]:
        """Sentences on what is wrong, shard by shard."""
        return [f"shard {shard.shard}: {text}" for shard in self.shards for text in shard.problems]

    @property
    def unchecked(self) -> list[str]:
        """Sentences on what could not be checked, and why."""
        return [f"shard {shard.shard}: {text}" for shard in self.shards for text in shard.unchecked]

    @property
    def versions(self) -> list[str]:
        """The places where commits of two versions of segflow meet, shard by shard."""
        return [f"shard {shard.shard}: {text}" for shard in self.shards for text in shard.versions]

    @property
    def exit_code(self) -> int:
        """0 clean, 1 something is wrong, 2 not all could be looked at."""
        if not self.clean:
            return 1
        return 2 if self.unchecked else 0

    def as_json(self) -> dict[str, Any]:
        """All of it, for a program."""
        counts = {name: self.total(name) for name in COUNTS}
        rest = {"complete": self.complete, "problems": self.problems, "unchecked": self.unchecked}
        return {"shards": len(self.shards)} | counts | rest | {"versions": self.versions}
