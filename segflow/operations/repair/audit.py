"""The audit: every commit of the journal replayed in memory, and what it gives compared with what was published.

One shard at a time, each record once: memory is that of one shard's customers, 16 bytes a change, and 8 bytes for each
customer of the others.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import redis

from segflow.engine.encode.dead_letters import replayed_offset
from segflow.operations.repair.chains import Chains, PublishedChange, starts_of
from segflow.operations.repair.comparison import Differences, Item
from segflow.operations.repair.findings import PROBLEMS_MAX, Audit, ShardAudit
from segflow.operations.repair.output_stream import OutputStream
from segflow.operations.repair.residents import Residents
from segflow.operations.repair.state_comparison import compare
from segflow.schemas.settings import Settings
from segflow.state import lookup
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.memory import MemoryStore
from segflow.state.redis import RedisStore
from segflow.streams.control.topic import Control
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import Entry, JournalError, JournalReader
from segflow.streams.journal.replay import (
    InputGoneError,
    JournalReplay,
    OtherVersionError,
    ReplayedCommit,
    written_by,
)
from segflow.streams.kafka.partition_reader import PartitionReader

CHANGE_ID: Final = 0
"""The index of the change id in a change's headers."""

OnProgress = Callable[[int, str, int], None]
"""Called with (journal offsets done, a note, of how many in all shards)."""


