"""The audit: every commit of the journal replayed in memory, and what it gives compared with what was published.

One shard at a time, each record once: memory is that of one shard's customers, 16 bytes a change, and 8 bytes for each
customer of the others.
"""

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from segflow.operations.repair.chains import Chains, PublishedChange, starts_of
from segflow.operations.repair.findings import PROBLEMS_MAX, Audit, ShardAudit
from segflow.operations.repair.journal_line import JournalLine, begins_late, judge_line
from segflow.operations.repair.judgement import judge_changes, judge_others
from segflow.operations.repair.output_stream import OutputStream
from segflow.operations.repair.published_records import LETTER, PublishedLetter, changes_of, letter_id, letters_of
from segflow.operations.repair.residents import Residents
from segflow.operations.repair.state_check import StateCheck
from segflow.operations.repair.state_copy import copy_state
from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.state.memory import MemoryStore
from segflow.state.redis_servers import RedisServers
from segflow.streams.control.topic import Control
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.journal.replay import (
    InputGoneError,
    JournalReplay,
    OtherVersionError,
    ReplayedCommit,
    written_by,
)
from segflow.streams.kafka.partition_reader import PartitionReader
from segflow.streams.state_topic.reader import TopicFacts

CHANGE_ID: Final = 0
"""The index of the change id in a change's headers."""

OnProgress = Callable[[int, str, int], None]
"""Called with (journal offsets done, a note, of how many in all shards)."""


