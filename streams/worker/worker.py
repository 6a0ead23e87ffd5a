"""The worker: one process of an installation, from its start to its exit code."""

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Any, Final

import uvloop
from aiokafka.errors import KafkaError
from faust.types import TP

from segflow.engine.encode.change_json import Encoder
from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.parking import ParkingNotes
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import servers
from segflow.streams.consume.faust_app import faust_app
from segflow.streams.consume.feed import KafkaFeed
from segflow.streams.consume.membership import WATCH_S, keep_membership
from segflow.streams.consume.transport import MembershipEndedError, NameTakenError
from segflow.streams.control.topic import Control
from segflow.streams.health.clocks import Clocks
from segflow.streams.health.metrics import Metrics
from segflow.streams.health.probe import Pulse
from segflow.streams.health.recovery_look import RecoveryLook
from segflow.streams.health.redis_look import RedisLook
from segflow.streams.health.telemetry import telemetry
from segflow.streams.health.topic_watch import Difference, TopicWatch
from segflow.streams.health.watch import Watch
from segflow.streams.kafka.topics_report import TopicsReport, ends
from segflow.streams.publish.packing import Packing
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.loose_errors import unhandled
from segflow.streams.runtime.memory import tune_process_memory
from segflow.streams.shard.commit_batcher import CommitBatcher
from segflow.streams.shard.parking import LOOK_S, Parking
from segflow.streams.shard.shard import Shard
from segflow.streams.shard.shard_state import ShardState
from segflow.streams.state_topic.reader import TopicFacts
from segflow.streams.worker.assignment import Assignment
from segflow.streams.worker.handover_cut import HandoverCut
from segflow.streams.worker.installation import claim_again
from segflow.streams.worker.status import View

log = logging.getLogger(__name__)

COMMIT_EVERY_S: Final = 5.0
"""The interval at which the group's offsets are committed to Kafka. For lag monitors only: positions come from the
state."""
STOP_S: Final = 9.0
"""For a whole stop, which is promised within 10 s; where it takes longer, Kafka or Redis does not answer."""
SWITCH_S: Final = 0.001
"""The interpreter's thread switch: a batch in a thread must not keep the event loop waiting 5 ms at a time."""


