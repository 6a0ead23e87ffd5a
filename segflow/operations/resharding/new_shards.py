"""The shards as they are after a reshard: written into one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
from aiokafka.structs import TopicPartition

from segflow.engine.columns.messages import Messages
from segflow.engine.commit.engine_version import ENGINE
from segflow.engine.commit.execute import digest_of
from segflow.engine.commit.plan import plan_for
from segflow.engine.encode.state_records import state_messages
from segflow.operations.resharding.division import Content, Division, head_after, later
from segflow.operations.resharding.old_shards import OldShard
from segflow.operations.resharding.transaction import LargeTransaction
from segflow.schemas.settings import Settings
from segflow.state.erasure import Erasure
from segflow.state.head import Head, InTopic, Position
from segflow.state.store import HOLE
from segflow.state.topic_layout import StatePart
from segflow.streams.journal import journal
from segflow.streams.journal.entry import Entry
from segflow.streams.runtime.version import installed_version

PLACES_A_PART: Final = 8192
"""Places of a directory that end at once."""


@dataclass(kw_only=True)
class NewShards:
    """Their content, as it is written. `owner`: a token of whoever reshards. `state_id`: the state topic's."""

    settings: Settings
    division: Division
    written: LargeTransaction
    owner: str
    state_id: str
    contents: list[Content] = field(init=False)
    since: list[int] = field(init=False)
    _erased: dict[bytes, tuple[Erasure, set[int]]] = field(default_factory=dict)  # and for which shards

    def __post_init__(self) -> None:
        self.contents = [Content() for _ in range(self.division.after)]

    async def begin(self, populations: Sequence[int], old: Sequence[OldShard]) -> None:
        """End what the topic has of the old directories beyond the new ones, and find where the new state begins.

        Args:
            populations: places of each new directory.
            old: the shards before.
        """
        for shard in old:
            if shard.partition >= self.division.after or shard.head is None:
                continue
            first, stop = populations[shard.partition], shard.head.population
            for start in range(first, stop, PLACES_A_PART):
                places = dict.fromkeys(range(start, min(start + PLACES_A_PART, stop)), HOLE)
                await self._write(shard.partition, StatePart(places=places))
        begun = Head(owner=self.owner, partial=True)
        offsets = await self.written.placed(
            {self._place(number): state_messages(StatePart(head=begun)) for number in range(self.division.after)}
        )
        self.since = [offsets[self._place(number)] for number in range(self.division.after)]

    async def add_customers(self, ids: Sequence[str], values: Sequence[bytes], origin: int) -> None:
        """Customers of one old shard, in the order in which they enter the directories."""
        homes = self.division.homes(ids)
        for home in np.unique(homes).tolist():
            content = self.contents[home]
            rows = np.flatnonzero(homes == home).tolist()
            names = [ids[row] for row in rows]
            places = dict(enumerate(names, content.population))
            await self._write(home, StatePart(customers={ids[row]: values[row] for row in rows}, places=places))
            content.population += len(rows)
        await self._forget([name for name, home in zip(ids, homes.tolist(), strict=True) if home != origin], origin)

    async def add_redirects(self, redirects: dict[str, bytes], origin: int) -> None:
        """Ids of one old shard that became another customer's."""
        if not redirects:
            return
        homes = dict(zip(redirects, self.division.homes(list(redirects)).tolist(), strict=True))
        for home in set(homes.values()):
            mine = {name: value for name, value in redirects.items() if homes[name] == home}
            await self._write(home, StatePart(customers=mine))
            self.contents[home].redirects += len(mine)
        await self._forget([name for name, home in homes.items() if home != origin], origin)

    def add_erasures(self, erasures: dict[bytes, Erasure], origin: int) -> None:
        """Erasures of one old shard. Nobody knows whose they are: each shard gets them that may get the customer."""
        heirs = self.division.heirs(origin)
        for pseudonym, erasure in erasures.items():
            stands, shards = self._erased.get(pseudonym, (None, set()))
            self._erased[pseudonym] = later(stands, erasure), shards.union(heirs)

    async def add_ledger(self, merged_into: dict[str, str]) -> None:
        """Lines of the merge ledger, which shard 0 keeps."""
        await self._write(0, StatePart(merged_into=merged_into))

    async def finish(
        self, heads: Sequence[Head | None], positions: Sequence[Sequence[Position]], wall_us: int
    ) -> list[Head]:
        """Write erasures, then each shard's head and its entry in the journal.

        Args:
            heads: of the old shards.
            positions: of the new ones.
            wall_us: now.

        Raises:
            UsageError: see `head_after`.
        """
        for number, content in enumerate(self.contents):
            mine = {name: erasure for name, (erasure, shards) in self._erased.items() if number in shards}
            content.add_erasures(list(mine.values()))
            await self._write(number, StatePart(erased=mine))
        found = []
        for number, content in enumerate(self.contents):
            head = head_after(heads, self.division, number, content, positions[number], self.owner)
            in_topic = InTopic(
                topic_id=self.state_id,
                since=self.since[number],
                offset=self.since[number],
                at_us=wall_us,
                complete=True,
            )
            head = msgspec.structs.replace(head, in_topic=in_topic)
            await self._write(number, StatePart(head=head))
            place = TopicPartition(self.settings.kafka.topics.journal, number)
            await self.written.add(place, Messages.of([journal.message(self._entry(head, wall_us))]))
            found.append(head)
        return found

    def _entry(self, head: Head, wall_us: int) -> Entry:
        """The journal's entry of what is no commit of events: it reads nothing, and the line of commits goes on."""
        before = msgspec.structs.replace(head, sequence=head.sequence - 1)
        purchases, interactions, handover = head.positions
        plan = plan_for(
            self.settings,
            before,
            purchases_to=purchases.offset,
            interactions_to=interactions.offset,
            wall_us=wall_us,
            rules=head.rules,
            shards=self.division.after,
        )
        return Entry(
            plan=msgspec.structs.replace(plan, sweep_limit=0, pages=0),
            topic_ids=tuple(each.topic_id for each in head.positions),
            purchases_from=purchases.offset,
            interactions_from=interactions.offset,
            handover_from=handover.offset,
            reset=True,
            reshard=self.division.after,
            changes=0,
            dead_letters=0,
            adopts=None,
            digest=digest_of([]),
            engine=ENGINE,
            segflow=installed_version(),
        )

    async def _forget(self, ids: Sequence[str], origin: int) -> None:
        """Tombstones of those who went elsewhere, so that compaction takes what the old shard had of them."""
        if ids and origin < self.division.after:
            await self._write(origin, StatePart(customers=dict.fromkeys(ids)))

    async def _write(self, number: int, part: StatePart) -> None:
        await self.written.add(self._place(number), state_messages(part))

    def _place(self, number: int) -> TopicPartition:
        return TopicPartition(self.settings.kafka.topics.state, number)
