"""The journal by itself: that each commit goes on from the one before, and how much they published."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from segflow.operations.repair.findings import ShardAudit
from segflow.operations.repair.output_stream import OutputStream
from segflow.streams.control.reshards import Reshard
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.journal import JournalReader


@dataclass(slots=True)
class JournalLine:
    """The entries of one shard, in their order. Memory: an owner each time the shard was acquired."""

    commits: int = 0
    changes: int = 0
    dead_letters: int = 0
    alerts: int = 0
    _last: Entry | None = None
    _owners: set[str] = field(default_factory=set)  # who had the shard before the one who has it

    def add(self, entry: Entry) -> Iterator[str]:
        """Take the next entry; what is wrong with it, for a person."""
        self.commits += 1
        self.changes += entry.changes
        self.dead_letters += entry.dead_letters
        self.alerts += entry.alerts
        before, self._last = self._last, entry
        if before is None:
            return
        number = entry.plan.sequence
        if not entry.reset and not _goes_on(before, entry):
            yield f"commit {number} begins at {_starts(entry)}, the one before ended at {_ends(before)}"
        if before.plan.owner != entry.plan.owner:
            self._owners.add(before.plan.owner)
            if entry.plan.owner and entry.plan.owner in self._owners:
                yield f"commit {number} is by an owner from whom another had acquired the shard"


async def begins_late(journal: JournalReader, end: int, reshard: Reshard | None = None) -> str:
    """The reason for which commits cannot be executed from the first one on; empty: they may.

    Raises:
        JournalError: a record that has an entry's key cannot be read.
    """
    entry = await journal.first_entry(end)
    if reshard is not None and entry is not None:
        return (
            f"{journal.topic} is compared from commit {entry.plan.sequence:,} on: before it there were "
            f"{reshard.before} shards (`segflow reshard`), and a commit is executed on the state before it"
        )
    if entry is not None and entry.plan.sequence > 1:
        return (
            f"{journal.topic} is kept from commit {entry.plan.sequence:,} on (kafka.journal_retention), and a commit "
            "is executed on the state that the one before it left"
        )
    return f"{journal.topic} keeps no commit any more" if entry is None and await journal.was_cut() else ""


def judge_line(found: ShardAudit, line: JournalLine, outputs: Mapping[str, OutputStream[Any]], *, cut: bool) -> None:
    """Findings about how much the commits published; `cut`: of some that published, the entries are gone.

    Args:
        found: of the shard.
        line: all its entries.
        outputs: changes, dead letters and alerts, by the field of `line` that counts them; all of each is read.
        cut: see above.
    """
    for name, stream in outputs.items():
        there, published = stream.comparison.published, getattr(line, name)
        if stream.cut or (there >= published if cut else there == published):
            continue
        noun = name.replace("_", " ")
        found.problems.append(f"the journal's commits published {published} {noun}, the topic has {there}")
        field_ = "" if name == "changes" else f"{name}_"
        setattr(found, field_ + ("lost" if there < published else "foreign"), abs(published - there))


def _goes_on(before: Entry, entry: Entry) -> bool:
    """Whether a commit begins to read where the one before stopped; topics are compared where both name them."""
    if before.topic_ids and entry.topic_ids and before.topic_ids != entry.topic_ids[: len(before.topic_ids)]:
        return False
    sides = len(before.topic_ids) or len(_ends(before))  # one of a version before handover names two
    return _ends(before)[:sides] == _starts(entry)[:sides]


def _starts(entry: Entry) -> tuple[int, int, int]:
    return entry.purchases_from, entry.interactions_from, entry.handover_from


def _ends(entry: Entry) -> tuple[int, int, int]:
    return entry.plan.purchases_to, entry.plan.interactions_to, entry.plan.handover_to
