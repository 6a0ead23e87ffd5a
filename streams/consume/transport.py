"""Faust's Kafka transport with one message a poll, its value all that the poll brought, by partition.

Faust gives membership and the worker's life; its way per event is what costs (docs/architecture.md). Positions do not
come from Kafka's committed offsets but from the state: nothing is fetched from a partition until its shard opens it.
"""

import asyncio
import concurrent.futures
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiokafka
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from segflow.schemas.settings import Settings
from segflow.streams.consume.assignor import StickyAssignor
from segflow.streams.consume.static_member import is_taken, name_of, says_its_name
from segflow.streams.kafka.bounded_fetch import BoundedResults, Taken
from segflow.streams.kafka.clients import aiokafka_options
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.loose_errors import unhandled
from segflow.streams.runtime.wall_clock import now_us

log = logging.getLogger(__name__)

FETCH_WAIT_MS: Final = 20
"""The longest time for which the broker may hold back an empty fetch. A partition whose records were just taken waits
for the fetch under way, so this bounds a quiet partition's delay; fifty empty fetches a second cost 1 % of a core."""
HEARTBEAT_SHARE: Final = 0.1
"""Of a session timeout: a heartbeat. A member learns at its next one that another is dead and the group is divided
again, so with the usual third or fourth that alone would take seconds; a heartbeat costs a request."""
HEARTBEAT_MOST_S: Final = 1.0
"""The longest pause between two. A session timeout of a minute, so that a worker that is started again keeps its
shards, must not make every division of the group take six seconds."""
CREATED: Final = 0
"""Kafka's code for a timestamp that is not the broker's."""
POLL_S: Final = 0.1
"""The time one poll waits for records before it looks again at which partitions want some."""
TELL_S: Final = 2.0
"""The longest wait for committing the group's offsets to Kafka; below the 5 s between two such commits."""
TELLING_S: Final = 10.0
"""The time after which such a commit is given up and tried again: an outage may have swallowed the answer."""


def heartbeat_s(settings: Settings) -> float:
    """Seconds between two heartbeats of a member."""
    return min(HEARTBEAT_SHARE * settings.worker.session_timeout.total_seconds(), HEARTBEAT_MOST_S)


class MembershipEndedError(Exception):
    """The consumer cannot be a member of its group any more; only a new process can."""


class NameTakenError(MembershipEndedError):
    """Another worker has joined the group by this one's name; a new process would take it back."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one partition and poll: all there are at offsets [start, stop)."""

    records: Sequence[Any]
    start: int
    stop: int  # beyond the last record where transaction markers follow it
    bytes: int = 0  # of the records' keys and values
    epochs: Sequence[tuple[int, int]] = ()  # leader epochs, each with the offset from which on it holds


@dataclass(frozen=True, slots=True)
class Reading:
    """The progress of reading one partition, as of one poll."""

    position: int  # the next offset to read
    end: int | None  # the partition's end (last stable offset) as the broker last said
    fetched_us: int  # when it said so, wall clock
    sent: int  # `stop` of the latest batch that is on its way or has arrived
    out_of_range: bool = False  # the topic does not have the position: cut by retention, or recreated


class PartitionGate:
    """The partitions that are read: shared by the shards (which open and close) and the consumer (which looks).

    Set by `streams.worker` on the Faust app as `app.gate` before the transport is made.
    """

    def __init__(self, settings: Settings, full: Callable[[TP], bool]) -> None:
        self.settings = settings
        self.full = full  # whether so much of a partition is held that nothing more is fetched from it
        self.assignor = StickyAssignor()
        self.open: set[TP] = set()
        self.positions: dict[TP, int] = {}  # the consumer thread's own: where each partition's next batch starts
        self.assignments: dict[TP, Any] = {}  # likewise: the assignment in which each partition was opened
        self.readings: dict[TP, Reading] = {}


class Unwrapped(BoundedResults):
    """The records that aiokafka has fetched, one result a partition, left as its parser gives them.

    aiokafka would copy each into an object of eleven fields. A shard needs three of them.
    """

    def bind(self, records: Any) -> None:
        """See BoundedResults."""
        super().bind(records)
        records._consumer_record = _as_parsed  # noqa: SLF001