class _Letter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The origin of a dead letter: the topic and offset of the record that could not be used."""

    topic: str
    offset: int


_CHANGE: Final = msgspec.json.Decoder(PublishedChange)
_LETTER: Final = msgspec.json.Decoder(_Letter)


async def audit(
    settings: Settings,
    control: Control,
    topic_ids: tuple[str, ...],
    shards: Iterable[int],
    *,
    state: redis.Redis | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> Audit:
    """Audit some shards; reads only.

    Args:
        settings: of the installation.
        control: read (Control.read).
        topic_ids: of the inputs there are now.
        shards: partitions.
        state: a client, where Redis is to be compared, too.
        on_progress: see OnProgress.

    Raises:
        UsageError: a transaction stays open for ever.
        aiokafka.errors.KafkaError: Kafka cannot be read.
        redis.RedisError: Redis cannot be read.
    """
    partitions = list(shards)
    sizes = {partition: await _size(settings, partition) for partition in partitions}
    total, before, found = sum(sizes.values()), 0, []
    residents = Residents()
    for partition in partitions:

        def show(done: int, note: str, before: int = before) -> None:
            on_progress(before + done, note, total)

        async with AsyncExitStack() as stack:
            auditing = await _Auditing.open(settings, control, topic_ids, partition, state, stack)
            found.append(await auditing.run(show))
            auditing.compare_with(residents)
        before += sizes[partition]
    return Audit(shards=found)


async def _size(settings: Settings, partition: int) -> int:
    async with JournalReader(settings, partition) as journal:
        return await journal.end() - await journal.first()


@dataclass(kw_only=True)
class _Auditing:
    """One shard under audit."""

    settings: Settings
    partition: int
    control: Control
    state: redis.Redis | None
    journal: JournalReader
    inputs: InputReader
    changes: OutputStream[PublishedChange]
    alerts: OutputStream[PublishedChange]
    letters: OutputStream[_Letter]
    replay: JournalReplay
    memory: MemoryStore
    found: ShardAudit
    chains: Chains
    _head: Head | None = None  # as stored in Redis
    _compared: bool = False
    _version: str | None = None  # which made the commit before

    @classmethod
    async def open(
        cls,
        settings: Settings,
        control: Control,
        topic_ids: tuple[str, ...],
        partition: int,
        state: redis.Redis | None,
        stack: AsyncExitStack,
    ) -> "_Auditing":
        """All that is read of the shard, open until `stack` closes."""
        names = settings.kafka.topics
        journal = await stack.enter_async_context(JournalReader(settings, partition))
        inputs = await stack.enter_async_context(InputReader(settings, partition))
        changes, alerts, letters = [
            await stack.enter_async_context(PartitionReader(settings.kafka, name, partition))
            for name in (names.changes, names.alerts, names.dead_letters)
        ]
        memory = MemoryStore()
        replay = JournalReplay(
            settings=settings,
            partition=partition,
            topic_ids=topic_ids,
            control=control,
            inputs=inputs,
            journal=journal,
            store=memory,
            tries_other_versions=True,
        )
        chains = Chains(
            cut=False,
            start=starts_of(control.rule_versions.definitions),
            quiet=frozenset(each.version for each in control.definitions if each.quiet),
        )
        found = ShardAudit(shard=partition)
        return cls(
            settings=settings,
            partition=partition,
            control=control,
            state=state,
            journal=journal,
            inputs=inputs,
            changes=OutputStream(reader=changes, decode=_CHANGE.decode, identity=_change_id),
            alerts=OutputStream(reader=alerts, decode=_CHANGE.decode, identity=_change_id),
            letters=OutputStream(
                reader=letters, decode=_LETTER.decode, identity=_letter_id, passes_over=_is_replay_mark
            ),
            replay=replay,
            memory=memory,
            found=found,
            chains=chains,
        )

    async def run(self, show: Callable[[int, str], None]) -> ShardAudit:
        """The audit of this shard."""
        self.changes.note = self._note_change
        if self.state is not None:
            self._head = lookup.heads(self.state, self.settings.redis.prefix, self.partition + 1)[self.partition]
        patience_s = self.settings.worker.transaction_timeout.total_seconds()
        first, end = await self.journal.first(), await self.journal.settled_end(patience_s)
        await self.changes.open(patience_s)  # after the journal: whatever its commits published is there
        await self.alerts.open(patience_s)
        await self.letters.open(patience_s)
        self.chains.cut = self.changes.cut
        whole = await self._execute(first, end, show)
        await self.changes.rest()
        await self.alerts.rest()
        await self.letters.rest()
        newer = await self.journal.end() > end
        self._judge_changes(self.changes.comparison.finish(newer=newer, whole=whole), whole=whole)
        more: tuple[tuple[str, OutputStream[Any]], ...] = (("dead_letters", self.letters), ("alerts", self.alerts))
        for name, stream in more:
            self._judge(name, stream, stream.comparison.finish(newer=newer, whole=whole), whole=whole)
        if whole:
            await self._see_what_is_unread()
        self.found.expired = self.changes.expired
        if self.changes.cut or self.letters.cut or self.alerts.cut:
            self.found.complete = False
        if self.state is not None and not self._compared:
            self._state_not_compared(whole=whole)
        return self.found

    def compare_with(self, residents: Residents) -> None:
        """Whoever of this shard stands in one before it, too."""
        twice = residents.add(self.partition, self.chains.customers)
        self.found.in_two_shards = len(twice)
        for number, (customer, shard) in enumerate(twice, start=1):
            why = f"customer {customer!r} stands in shard {shard}, too: an event lay on a wrong partition"
            self._problem(number, f"in two shards: {why}")

    def _note_change(self, change: PublishedChange, offset: int) -> None:
        """A published change, in its order."""
        wrong = self.chains.add(change)
        if wrong is not None:
            self.found.broken += 1
            self._problem(self.found.broken, f"broken: {wrong} (offset {offset})")

    async def _execute(self, first: int, end: int, show: Callable[[int, str], None]) -> bool:
        """Replay every commit and compare what it gives; whether all could be replayed."""
        found = self.found
        try:
            async for replayed in self.replay.run(None, end):
                found.commits += 1
                found.events += replayed.result.events
                self._note_version(replayed.entry)
                await self._expect(replayed)
                if self.state is not None and self._head is not None:
                    self._compare_state(replayed.result.write.head)
                note = f"shard {self.partition}: {found.commits:,} commits, {found.events:,} events"
                show(replayed.at + 1 - first, note)
        except (InputGoneError, OtherVersionError) as error:
            await self._only_the_journal(str(error), end)
            return False
        except JournalError as error:
            found.complete = False
            found.problems.append(f"{error}; what follows was not compared")
            return False
        return True

    def _note_version(self, entry: Entry) -> None:
        """Note a place where commits of two versions meet."""
        if self._version is not None and self._version != (version := written_by(entry)):
            self.found.versions.append(
                f"commits up to {entry.plan.sequence - 1} are by {self._version}, those from there on by {version}"
            )
        self._version = written_by(entry)

    async def _expect(self, replayed: ReplayedCommit) -> None:
        where, result = f"commit {replayed.entry.plan.sequence}", replayed.result
        await self.changes.expect([(each.headers[CHANGE_ID][1], each) for each in result.changes], where)
        await self.alerts.expect([(each.headers[CHANGE_ID][1], each) for each in result.alerts], where)
        await self.letters.expect([(_letter_id(_LETTER.decode(each.value)), each) for each in result.dead], where)

    async def _only_the_journal(self, reason: str, end: int) -> None:
        """The audit without inputs: checks that every commit is in the journal, and counts the changes they state."""
        found = self.found
        found.complete = False
        found.commits = changes = letters = alerts = 0
        found.versions, self._version = [], None
        try:
            async for _, entry in self.journal.after(0, end):
                found.commits += 1
                self._note_version(entry)
                changes += entry.changes
                letters += entry.dead_letters
                alerts += entry.alerts
        except JournalError as error:
            found.problems.append(str(error))
            return
        found.unchecked.append(
            f"{reason}. Compared instead: customers' chains, and how many changes and dead letters the journal says "
            "there are; not that each is the right one."
        )
        await self.changes.rest()
        await self.alerts.rest()
        await self.letters.rest()
        if await self.journal.end() > end:
            return  # a worker goes on publishing: there may be more by now
        outputs: tuple[tuple[str, OutputStream[Any], int, str], ...] = (
            ("changes", self.changes, changes, ""),
            ("dead letters", self.letters, letters, "dead_letters_"),
            ("alerts", self.alerts, alerts, "alerts_"),
        )
        for name, stream, published, field in outputs:
            there = stream.comparison.published
            if there != published and not stream.cut:
                found.problems.append(f"the journal's commits published {published} {name}, the topic has {there}")
                setattr(found, field + ("lost" if there < published else "foreign"), abs(published - there))

    def _judge_changes(self, differences: Differences, *, whole: bool) -> None:
        found = self.found
        found.changes = self.changes.comparison.published
        if not self.changes.comparison.expected and not whole:
            return
        altered = list(differences.altered)
        lost, foreign = _paired(differences.lost, differences.foreign, altered)
        found.lost, found.foreign = max(found.lost, len(lost)), max(found.foreign, len(foreign))
        found.repeated = len(differences.repeated)
        found.altered, found.reordered = len(altered), differences.reordered
        for name, items in (("lost", lost), ("repeated", differences.repeated), ("altered", altered)):
            for number, item in enumerate(items, start=1):
                self._problem(number, f"{name}: {_described(item)}")
        for number, item in enumerate(foreign, start=1):
            self._problem(number, f"foreign: {_described(item)}: no commit of the journal gives it")
        if found.reordered:
            found.problems.append(f"reordered: {found.reordered} changes stand behind one that was to come later")

    def _judge(self, name: str, stream: OutputStream[Any], differences: Differences, *, whole: bool) -> None:
        """Dead letters or alerts, `name` being the field that counts them."""
        found, noun = self.found, name.removesuffix("s").replace("_", " ")
        setattr(found, name, stream.comparison.published)
        if not stream.comparison.expected and not whole:
            return
        kinds = (
            ("lost", differences.lost),
            ("repeated", differences.repeated),
            ("foreign", [*differences.foreign, *differences.altered]),
        )
        for kind, items in kinds:
            setattr(found, f"{name}_{kind}", len(items))
            for number, item in enumerate(items, start=1):
                self._problem(number, f"{noun} {kind}: of {item.identity.decode(errors='replace')} ({item.where})")

    async def _see_what_is_unread(self) -> None:
        head = self.memory.head() or Head()
        first, end = await self.inputs.bounds()
        for side, position in enumerate(head.positions):
            ours = position.topic_id == self.replay.topic_ids[side]
            self.found.unread += max(0, end[side] - max(first[side], position.offset if ours else 0))

    def _compare_state(self, head: Head) -> None:
        """Once the memory stands where Redis does."""
        assert self.state is not None
        assert self._head is not None
        if self._compared or head.sequence != self._head.sequence:
            return
        self._compared = True
        keys = Keys(self.settings.redis.prefix, self.partition)
        store = RedisStore(self.state, keys)
        differences = compare(self.memory, store, self.state, keys)
        again = store.head()
        store.close()
        if again != self._head:
            self.found.unchecked.append(
                "the state in Redis: a worker is changing it. Stop the workers to have it compared."
            )
            return
        self.found.state_differences = len(differences)
        for number, text in enumerate(differences, start=1):
            self._problem(number, f"state: {text}")

    def _state_not_compared(self, *, whole: bool) -> None:
        found, head = self.found, self._head
        if head is None and not found.commits:
            return
        if head is None:
            found.state_differences += 1
            found.problems.append("state: Redis holds nothing; a worker that acquires the shard restores it")
        elif not whole:
            found.unchecked.append("the state in Redis: the commits behind it could not be replayed")
        elif head.sequence:
            found.state_differences += 1
            found.problems.append(f"state: Redis is of commit {head.sequence}, the journal ends at {found.commits}")

    def _problem(self, number: int, text: str) -> None:
        if number <= PROBLEMS_MAX:
            self.found.problems.append(text)


def _change_id(change: PublishedChange) -> bytes:
    return change.change_id.encode()


def _is_replay_mark(record: Any) -> bool:
    """`segflow dead-letters --replay` writes it, and no commit."""
    return replayed_offset(record) is not None


def _letter_id(letter: _Letter) -> bytes:
    return f"{letter.topic} {letter.offset}".encode()


def _paired(lost: list[Item], foreign: list[Item], altered: list[Item]) -> tuple[list[Item], list[Item]]:
    """Lost and foreign changes of the same customer and version are one that was altered; what remains of both."""
    slots = {slot for item in lost if (slot := _slot(item)) is not None}
    paired: set[tuple[str, int]] = set()
    rest = []
    for item in foreign:
        slot = _slot(item)
        if slot in slots and slot is not None and slot not in paired:
            paired.add(slot)
            altered.append(item)
        else:
            rest.append(item)
    return [item for item in lost if _slot(item) not in paired], rest


def _slot(item: Item) -> tuple[str, int] | None:
    """The customer and the version of a change; None: it cannot be decoded."""
    try:
        change = _CHANGE.decode(item.value or b"")
    except msgspec.MsgspecError:
        return None
    return change.customer_id, change.version


def _described(item: Item) -> str:
    """A change for a person."""
    if item.value is None:
        return item.where
    try:
        change = _CHANGE.decode(item.value)
    except msgspec.MsgspecError:
        return f"{item.where}: {json.dumps(item.value[:80].decode(errors='replace'))}"
    return (
        f"customer {change.customer_id!r}, version {change.version}, {change.dimension} "
        f"{change.previous} → {change.current} ({item.where})"
    )
