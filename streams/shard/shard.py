"""One shard's life: acquire it, work it commit by commit, release it; after an error, again."""

import asyncio
import gc
import logging
from contextlib import suppress
from time import monotonic
from typing import Final

import msgspec
import redis
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from segflow.segments.not_computable import NotComputableError
from segflow.state.head import Head
from segflow.state.store import RolledBackError, ShardLostError, TornStateError
from segflow.streams.consume.input_gate import OutOfRangeError
from segflow.streams.consume.transport import HEARTBEAT_SHARE
from segflow.streams.journal.journal import JournalError
from segflow.streams.publish.publisher import Publisher
from segflow.streams.runtime.backoff import Backoff
from segflow.streams.runtime.error_reason import reason
from segflow.streams.shard.acquire import acquire
from segflow.streams.shard.commit_batcher import CommitBatcher
from segflow.streams.shard.commit_loop import CommitLoop
from segflow.streams.shard.input_positions import InputLostError
from segflow.streams.shard.shard_state import ShardState

log = logging.getLogger(__name__)

RETRY_S: Final = (0.1, 5.0)
"""First and longest pause before a shard is acquired again after an error."""
HEARTBEATS: Final = 2
"""Heartbeats that a fenced worker waits before it acquires the shard again: in one of them its group says whether the
shard is still its own. Acquiring it at once would fence the heir, who would fence this worker in return."""
STEADY_S: Final = 10.0
"""A shard that was held so long met a new error: the pauses begin with the first again."""
CLOSE_S: Final = 1.0
"""For closing a producer before the shard goes on without it: one without a broker takes up to 40 s, in the back."""


class ShardStoppedError(Exception):
    """The shard cannot go on without a person; the message says why and what to do."""


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

    async def run(self) -> None:
        """Acquire the shard and work it until it is stopped.

        After an error of Kafka or Redis nobody knows what was committed: all is dropped and the shard acquired again.

        Raises:
            ShardStoppedError: it cannot go on without a person.
        """
        state, backoff = self.state, Backoff(*RETRY_S, steady_s=STEADY_S)
        while not state.stopping.is_set():
            started_s = monotonic()
            least_s = 0.0
            try:
                await acquire(state)
                await self._commits.run()
            except TornStateError as error:
                raise ShardStoppedError(
                    f"{error}. To rebuild the state, stop the workers and type "
                    f"`segflow rebuild --shard {state.partition}`"
                ) from error
            except InputLostError as error:
                raise ShardStoppedError(str(error)) from error
            except (JournalError, NotComputableError, msgspec.MsgspecError) as error:
                raise ShardStoppedError(f"shard {state.partition}: {error}") from error
            except (KafkaError, redis.RedisError, ShardLostError, OutOfRangeError, OSError) as error:
                self._failed(error)
                least_s = self._heartbeats_s if _is_fenced(error) else 0.0
            finally:
                state.acquired = False
                await self._release()
            pause_s = backoff.next_s(after_s=monotonic() - started_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(state.stopping.wait(), max(least_s, pause_s))

    @property
    def _heartbeats_s(self) -> float:
        return HEARTBEATS * HEARTBEAT_SHARE * self.state.settings.worker.session_timeout.total_seconds()

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
            log.warning("shard %d: closing its producer: %s", self.state.partition, error)


def _is_fenced(error: Exception) -> bool:
    """Whether the error says that another worker has the shard, or had it."""
    return isinstance(error, ProducerFenced | ShardLostError) and not isinstance(error, RolledBackError)