def _as_parsed(_place: Any, record: Any) -> Any:
    return record


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that holds the aiokafka consumer."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002 - Faust's signature
        """As Faust does it, but for what docs/architecture.md#what-does-faust-do-and-what-not lists.

        Partition i of every input to one worker, and what need not move stays. read_committed. No silent reset:
        positions are set by the shards. A member is dead after the settings' silence, not after a minute.
        """
        self.thread_loop.set_exception_handler(unhandled)
        gate: PartitionGate = self.app.gate
        settings, self._assignor = gate.settings, gate.assignor
        session_ms = int(settings.worker.session_timeout.total_seconds() * 1000)
        return aiokafka.AIOKafkaConsumer(
            group_id=settings.kafka.group,
            group_instance_id=name_of(settings.worker.group_instance_id),
            client_id=self.app.conf.broker_client_id,
            partition_assignment_strategy=[gate.assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            session_timeout_ms=session_ms,
            rebalance_timeout_ms=session_ms,
            heartbeat_interval_ms=int(heartbeat_s(settings) * 1000),
            max_poll_interval_ms=24 * 3_600_000,  # progress is watched by the worker, by lag and not by polls
            **aiokafka_options(settings.kafka),
        )

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Hold every partition back until its shard opens it."""
        says_its_name(self._ensure_consumer()._coordinator)  # noqa: SLF001 - as Faust; the first heartbeat comes after this
        self._ensure_consumer().pause(*map(driver.ensure_aiokafka_TP, assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Look at nothing: segflow's watchdog looks at the partitions that are open.

        Faust takes one that its shard has not opened, such as a parked one's, for one that the client forgot, and logs
        an error for it every few seconds.
        """

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Nothing to seek: a shard seeks when it is acquired."""
        return {}

    async def open(self, offsets: Mapping[TP, int]) -> None:
        """Read the partitions from the given offsets on."""
        await self.call_thread(self._open, offsets)

    async def _open(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for place, offset in offsets.items():
            consumer.seek(driver.ensure_aiokafka_TP(place), offset)
            self.app.gate.positions[place] = offset
            self.app.gate.assignments[place] = consumer._subscription.subscription.assignment  # noqa: SLF001 - as Faust
        consumer.resume(*map(driver.ensure_aiokafka_TP, offsets))

    async def tell(self, offsets: Mapping[TP, int]) -> None:
        """Commit the offsets for the group's monitors, from this thread's loop; where that fails, the next will do."""
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        mine = {driver.ensure_aiokafka_TP(place): offset for place, offset in offsets.items()}
        still_mine = {place: offset for place, offset in mine.items() if place in assigned}
        if not still_mine:  # the group is rebalancing; aiokafka refuses to commit nothing
            return
        try:
            async with asyncio.timeout(TELLING_S):
                await consumer.commit(still_mine)
        except (aiokafka.errors.KafkaError, TimeoutError) as error:
            log.debug("committing the group's offsets: %r", error)

    async def membership_error(self) -> Exception | None:
        """Ask whether the membership had an error since it was asked last; where it had, join the group again.

        From an error on (a heartbeat answered with a code that aiokafka does not expect) its coordination stands still
        until somebody has seen it, and heartbeats are not taken up again before the next join. Its own `getmany` would
        see the error; Faust and `_fetch_records` ask the fetcher, which passes it on only to a poll that is waiting.

        Raises:
            MembershipEndedError: the coordination itself has ended, or another worker has the name.
        """
        found: Exception | None = await self.call_thread(self._membership_error)
        return found

    async def _membership_error(self) -> Exception | None:
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - as Faust
        try:
            coordinator.check_errors()
        except Exception as error:
            if is_taken(error):
                name = coordinator._group_instance_id  # noqa: SLF001
                raise NameTakenError(f"another worker has joined by its name, {name}") from error
            if coordinator._coordination_task.done():  # noqa: SLF001
                raise MembershipEndedError(reason(error)) from error
            coordinator.request_rejoin()
            return error
        return None

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,  # noqa: ARG002 - a poll takes a slice, which is bounded
    ) -> Mapping[TP, list[Any]]:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher  # noqa: SLF001 - as Faust does
        if consumer._closed or fetcher._closed:  # noqa: SLF001
            raise aiokafka.errors.ConsumerStoppedError
        if not isinstance(fetcher._records, Unwrapped):  # noqa: SLF001
            fetcher._records = Unwrapped(fetcher._records)  # noqa: SLF001
        try:
            with fetcher._subscriptions.fetch_context():  # noqa: SLF001
                records: Mapping[Any, Taken] = await fetcher.fetched_records(active_partitions, timeout=timeout)
        except aiokafka.errors.NoOffsetForPartitionError:
            return {}  # the partition was assigned again while this poll was waiting; its shard has yet to open it
        except aiokafka.errors.OffsetOutOfRangeError as error:
            readings = self.app.gate.readings
            for place in error.args[0]:
                readings[place] = Reading(0, None, now_us(), 0, out_of_range=True)
            return {}
        except Exception:
            if not _has_failed(consumer._coordinator):  # noqa: SLF001
                raise
            return {}  # an error of the membership also ends a poll that is waiting; see `membership_error`
        return self._noted(fetcher, records, active_partitions)

    def _noted(self, fetcher: Any, records: Mapping[Any, Taken], places: set[TP]) -> Mapping[TP, list[Any]]:
        """The records as batches; notes where each partition stands, so that a shard knows if it has read everything.

        No await between the fetcher's answer and this, so a position always belongs to its records. A partition that
        was assigned again while the poll was waiting, and not opened since, may have been read from anywhere: what came
        of it is left out, and opening it seeks.
        """
        batches: dict[TP, list[Any]] = {}
        subscription = fetcher._subscriptions.subscription  # noqa: SLF001
        if subscription is None or subscription.assignment is None:
            return batches
        assignment: Any = subscription.assignment
        gate: PartitionGate = self.app.gate
        for place in places:
            opened_in: Any = gate.assignments.get(place)
            if place not in assignment.tps or opened_in is not assignment:
                continue
            state = assignment.state_value(place)
            if not state.has_valid_position or state.timestamp is None:
                continue
            before = gate.readings.get(place)
            sent = 0 if before is None else before.sent
            found = records.get(place)
            if found:
                batches[place] = [Batch(found, gate.positions[place], state.position, found.bytes, found.epochs)]
                sent = gate.positions[place] = state.position
            gate.readings[place] = Reading(state.position, state.lso, state.timestamp * 1000, sent)
        return batches


def _has_failed(coordinator: Any) -> bool:
    """Whether the group's coordination has an error, before `membership_error` has seen it and after, while it joins.

    It may also join for another reason; a partition's error that is passed over then comes again with its next fetch.
    """
    unseen = coordinator._error_consumed_fut is not None  # noqa: SLF001
    joining_again = coordinator._rejoin_needed_fut.done()  # noqa: SLF001
    return unseen or joining_again or coordinator._coordination_task.done()  # noqa: SLF001


class Consumer(driver.Consumer):
    """Yields all records of one poll as one message: what Faust does with a message costs more than a poll."""

    _polls = 0
    _telling: "concurrent.futures.Future[None] | None" = None

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def open(self, offsets: Mapping[TP, int]) -> None:
        """See ConsumerThread."""
        await self._thread.open(offsets)

    async def membership_error(self) -> Exception | None:
        """See ConsumerThread; none before there is a consumer."""
        return None if self._thread._consumer is None else await self._thread.membership_error()  # noqa: SLF001

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run something on the consumer thread's event loop."""
        self._thread.thread_loop.call_soon_threadsafe(callback)

    async def tell(self, offsets: Mapping[TP, int]) -> None:
        """See ConsumerThread. Returns after TELL_S at the latest; while one waits for Kafka there is no second."""
        if self._telling is None or self._telling.done():
            told = self._thread.tell(offsets)
            self._telling = asyncio.run_coroutine_threadsafe(told, self._thread.thread_loop)
            await asyncio.wait({asyncio.wrap_future(self._telling)}, timeout=TELL_S)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:  # noqa: ARG002 - Faust's signature
        """Faust's own commits, of what its agents acknowledged or failed at, never reach Kafka: only `tell` does."""
        return False

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ARG002, ASYNC109 - Faust's signature
        """One message a poll, under the name of one of its partitions; its value the batch of each."""
        gate: PartitionGate = self.app.gate
        wanted = {place for place in gate.open if place in self._active_partitions and not gate.full(place)}
        if not wanted or not self.flow_active:
            await asyncio.sleep(POLL_S / 10)
            return
        batches = await self._thread.getmany(wanted, POLL_S)
        arrived = {place: batch for place, (batch,) in batches.items() if place in gate.open}
        if arrived and self.flow_active:
            yield next(iter(arrived)), self._message(arrived)

    def _message(self, arrived: Mapping[TP, Batch]) -> ConsumerMessage:
        """The message of one poll; its offset is the poll's number.

        Faust drops what lies before the last offset it has seen of a partition. A shard that is acquired again reads
        again what it had read and not committed.
        """
        self._polls += 1
        place = next(iter(arrived))
        return ConsumerMessage(
            place.topic,
            place.partition,
            self._polls,
            time.time(),
            CREATED,
            (),
            None,
            arrived,
            None,
            0,
            len(arrived),
            place,
            generation_id=self.app.consumer_generation_id,
        )


class Transport(driver.Transport):
    """`segflow://host:port` in Faust's settings; an entry point of the group faust.transports."""

    Consumer = Consumer
