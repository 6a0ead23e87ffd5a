"""One shard's life: acquire it, work it commit by commit, release it; after an error, again, or park it."""

import asyncio
import gc
import logging
from contextlib import suppress
from time import monotonic
from typing import Final

import msgspec
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from segflow.schemas.model_error import ModelError
from segflow.state.head import Head, decode
from segflow.state.parking import MENDED_ELSEWHERE, Parked, Reason
from segflow.state.store import RolledBackError, ShardLostError, TornStateError, head_error
from segflow.streams.consume.transport import heartbeat_s
from segflow.streams.publish.publisher import Publisher
from segflow.streams.runtime.backoff import Backoff
from segflow.streams.runtime.error_reason import reason
from segflow.streams.shard.acquire import acquire
from segflow.streams.shard.commit_batcher import CommitBatcher
from segflow.streams.shard.commit_loop import CommitLoop
from segflow.streams.shard.parking import AGAIN_S, LOOK_S, REBUILD_S, parked_for
from segflow.streams.shard.shard_state import ShardState

log = logging.getLogger(__name__)

RETRY_S: Final = (0.1, 5.0)
"""First and longest pause before a shard is acquired again after an error."""
HEARTBEATS: Final = 2
"""Heartbeats that a fenced worker waits before it acquires the shard again: in one of them its group says whether the
shard is still its own. Acquiring it at once would fence the heir, who would fence this worker in return."""
STEADY_S: Final = 10.0
"""A shard that was held so long met a new error: the pauses begin with the first again."""
PARTIAL: Final = b'"partial":true'
"""In a head while `segflow rebuild` makes again what stands beside it."""
CLOSE_S: Final = 1.0
"""For closing a producer before the shard goes on without it: one without a broker takes up to 40 s, in the back."""


