"""Taking a snapshot: the state of every shard after one of its commits, into files."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from segflow.operations.backup import manifest
from segflow.operations.backup.latest_rows import LatestRows
from segflow.operations.backup.manifest import Manifest, ShardFile
from segflow.operations.backup.place import Place
from segflow.operations.backup.sources import OfRedis, OfTopic, Source
from segflow.operations.backup.state_file import GROUP_ROWS, HashedFile, RowsWriter, batches
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_text
from segflow.state import topic_layout
from segflow.state.head import Head
from segflow.state.store import Store, TornStateError
from segflow.streams.control.topic import Control
from segflow.streams.journal.journal import JournalError, JournalReader
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.failpoints import failpoint
from segflow.streams.runtime.version import installed_version
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.state_topic.reader import StateTopicReader, TopicFacts
from segflow.streams.state_topic.whole import LOOK_S, LOOKS, is_whole
from segflow.streams.worker.installation import fingerprint

OnProgress = Callable[[int, str, int], None]
"""Called with (offsets done, a note, of how many) of a shard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A snapshot to be taken of all shards, beside workers.

    control: read. facts: of the state topic. store_of: a shard's store. place: of the files; there is no manifest yet.
    """

    settings: Settings
    control: Control
    facts: TopicFacts
    partitions: int
    store_of: Callable[[int], Store]
    place: Place
    on_progress: OnProgress = lambda *_: None

    async def take(self) -> Manifest:
        """Take it: a file for each shard, then the manifest.

        Killed in between it is no snapshot, and can be typed again: files are written in the place of those there.

        Raises:
            UsageError: it cannot be taken, or the place does not answer or refuses.
            aiokafka.errors.KafkaError: Kafka cannot be read.
        """
        began_us, shards = now_us(), []
        for partition in range(self.partitions):
            try:
                shards.append(await self._shard(partition))
            except (JournalError, TornStateError) as error:
                raise UsageError(f"shard {partition} cannot be written: {error}") from error
            failpoint("snapshot:shard-written")
        taken = Manifest(
            segflow=installed_version(),
            installation=fingerprint(self.control.secret),
            partitions=self.partitions,
            partitioner=self.settings.kafka.partitioner,
            began=to_text(began_us),
            ended=to_text(now_us()),
            shards=shards,
        )
        failpoint("snapshot:shards-written")
        with self.place.writing(manifest.FILE) as file:
            file.write(manifest.encode(taken))
        return taken

    async def _shard(self, partition: int) -> ShardFile:
        async with (
            StateTopicReader(self.settings, partition) as topic,
            JournalReader(self.settings, partition) as journal,
        ):
            source = await self._source(partition, topic, journal)
            if source is None:
                return ShardFile(shard=partition, head=Head())
            with tempfile.TemporaryFile(dir=self.place.folder) as spool:  # without a name: whatever ends us, it is gone
                latest = await _spooled(source, spool)
                journal_next = await _journal_next(journal, source.head)
                return self._write(
                    spool, latest, ShardFile(shard=partition, head=source.head, journal_next=journal_next)
                )

    async def _source(self, partition: int, topic: StateTopicReader, journal: JournalReader) -> Source | None:
        """The source of a shard's rows; None: it has had no commit yet."""

        def show(done: int, total: int) -> None:
            self.on_progress(done, f"shard {partition}", total)

        last = await topic.last_head(await topic.end())
        if last is not None and is_whole(last, self.facts, None):
            return OfTopic(topic=topic, head=last, on_progress=show)
        if not await journal.end():
            return None
        store = self.store_of(partition)
        stored = store.head()
        if stored is None or stored.partial or store.torn(stored):
            raise UsageError(
                f"shard {partition} cannot be written: neither {topic.topic} nor Redis has all of it. See "
                "`segflow doctor`"
            )
        return OfRedis(store=store, where=f"shard {partition}", head=stored, on_progress=show)

    def _write(self, spool: Any, latest: LatestRows, part: ShardFile) -> ShardFile:
        """The rows of the spool that no later row replaces, into the shard's file."""
        are_latest, at, rows, customers = latest.are_latest(), 0, 0, 0
        with self.place.writing(part.name) as file:
            hashed = HashedFile(file)
            writer = RowsWriter(hashed, "zstd")
            for batch in batches(spool, GROUP_ROWS):
                kept = batch.filter(are_latest[at : at + len(batch)])
                at += len(batch)
                keys, values = (column.to_pylist() for column in kept.columns)
                there = [number for number, value in enumerate(values) if value != topic_layout.GONE]
                writer.add([keys[number] for number in there], [values[number] for number in there])
                rows += len(there)
                customers += sum(keys[number][:1] == topic_layout.PLACE for number in there)
            writer.close()
        return msgspec.structs.replace(
            part, rows=rows, customers=customers, size_bytes=hashed.size_bytes, sha256=hashed.sha256
        )


async def _spooled(source: Source, spool: Any) -> LatestRows:
    """Write all rows of a source into a Parquet file; which of them count."""
    writer, latest = RowsWriter(spool, "lz4"), LatestRows()
    async for pairs in source.pairs():
        keys = [key for key, _ in pairs]
        latest.add(keys)
        writer.add(keys, [value or topic_layout.GONE for _, value in pairs])
    writer.close()
    return latest


async def _journal_next(journal: JournalReader, head: Head) -> int:
    """The offset behind the entry of this head's commit; where all entries were cut, the journal's end."""
    before = msgspec.structs.replace(head, sequence=head.sequence - 1, committed_by="")
    for _ in range(LOOKS):  # the end of a transaction comes to one topic some milliseconds later
        end, published = await journal.end(), await journal.last()
        if published is None:
            return end
        if published.plan.sequence >= head.sequence:
            async for at, _entry in journal.after(before, end):
                return at + 1
        await asyncio.sleep(LOOK_S)
    raise UsageError(f"{journal.where}, does not have commit {head.sequence}, which the state is of")
