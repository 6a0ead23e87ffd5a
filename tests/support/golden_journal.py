"""A journal as a release wrote it, with the records it was made from: done again in memory, with no server."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from segflow.schemas.settings import Settings
from segflow.schemas.settings_file import parse
from segflow.state.head import Head
from segflow.state.memory import MemoryStore
from segflow.streams.control.topic import Control
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.entry_codec import decode
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.journal.journal import JournalReader
from segflow.streams.journal.replay import JournalReplay, ReplayedCommit
from segflow.streams.kafka.topic_kinds import READ
from tests.support.kafka_records import Record

FOLDER: Final = Path(__file__).parents[1] / "golden"
RAW: Final = "latin-1"
"""How bytes stand in the file: each as one character, so that whoever looks can read them."""


@dataclass(frozen=True, kw_only=True)
class GoldenJournal:
    """What one file holds, of all shards."""

    settings: dict[str, Any]
    topic_ids: tuple[str, ...]  # of what shards read
    control: list[list[Any]]  # offset, timestamp in ms, value
    shards: list[dict[str, list[list[Any]]]]  # by topic's role: offset, key, value; of the journal offset and value

    @classmethod
    def read(cls, name: str) -> "GoldenJournal":
        """The journal of this name."""
        content = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        return cls(**content | {"topic_ids": tuple(content["topic_ids"])})

    def entries(self, shard: int) -> list[Entry]:
        """What the journal of a shard says."""
        return [decode(value.encode(RAW)) for _, value in self.shards[shard]["journal"]]

    def replayed(
        self,
        shard: int,
        worker: dict[str, Any] | None = None,
        entries: list[Entry] | None = None,
        *,
        tries_other_versions: bool = False,
    ) -> list[ReplayedCommit]:
        """Every commit of a shard, done again.

        Args:
            shard: which.
            worker: settings of the worker that are other ones now.
            entries: in the place of the journal's.
            tries_other_versions: see JournalReplay.

        Raises:
            JournalError: one gives something else than it gave.
        """
        settings = parse(self.settings, name="golden", environment={})
        settings = settings.model_copy(update={"worker": settings.worker.model_copy(update=worker or {})})
        replay = self._replay(settings, shard, self.entries(shard) if entries is None else entries)
        replay.tries_other_versions = tries_other_versions

        async def run() -> list[ReplayedCommit]:
            return [each async for each in replay.run(None)]

        return asyncio.run(run())

    def replay_of(self, shard: int) -> JournalReplay:
        """A replay of a shard's commits, with the settings they were made with."""
        return self._replay(parse(self.settings, name="golden", environment={}), shard, self.entries(shard))

    def _replay(self, settings: Settings, shard: int, entries: list[Entry]) -> JournalReplay:
        control = Control(settings)
        for offset, timestamp, value in self.control:
            control._take(offset, value.encode(RAW), timestamp)
        return JournalReplay(
            settings=settings,
            partition=shard,
            topic_ids=self.topic_ids,
            control=control,
            inputs=cast("InputReader", _Inputs(self.shards[shard])),
            journal=cast("JournalReader", _Journal(entries)),
            store=MemoryStore(),
        )


@dataclass(frozen=True)
class _Inputs:
    """Stands in for InputReader."""

    shard: dict[str, list[list[Any]]]

    async def bounds(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (0,) * len(READ), tuple(max((each[0] + 1 for each in self.shard[role]), default=0) for role in READ)

    async def read(self, side: int, start: int, stop: int) -> list[Record]:
        return [
            Record(offset, None if key is None else key.encode(RAW), None if value is None else value.encode(RAW))
            for offset, key, value in self.shard[READ[side]]
            if start <= offset < stop
        ]


@dataclass(frozen=True)
class _Journal:
    """Stands in for JournalReader."""

    entries: list[Entry]

    async def after(self, head: Head, _end: int | None = None) -> AsyncIterator[tuple[int, Entry]]:
        for at, entry in enumerate(self.entries):
            if entry.plan.sequence > head.sequence:
                yield at, entry