class Shard:
    """Partition p of the inputs, worked by this process.

    batcher: of the worker; it executes the small commits of its shards together.
    """

    def __init__(self, state: ShardState, batcher: CommitBatcher) -> None:
        self.state = state
        self._commits = CommitLoop(state, batcher)
        self._closing: set[asyncio.Task[None]] = set()  # earlier publishers on their way out

    def stop(self) -> None:
        """Finish the commit under way, then release the shard."""
        self.state.stopping.set()
        self._commits.stop()

    def lose(self, written: Head, error: Exception) -> None:
        """Release the shard and acquire it again: a look from outside saw that Redis has not what was written.

        Args:
            written: the head then; a shard that was acquired again since knows better.
            error: what is wrong.
        """
        if self.state.acquired and self.state.head.owner == written.owner:
            self._commits.fail(error)

    def interrupt(self) -> None:
        """Finish the commit under way, then look whether every shard is to be parked."""
        self._commits.stop()

    async def run(self) -> None:
        """Acquire the shard and work it until it is stopped.

        After an error of Kafka or Redis nobody knows what was committed: all is dropped and the shard acquired again.
        One that would come again parks it, until it is repaired.

        Raises:
            ModelError: this process lacks a model that the rules need; another may have it.
        """
        state, backoff = self.state, Backoff(*RETRY_S, steady_s=STEADY_S)
        # Of the worker that had it before, which may be dead.
        state.note_stands = not await state.parking.note(state.partition, None)
        while not state.stopping.is_set():
            if state.parking.hold is not None:
                await self._wait_for_lift(state.parking.hold)
                continue
            started_s, least_s, parked = monotonic(), 0.0, None
            try:
                await acquire(state)
                await self._commits.run()
            except (ModelError, MemoryError):
                raise
            except Exception as raised:  # one shard's must not end the others
                error = await self._seen_whole(raised)
                parked = parked_for(error, state.partition)
                if parked is None:
                    self._failed(error)
                    least_s = self._heartbeats_s if _is_fenced(error) else 0.0
                elif parked.reason == Reason.UNEXPECTED and not _is_same(parked, state.parked):
                    log.exception("shard %d", state.partition)
            finally:
                state.acquired = False
                await self._release()
            if parked is not None:
                await self._park(parked)
                backoff.reset()
            elif state.parking.hold is None:
                pause_s = backoff.next_s(after_s=monotonic() - started_s)
                await self._pause(max(least_s, pause_s))

    async def _seen_whole(self, error: Exception) -> Exception:
        """The error; where Redis was emptied or rolled back in the middle of a commit, that.

        Records that are gone while the head stands are a torn state. Where the head is gone, too, all was lost.
        """
        if not self.state.acquired or isinstance(error, RolledBackError):
            return error
        if not isinstance(error, TornStateError | ShardLostError):
            return error
        written = self.state.head
        found = await self.state.parking.head(self.state.partition)
        try:
            stored = decode(found) if found else None
        except msgspec.MsgspecError:
            return error
        if found is None or stored == written:
            return error
        return head_error(self.state.partition, stored, written)

    async def _park(self, parked: Parked) -> None:
        """Wait until the shard is to be tried again: its head has changed, or it is time for a try."""
        state = self.state
        if not _is_same(parked, state.parked):  # else it was tried again, in vain
            # As one text, of which there is no other: the limit on like messages must leave no shard's reason out.
            log.error(f"shard {state.partition} is parked ({parked.reason}): {parked.why}")  # noqa: G004
            state.parked, state.trouble = parked, ""
        await state.parking.note(state.partition, state.parked)
        parked_s = changed_s = monotonic()
        first = last = await state.parking.head(state.partition)
        while not state.stopping.is_set() and state.parking.hold is None:
            await self._pause(LOOK_S)
            now_s, found = monotonic(), await state.parking.head(state.partition)
            if found != last:  # it may be changing still: one more look
                last, changed_s = found, now_s
            elif found is not None and found != first and not _is_rebuilt(found, now_s - changed_s):
                log.warning("shard %d was repaired, and is acquired again", state.partition)
                return
            elif parked.reason in MENDED_ELSEWHERE and now_s - parked_s >= AGAIN_S:
                return

    async def _wait_for_lift(self, hold: Parked) -> None:
        """Stay parked with all the others."""
        state = self.state
        state.parked, state.trouble = hold, ""
        await state.parking.note(state.partition, hold)
        while not state.stopping.is_set() and state.parking.hold is hold:
            await self._pause(LOOK_S)

    async def _pause(self, pause_s: float) -> None:
        """For so long, or until the shard is to stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.state.stopping.wait(), pause_s)

    @property
    def _heartbeats_s(self) -> float:
        return HEARTBEATS * heartbeat_s(self.state.settings)

    def _failed(self, error: Exception) -> None:
        state = self.state
        state.trouble = reason(error)
        log.warning("shard %d: %s; acquiring it again", state.partition, state.trouble)
        state.metrics.reacquisitions.inc()
        if isinstance(error, RolledBackError):
            state.metrics.rollbacks.inc()
        if isinstance(error, ShardLostError):
            state.metrics.fenced.labels("redis").inc()
        elif isinstance(error, ProducerFenced | InvalidProducerEpoch):
            state.metrics.fenced.labels("kafka").inc()

    async def _release(self) -> None:
        state = self.state
        state.feed.close(state.partition)
        if state.publisher is not None:
            publisher, state.publisher = state.publisher, None
            closing = asyncio.create_task(self._close(publisher))
            self._closing.add(closing)  # or nobody would hold the task
            closing.add_done_callback(self._closing.discard)
            await asyncio.wait({closing}, timeout=CLOSE_S)
        await asyncio.to_thread(state.store.close)
        gc.collect()  # Kafka's clients end in cycles, which the tuned collector would leave for hours

    async def _close(self, publisher: Publisher) -> None:
        try:
            await publisher.close()
        except (KafkaError, OSError) as error:
            log.warning("shard %d: closing its producer: %s", self.state.partition, reason(error))


def _is_same(parked: Parked, before: Parked | None) -> bool:
    """Whether the shard is parked for the same again."""
    return before is not None and (parked.reason, parked.why) == (before.reason, before.why)


def _is_rebuilt(head: bytes, still_s: float) -> bool:
    """Whether `segflow rebuild` is at work on what stands beside this head, which has not changed for so long."""
    return PARTIAL in head and still_s < REBUILD_S


def _is_fenced(error: Exception) -> bool:
    """Whether the error says that another worker has the shard, or had it."""
    return isinstance(error, ProducerFenced | ShardLostError) and not isinstance(error, RolledBackError)