class Worker:
    """One worker process of an installation.

    Args:
        settings: of the installation; its topics and Redis have been checked.
        report: of the topics, as they were checked.
        control: started.
    """

    def __init__(self, settings: Settings, *, report: TopicsReport, control: Control) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.metrics.partitions.set(report.partitions)
        self._partitions = report.partitions
        self._topic_ids = report.input_ids
        self._state_topic = TopicFacts.of(report.topics["state"])
        self._short_entries = ends(report.topics["journal"])
        self._topic_watch = TopicWatch(settings, report.topics)
        self._control = control
        self._redis = servers(settings.redis)
        self._parking = Parking(ParkingNotes(self._redis, settings.redis.prefix))
        self._packing = Packing(settings)
        self._telemetry = telemetry(settings, self.metrics.registry)
        self._batcher = CommitBatcher(
            encoder=Encoder(settings.currency),
            linger_s=settings.worker.linger.total_seconds(),
            look_every_s=settings.worker.sweep_every.total_seconds(),
            store_answers=lambda: not self._watch.redis.problem,
        )
        self._ended = asyncio.Event()
        self._exit_code = 0
        self._end: threading.Timer | None = None
        self._feed = KafkaFeed(settings, lambda: self.app.consumer)
        self._assignment = Assignment(
            self._feed,
            self._partitions,
            shard_of=self._shard_of,
            look_at_topics=self._look_at_topics,
            fail=self._fail,
        )
        self._parking.interrupt = self._assignment.interrupt
        shards = self._assignment.shards
        self._clocks = Clocks(settings.worker.clock_skew_max.total_seconds())
        self._watch = Watch(
            settings,
            partitions=lambda: list(shards),
            redis=RedisLook(
                settings,
                lambda: list(shards),
                self._clocks,
                written=self._assignment.written,
                lost=self._lost,
                claim=lambda connected: claim_again(connected, settings, report, control),
            ),
            clocks=self._clocks,
            recovery=RecoveryLook(settings, report.input_ids, lambda: list(shards), self._assignment.in_state_topic),
            reaches=self._feed.reaches,
            fail=self._hung,
        )
        self.view = View(
            settings=settings,
            metrics=self.metrics,
            watch=self._watch,
            clocks=self._clocks,
            assignment=self._assignment,
            parking=self._parking,
            control=control,
            ended=self._ended,
        )
        self.app = faust_app(settings, self._feed)
        self.app.on_partitions_assigned.connect(self._assignment.assigned)
        self.app.on_partitions_revoked.connect(self._assignment.revoked)
        self.app.task(control.keep_following)
        self.app.task(HandoverCut(settings, self._assignment.written).keep_cutting)
        self.app.task(self._watch_topics)
        self.app.task(self._watch_parked)
        self.app.timer(COMMIT_EVERY_S)(self._tell_kafka)

    def run(self) -> int:
        """Work until SIGTERM or SIGINT.

        Returns:
            The exit code: 0 after a clean stop, 1 after a failure, 2 where a person must decide.
        """
        sys.setswitchinterval(SWITCH_S)
        tune_process_memory()
        uvloop.install()  # the policy, so that the consumer thread has such a loop, too
        return asyncio.run(self._run())

    async def _run(self) -> int:
        """Start the app, wait for a signal or a failure, let the shards finish, stop the app."""
        self._loop = loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._told_to_stop)  # not the loop's: a loop that waits for Redis would not hear it
        self.app.finalize()
        self.app.worker_init()
        self.app.worker_init_post_autodiscover()
        loop.set_exception_handler(unhandled)
        self._watch.pulses["event loop"] = Pulse(loop.call_soon_threadsafe)
        self._watch.start()
        watching = [asyncio.create_task(self._watch_faust()), asyncio.create_task(self._keep_membership())]
        try:
            await self._start_app()
        except (KafkaError, OSError) as error:
            log.error("Kafka went away while the worker started: %s", reason(error))  # noqa: TRY400
            self._fail(1)
        else:
            self._watch.pulses["consumer thread"] = Pulse(self.app.consumer.call_soon)
        await self._ended.wait()
        for task in watching:
            task.cancel()
        await self._stop()
        return self._exit_code

    async def _start_app(self) -> None:
        """Start the app, which waits for its first partitions, for as long as nothing ends the worker."""
        starting, ending = asyncio.create_task(self.app.start()), asyncio.create_task(self._ended.wait())
        await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if starting.done():
            starting.result()

    async def _stop(self) -> None:
        """Let the shards finish, tell Kafka how far they came, leave the group; all of it within STOP_S.

        A server that does not answer must not keep the process: some of what waits for it (threads, Faust's own stop)
        cannot be called off, so the process then ends without it. Nothing is lost: shards recover when they are
        acquired.
        """
        self._end_soon()
        acquired = self._assignment.acquired()
        finished = await self._assignment.release(set(self._assignment.shards))
        if not self._watch.kafka.problem:
            if finished:
                await self._tell(acquired)
            await self.app.stop()
        self._watch.end()
        if self._telemetry is not None:
            await asyncio.to_thread(self._telemetry.end)
        if not finished or self._watch.kafka.problem or self._watch.redis.problem:
            self._give_up()  # threads may still wait for a server

    def _told_to_stop(self, *_: Any) -> None:
        """The signal's handler: it runs also while the event loop waits for a server."""
        self._end_soon()
        self._loop.call_soon_threadsafe(self._ended.set)

    def _end_soon(self) -> None:
        """Within STOP_S, whatever hangs."""
        if self._end is None:
            self._end = threading.Timer(STOP_S, self._give_up)
            self._end.daemon = True
            self._end.start()

    def _give_up(self) -> None:
        """End the process as it is."""
        log.warning(
            "stopped without finishing: Kafka or Redis does not answer. Nothing is lost; "
            "the shards recover when they are acquired again"
        )
        logging.shutdown()
        os._exit(self._exit_code)

    async def _watch_faust(self) -> None:
        """End the worker when Faust has crashed: it would go on holding its partitions."""
        while not self.app.should_stop:  # noqa: ASYNC110 - Faust offers a flag, and no event
            await asyncio.sleep(WATCH_S)
        if not self._ended.is_set():
            self._fail(1)

    async def _keep_membership(self) -> None:
        """End the worker where it cannot be a member of its group any more."""
        try:
            await keep_membership(self.app, self._assignment.note_trouble)
        except NameTakenError as taken:
            log.error(  # noqa: TRY400 - for a person
                "%s, and this one is ended (exit code 2): give each worker a worker.group_instance_id of its own", taken
            )
            self._fail(2)
        except MembershipEndedError as ended:
            log.error("this worker cannot be a member of its group any more (%s) and is ended", ended)  # noqa: TRY400 - for a person
            self._fail(1)

    def _fail(self, code: int) -> None:
        self._exit_code = self._exit_code or code
        self._ended.set()

    def _hung(self) -> None:
        """The watchdog's verdict, from its thread."""
        self._loop.call_soon_threadsafe(self._fail, 1)

    def _lost(self, partition: int, written: Head, error: Exception) -> None:
        """A look's finding, from its thread."""
        self._loop.call_soon_threadsafe(self._assignment.lose, partition, written, error)

    def _shard_of(self, partition: int) -> Shard:
        state = ShardState(
            settings=self.settings,
            partition=partition,
            partitions=self._partitions,
            topic_ids=self._topic_ids,
            state_topic=self._state_topic,
            control=self._control,
            store=RedisStore(self._redis, Keys(self.settings.redis.prefix, partition)),
            feed=self._feed,
            metrics=self.metrics,
            packing=self._packing,
            parking=self._parking,
            look_at_topics=self._look_at_topics,
            short_entries=self._short_entries,
            clock_is_right=lambda: self._clocks.trusted,
            telemetry=self._telemetry,
        )
        return Shard(state, self._batcher)

    async def _watch_topics(self) -> None:
        self._differ(await self._topic_watch.changed())

    async def _look_at_topics(self) -> bool:
        """Whether the topics are as they were, now; where they are not, every shard is parked.

        Raises:
            kafka.errors.KafkaError, OSError: Kafka does not say.
        """
        found = await self._topic_watch.look()
        if found is not None:
            self._differ(found)
        return found is None

    def _differ(self, found: Difference) -> None:
        self._parking.hold_all(found.reason, found.why)

    async def _watch_parked(self) -> None:
        """End the worker where no shard of the installation can go on without a person."""
        while True:
            await asyncio.sleep(LOOK_S)
            mine = {number: shard.state.parked for number, shard in self._assignment.shards.items()}
            if await self._parking.everywhere(mine, self._partitions):
                log.error("every shard is parked: nothing can go on, and this worker is ended (exit code 2)")
                self._fail(2)
                return

    async def _tell_kafka(self) -> None:
        if self._watch.kafka.problem:
            return
        await self._tell(self._assignment.acquired())

    async def _tell(self, shards: list[Shard]) -> None:
        """Commit the group's offsets as the state of acquired shards has them: never beyond what Redis holds."""
        offsets = {
            TP(topic, shard.state.partition): shard.state.worked_to(side)
            for shard in shards
            for side, topic in enumerate(self._feed.topics)
        }
        if offsets:
            await self.app.consumer.tell(offsets)