async def audit(
    settings: Settings,
    control: Control,
    topic_ids: tuple[str, ...],
    facts: TopicFacts,
    shards: Iterable[int],
    *,
    state: RedisServers | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> Audit:
    """Audit some shards; reads only.

    Args:
        settings: of the installation.
        control: read (Control.read).
        topic_ids: of the inputs there are now.
        facts: of the state topic.
        shards: partitions.
        state: Redis, where Redis is to be compared, too.
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
            auditing = await _Auditing.open(settings, control, topic_ids, facts, partition, state, stack)
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
    facts: TopicFacts
    state: StateCheck | None
    journal: JournalReader
    inputs: InputReader
    changes: OutputStream[PublishedChange]
    alerts: OutputStream[PublishedChange]
    letters: OutputStream[PublishedLetter]
    replay: JournalReplay
    memory: MemoryStore
    found: ShardAudit
    chains: Chains
    _version: str | None = None  # which made the commit before
    _engine: int = 0  # of it

    @classmethod
    async def open(
        cls,
        settings: Settings,
        control: Control,
        topic_ids: tuple[str, ...],
        facts: TopicFacts,
        partition: int,
        state: RedisServers | None,
        stack: AsyncExitStack,
    ) -> "_Auditing":
        """All that is read of the shard, open until `stack` closes."""
        names, reshard = settings.kafka.topics, control.reshard

        def since(role: str) -> int:
            return 0 if reshard is None else reshard.begin(role, partition)

        journal = await stack.enter_async_context(JournalReader(settings, partition, since("journal")))
        inputs = await stack.enter_async_context(InputReader(settings, partition))
        changes, alerts, letters = [
            await stack.enter_async_context(
                PartitionReader(settings.kafka, getattr(names, role), partition, since(role))
            )
            for role in ("changes", "alerts", "dead_letters")
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
        check = None
        if state is not None:
            check = StateCheck(
                servers=state, prefix=settings.redis.prefix, partition=partition, memory=memory, found=found
            )
        return cls(
            settings=settings,
            partition=partition,
            control=control,
            facts=facts,
            state=check,
            journal=journal,
            inputs=inputs,
            changes=changes_of(changes),
            alerts=changes_of(alerts),
            letters=letters_of(letters),
            replay=replay,
            memory=memory,
            found=found,
            chains=chains,
        )

    async def run(self, show: Callable[[int, str], None]) -> ShardAudit:
        """The audit of this shard."""
        self.changes.note, self.changes.follows = self._note_change, self.control.reshard is not None
        if self.state is not None:
            self.state.begin()
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
        changes = self.changes.comparison
        judge_changes(self.found, changes, changes.finish(newer=newer, whole=whole), whole=whole)
        for name, others in (("dead_letters", self.letters.comparison), ("alerts", self.alerts.comparison)):
            judge_others(self.found, name, others, others.finish(newer=newer, whole=whole), whole=whole)
        if whole:
            await self._see_what_is_unread()
        self.found.expired = self.changes.expired
        if self.changes.cut or self.letters.cut or self.alerts.cut:
            self.found.complete = False
        if self.state is not None:
            copied = not whole and await copy_state(
                self.settings, self.partition, self.facts, self.control, self.memory
            )
            if copied:
                self.state.look(self.memory.head() or Head())
            self.state.finish(whole=whole or copied)
        return self.found

    def compare_with(self, residents: Residents) -> None:
        """Whoever of this shard stands in one before it, too."""
        twice = residents.add(self.partition, self.chains.customers)
        self.found.in_two_shards = len(twice)
        self.found.report(
            f"in two shards: customer {customer!r} stands in shard {shard}, too: an event lay on a wrong partition"
            for customer, shard in twice
        )

    def _note_change(self, change: PublishedChange, offset: int) -> None:
        """A published change, in its order."""
        wrong = self.chains.add(change)
        if wrong is not None:
            self.found.broken += 1
            if self.found.broken <= PROBLEMS_MAX:
                self.found.problems.append(f"broken: {wrong} (offset {offset})")

    async def _execute(self, first: int, end: int, show: Callable[[int, str], None]) -> bool:
        """Replay every commit and compare what it gives; whether all could be replayed."""
        found = self.found
        try:
            late = await begins_late(self.journal, end, self.control.reshard)
            if late:
                await self._only_the_journal(late, end)
                return False
            async for replayed in self.replay.run(None, end):
                found.commits += 1
                found.events += replayed.result.events
                self._note_version(replayed.entry)
                await self._expect(replayed)
                if self.state is not None:
                    self.state.look(replayed.result.write.head)
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
        if entry.engine and entry.engine == self._engine and not entry.segflow:
            return  # the same owner's, who said it
        version, self._engine = written_by(entry), entry.engine
        if self._version not in (None, version):
            self.found.versions.append(
                f"commits up to {entry.plan.sequence - 1} are by {self._version}, those from there on by {version}"
            )
        self._version = version

    async def _expect(self, replayed: ReplayedCommit) -> None:
        where, result = f"commit {replayed.entry.plan.sequence}", replayed.result
        await self.changes.expect([(each.headers[CHANGE_ID][1], each) for each in result.changes], where)
        await self.alerts.expect([(each.headers[CHANGE_ID][1], each) for each in result.alerts], where)
        await self.letters.expect([(letter_id(LETTER.decode(each.value)), each) for each in result.dead], where)

    async def _only_the_journal(self, reason: str, end: int) -> None:
        """The audit without executing: that the journal is one line, and that what it says was published is there."""
        found, line = self.found, JournalLine()
        found.complete = False
        found.commits, found.versions, self._version = 0, [], None
        first = await self.journal.first_entry(end)
        if first is not None:
            try:
                async for _, entry in self.journal.after(Head(sequence=first.plan.sequence - 1), end):
                    self._note_version(entry)
                    found.report(f"journal: {wrong}" for wrong in line.add(entry))
            except JournalError as error:
                found.problems.append(str(error))
                return
            finally:
                found.commits = line.commits
        found.unchecked.append(
            f"{reason}. Compared instead: whether each commit goes on from the one before, customers' chains, and how "
            "many changes and dead letters the journal says there are; not that each is the right one."
        )
        await self.changes.rest()
        await self.alerts.rest()
        await self.letters.rest()
        if await self.journal.end() > end:
            return  # a worker goes on publishing: there may be more by now
        outputs: dict[str, OutputStream[Any]] = {"changes": self.changes, "alerts": self.alerts}
        outputs["dead_letters"] = self.letters
        judge_line(found, line, outputs, cut=first is None or first.plan.sequence > 1)

    async def _see_what_is_unread(self) -> None:
        head = self.memory.head() or Head()
        first, end = await self.inputs.bounds()
        for side, position in enumerate(head.positions):
            ours = position.topic_id == self.replay.topic_ids[side]
            self.found.unread += max(0, end[side] - max(first[side], position.offset if ours else 0))
