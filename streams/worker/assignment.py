"""The shards of this process: the group assigns and revokes their partitions."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from faust.types import TP
from kafka.errors import KafkaError

from segflow.schemas.model_error import ModelError
from segflow.state.head import Head
from segflow.streams.consume.feed import KafkaFeed
from segflow.streams.consume.placement import Claim
from segflow.streams.runtime.error_reason import reason
from segflow.streams.shard.shard import Shard

log = logging.getLogger(__name__)

FINISH_S: Final = 5.0
"""For the shards to finish their commits, at a stop and when they go to another worker: within a session timeout."""


class Assignment:
    """The shards of one worker, each worked by a task.

    Args:
        feed: of the worker; a shard's inputs come together.
        partitions: of each of them, as the installation has them.
        shard_of: makes the shard of a partition.
        look_at_topics: whether they are as they were; else every shard is parked by then.
        fail: ends the worker with an exit code.
    """

    def __init__(
        self,
        feed: KafkaFeed,
        partitions: int,
        *,
        shard_of: Callable[[int], Shard],
        look_at_topics: Callable[[], Awaitable[bool]],
        fail: Callable[[int], None],
    ) -> None:
        self.shards: dict[int, Shard] = {}
        self.joined = False  # the group: it has said which partitions are this worker's
        self.trouble = ""  # why it has not; empty once it has
        self._feed = feed
        self._shard_of = shard_of
        self._partitions = partitions
        self._look_at_topics = look_at_topics
        self._fail = fail
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def assigned(self, app: Any, assigned: set[TP], **_: Any) -> None:
        """Start the shards of these partitions; called by Faust."""
        self.joined, self.trouble = True, ""
        places = self._known(assigned)
        halves = [
            (partition, topic)
            for partition in sorted({place.partition for place in places})
            for topic in self._feed.topics
            if TP(topic, partition) not in places
        ]
        if (halves or len(places) < len(assigned)) and await self._grown():
            halves = []  # an input has more partitions than the others; what came whole is parked with the rest
        if halves:  # the others of the group would not take it either; a new start says what is wrong
            log.error(
                "partition %d of %s did not come with its other inputs: the topic was deleted, or a group member "
                "places partitions in another way",
                *halves[0],
            )
            self._fail(1)
            return
        wanted = frozenset(place.partition for place in places)
        self._feed.claim(Claim(app.consumer_generation_id, wanted))
        for partition in sorted(wanted):
            self.shards[partition] = shard = self._shard_of(partition)
            self._tasks[partition] = asyncio.create_task(self._work(shard), name=f"shard-{partition}")

    def _known(self, assigned: set[TP]) -> set[TP]:
        """Those of partitions that the installation has; one beyond them is refused."""
        beyond = sorted({place.partition for place in assigned if place.partition >= self._partitions})
        if beyond:
            log.error("partitions %s are refused: this installation has %d", beyond, self._partitions)
        return {place for place in assigned if place.partition < self._partitions}

    async def _grown(self) -> bool:
        """Whether topics have changed since the worker started; every shard is parked then."""
        try:
            return not await self._look_at_topics()
        except (KafkaError, OSError) as error:
            log.warning("looking at the topics: %s", reason(error))
            return False

    async def revoked(self, _app: Any, revoked: set[TP], **_: Any) -> None:
        """Release the shards of these partitions; called by Faust."""
        self.joined = False
        await self.release({place.partition for place in revoked})

    def note_trouble(self, why: str) -> None:
        """Note, for `/ready`, the error that keeps this worker out of its group."""
        self.trouble = why

    async def release(self, partitions: set[int]) -> bool:
        """Let shards finish the commit under way, for FINISH_S; one that is not acquired has nothing to finish.

        Returns:
            Whether none had to be broken off in the middle of a commit.
        """
        held = [self.shards.pop(partition) for partition in partitions if partition in self.shards]
        tasks = [self._tasks.pop(shard.state.partition) for shard in held]
        for shard, task in zip(held, tasks, strict=True):
            # At once: what is assigned again has no position until its shard opens it.
            self._feed.close(shard.state.partition)
            shard.stop()
            if not shard.state.acquired:
                task.cancel()
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks, timeout=FINISH_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)
        return not late

    def written(self) -> dict[int, Head]:
        """Of the shards that are acquired, the head that Redis acknowledged last. Called from other threads, too."""
        states = [shard.state for shard in list(self.shards.values())]
        return {state.partition: state.head for state in states if state.acquired}

    def in_state_topic(self) -> list[int]:
        """Of the shards that are acquired, those that the state topic has whole. Called from other threads, too."""
        return [number for number, head in self.written().items() if head.is_in_topic]

    def lose(self, partition: int, written: Head, error: Exception) -> None:
        """See Shard.lose."""
        shard = self.shards.get(partition)
        if shard is not None:
            shard.lose(written, error)

    def interrupt(self) -> None:
        """Every shard is to look whether it goes on."""
        for shard in self.shards.values():
            shard.interrupt()

    def acquired(self) -> list[Shard]:
        """The shards whose inputs are open."""
        return [shard for shard in self.shards.values() if shard.state.acquired]

    async def _work(self, shard: Shard) -> None:
        try:
            await shard.run()
        except ModelError as error:
            log.error("%s", reason(error))  # noqa: TRY400 - the message is for a person, a traceback is not
            self._fail(2)
        except Exception:
            log.exception("shard %d failed", shard.state.partition)
            self._fail(1)
