"""Record batches of all commits that are to be published at a time, written in one go.

What a batch of few records costs is the calls: a batch of commits has some 25 record batches in its shards' commits.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka.structs import TopicPartition

from segflow.engine.columns.messages import Messages
from segflow.schemas.settings import Settings
from segflow.streams.publish.record_batch import RecordBatch, batches_together

Addressed = Mapping[TopicPartition, Messages]
"""The messages that one commit publishes, by partition."""
Packed = dict[TopicPartition, list[RecordBatch]]


@dataclass(slots=True)
class Packing:
    """One a worker; a publisher without one has its own."""

    settings: Settings
    _asking: list[tuple[Addressed, "asyncio.Future[Packed]"]] = field(default_factory=list)

    async def packed(self, addressed: Addressed) -> Packed:
        """The batches, written together with those of all who ask in this turn of the event loop."""
        loop = asyncio.get_running_loop()
        if not self._asking:
            loop.call_soon(self._run)
        answer: asyncio.Future[Packed] = loop.create_future()
        self._asking.append((addressed, answer))
        return await answer

    def _run(self) -> None:
        asking, self._asking = [each for each in self._asking if not each[1].done()], []
        try:
            written = iter(
                batches_together(
                    [messages for addressed, _ in asking for messages in addressed.values()],
                    time.time_ns() // 1_000_000,
                    transactional=self.settings.worker.transactional,
                    compressed=self.settings.kafka.compression == "lz4",
                )
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits must hear of it
            for _, answer in asking:
                answer.set_exception(error)
            return
        for addressed, answer in asking:
            answer.set_result({place: next(written) for place in addressed})
