"""The worker: a Faust app whose one agent hands records to shards, and what starts before it and stops after it."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from typing import Any, Final

import faust
import uvloop
from aiokafka.errors import KafkaError
from faust.types import TP

from segflow.engine.encode.change_json import Encoder
from segflow.schemas.settings import Settings
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.streams.consume.faust_app import App
from segflow.streams.consume.input_gate import INPUTS
from segflow.streams.consume.transport import HEARTBEAT_SHARE, Batch, Gate, MembershipEndedError, Reading
from segflow.streams.control.topic import Control
from segflow.streams.health.metrics import Metrics
from segflow.streams.health.probe import Pulse
from segflow.streams.health.stalls import Reach
from segflow.streams.health.topic_watch import TopicWatch
from segflow.streams.health.watch import Watch
from segflow.streams.kafka.topics import READ
from segflow.streams.publish.packing import Packing
from segflow.streams.runtime.backoff import Backoff
from segflow.streams.runtime.memory import tune_process_memory
from segflow.streams.shard.commit_batcher import CommitBatcher
from segflow.streams.shard.shard import Shard, ShardStoppedError
from segflow.streams.worker.status import View

log = logging.getLogger(__name__)

HELD_BATCHES: Final = 2
"""Batches of an input that a shard holds before nothing more is fetched from it: one under way, one ready."""
COMMIT_EVERY_S: Final = 5.0
"""How often Kafka is told how far the group has read: for lag monitors; positions come from the state."""
RETRY_S: Final = (0.5, 10.0)
"""First and longest pause between two tries at the control topic, for which new cuts may wait, and at the group."""
FINISH_S: Final = 5.0
"""For the shards to finish their commits, at a stop and when they go to another worker: within a session timeout."""
STOP_S: Final = 9.0
"""For a whole stop, which is promised within 10 s; where it takes longer, Kafka or Redis does not answer."""
WATCH_S: Final = 0.5
"""How soon a crashed app ends the process, and an error of the membership is answered by joining again: both within a
heartbeat of the shortest session timeout Kafka allows (6 s)."""
SWITCH_S: Final = 0.001
"""The interpreter's thread switch: a batch in a thread must not keep the event loop waiting 5 ms at a time."""


class Worker:
    """One worker process of an installation.

    Args:
        settings: of the installation; its topics and Redis have been checked.
        partitions: of each input.
        topic_ids: of purchases, interactions and what shards hand over.
        control: started.
    """

    def __init__(self, settings: Settings, *, partitions: int, topic_ids: tuple[str, ...], control: Control) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._partitions = partitions
        self._topic_ids = topic_ids
        self._control = control
        self._redis = client(settings.redis)
        self._topics = tuple(str(getattr(settings.kafka.topics, role)) for role in READ)
        self._shards: dict[int, Shard] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._packing = Packing(settings)
        self._batcher = CommitBatcher(Encoder(settings.currency), settings.worker.linger.total_seconds())
        self._ended = asyncio.Event()
        self._exit_code = 0
        self._end: threading.Timer | None = None
        self._watch = Watch(settings, partitions=lambda: list(self._shards), reaches=self._reaches, fail=self._hung)
        self.view = View(
            settings=settings, metrics=self.metrics, watch=self._watch, shards=self._shards, ended=self._ended
        )
        self._gate = Gate(settings, self._full)
        self.app = self._faust_app()

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
        loop.set_exception_handler(_unhandled)
        self._watch.pulses["event loop"] = Pulse(loop.call_soon_threadsafe)
        self._watch.start()
        watching = [asyncio.create_task(self._watch_faust()), asyncio.create_task(self._watch_membership())]
        try:
            await self._start_app()
        except (KafkaError, OSError) as error:
            log.error("Kafka went away while the worker started: %s: %s", type(error).__name__, error)  # noqa: TRY400
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
        cannot be called off, so the process then ends without it. Nothing is lost; shards heal when they are acquired.
        """
        self._end_soon()
        acquired = [shard for shard in self._shards.values() if shard.acquired]
        finished = await self._release(set(self._shards))
        if not self._watch.kafka.problem:
            if finished:
                await self._tell(acquired)
            await self.app.stop()
        self._watch.end()
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
            "the shards heal when they are taken"
        )
        logging.shutdown()
        os._exit(self._exit_code)

    async def _watch_faust(self) -> None:
        """End the worker when Faust has crashed: it would go on holding its partitions."""
        while not self.app.should_stop:  # noqa: ASYNC110 - Faust offers a flag, and no event
            await asyncio.sleep(WATCH_S)
        if not self._ended.is_set():
            self._fail(1)

    async def _watch_membership(self) -> None:
        """Join the group again after an error; end the worker where that cannot be done any more."""
        backoff = Backoff(*RETRY_S, steady_s=RETRY_S[1])
        well_since_s = time.monotonic()
        while not self.app.should_stop:
            await asyncio.sleep(WATCH_S)
            try:
                error = await self.app.consumer.membership_error()
            except MembershipEndedError as ended:
                log.error("this worker cannot be a member of its group any more (%s) and is ended", ended)  # noqa: TRY400 - for a person
                self._fail(1)
                return
            if error is not None:
                log.warning("the group's coordination: %r; joining again", error)
                await asyncio.sleep(backoff.next_s(after_s=time.monotonic() - well_since_s))
                well_since_s = time.monotonic()

    def _fail(self, code: int) -> None:
        self._exit_code = self._exit_code or code
        self._ended.set()

    def _hung(self) -> None:
        """The watchdog's verdict, from its thread."""
        self._loop.call_soon_threadsafe(self._fail, 1)

    def _reaches(self) -> dict[tuple[str, int], Reach]:
        """How far the inputs that nothing holds back have come, for the watchdog."""
        reaches = {}
        for partition, shard in list(self._shards.items()):
            for side in INPUTS:
                place = TP(self._topics[side], partition)
                if not shard.acquired or place not in self._gate.open or self._full(place):
                    continue
                arrived = shard.inputs.buffers[side].read_to
                reading = self._gate.readings.get(place)
                position = arrived if reading is None else reading.position
                if reading is None or arrived >= reading.sent:
                    arrived = position  # past the transaction markers that no batch brings
                reaches[place.topic, partition] = Reach(position, arrived)
        return reaches

    # What the shards need of the consumer (streams.consume.input_gate.Feed).

    async def open(self, partition: int, offsets: tuple[int, ...]) -> None:
        """See Feed."""
        places = {TP(topic, partition): offset for topic, offset in zip(self._topics, offsets, strict=True)}
        for place in places:
            self._gate.readings.pop(place, None)
        await self.app.consumer.open(places)
        self._gate.open.update(places)

    def close(self, partition: int) -> None:
        """See Feed."""
        for topic in self._topics:
            self._gate.open.discard(TP(topic, partition))

    def reading(self, side: int, partition: int) -> Reading | None:
        """See Feed."""
        return self._gate.readings.get(TP(self._topics[side], partition))

    def _faust_app(self) -> faust.App:
        settings = self.settings
        session_s = settings.worker.session_timeout.total_seconds()
        app = App(
            settings.kafka.group,
            broker=f"segflow://{settings.kafka.address.split(',')[0]}",
            broker_session_timeout=session_s,
            broker_heartbeat_interval=session_s * HEARTBEAT_SHARE,
            broker_max_poll_interval=0,
            broker_check_crcs=True,
            stream_wait_empty=False,  # a shard finishes its commit by itself, see _revoked
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,  # its pages would not answer when the event loop does not: see health/pages.py
            producer_acks=-1,
            autodiscover=False,
            store="memory://",
        )
        app.gate = self._gate
        inputs = app.topic(*self._topics, key_serializer="raw", value_serializer="raw", acks=False)

        @app.agent(inputs, concurrency=1)
        async def hand_over(stream: Any) -> None:
            """Each message is all that one poll brought, by partition; the shards take it from here."""
            async for event in stream.noack().events():
                for place, batch in event.message.value.items():
                    self._hand_over(place, batch)

        app.on_partitions_assigned.connect(self._assigned)
        app.on_partitions_revoked.connect(self._revoked)
        app.task(self._follow_control)
        app.task(self._watch_topics)
        app.timer(COMMIT_EVERY_S)(self._tell_kafka)
        return app

    def _full(self, place: TP) -> bool:
        """Whether a shard holds enough of an input: what is fetched is bounded, whatever waits in Kafka."""
        shard = self._shards.get(place.partition)
        if shard is None:
            return True
        return shard.inputs.buffers[self._side(place)].waiting >= HELD_BATCHES * self.settings.worker.batch_max_records

    def _side(self, place: TP) -> int:
        return self._topics.index(place.topic)

    def _hand_over(self, place: TP, batch: Batch) -> None:
        shard = self._shards.get(place.partition)
        if shard is None or place not in self._gate.open:
            return
        shard.inputs.offer(self._side(place), batch)

    async def _assigned(self, _app: Any, assigned: set[TP], **_: Any) -> None:
        self.view.joined = True
        for partition in sorted({place.partition for place in assigned}):
            missing = [topic for topic in self._topics if TP(topic, partition) not in assigned]
            if missing:  # the others of the group would not take it either; a new start says what is wrong
                log.error(
                    "partition %d of %s did not come with its other inputs: the topic was deleted, or a group member "
                    "places partitions in another way",
                    partition,
                    ", ".join(missing),
                )
                self._fail(1)
                return
            self._shards[partition] = shard = Shard(
                settings=self.settings,
                partition=partition,
                partitions=self._partitions,
                topic_ids=self._topic_ids,
                control=self._control,
                store=RedisStore(self._redis, Keys(self.settings.redis.prefix, partition)),
                feed=self,
                metrics=self.metrics,
                turn=self._turn,
                batcher=self._batcher,
                packing=self._packing,
                store_answers=lambda: not self._watch.redis.problem,
            )
            self._tasks[partition] = asyncio.create_task(self._work(shard), name=f"shard-{partition}")

    async def _work(self, shard: Shard) -> None:
        try:
            await shard.run()
        except ShardStoppedError as error:
            log.error("%s", error)  # noqa: TRY400 - the message is for a person, a traceback is not
            self._fail(2)
        except Exception:
            log.exception("shard %d failed", shard.partition)
            self._fail(1)

    async def _revoked(self, _app: Any, revoked: set[TP], **_: Any) -> None:
        self.view.joined = False
        await self._release({place.partition for place in revoked})

    async def _release(self, partitions: set[int]) -> bool:
        """Let shards finish the commit under way, for FINISH_S; one that is not acquired has nothing to finish.

        Returns:
            Whether none had to be broken off in the middle of a commit.
        """
        held = [self._shards.pop(partition) for partition in partitions if partition in self._shards]
        tasks = [self._tasks.pop(shard.partition) for shard in held]
        for shard, task in zip(held, tasks, strict=True):
            self.close(shard.partition)  # at once: what is assigned anew has no position until its shard opens it
            shard.stop()
            if not shard.acquired:
                task.cancel()
        if not tasks:
            return True
        _, late = await asyncio.wait(tasks, timeout=FINISH_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)
        return not late

    async def _follow_control(self) -> None:
        backoff = Backoff(*RETRY_S, steady_s=RETRY_S[1])
        while True:
            started_s = time.monotonic()
            try:
                await self._control.follow()
            except (KafkaError, OSError) as error:
                log.warning("following the control topic: %s; trying again", error)
            await asyncio.sleep(backoff.next_s(after_s=time.monotonic() - started_s))

    async def _watch_topics(self) -> None:
        name = await TopicWatch(self.settings, self._topic_ids).changed()
        log.error("%s was deleted and made again while it was read; the state belongs to the old one", name)
        self._fail(2)

    async def _tell_kafka(self) -> None:
        if self._watch.kafka.problem:
            return
        await self._tell([shard for shard in self._shards.values() if shard.acquired])

    async def _tell(self, shards: list[Shard]) -> None:
        """Commit the group's offsets as the state of acquired shards has them: never beyond what Redis holds."""
        offsets: dict[TP, int] = {}
        for shard in shards:
            for topic, position in zip(self._topics, shard.head.positions, strict=True):
                offsets[TP(topic, shard.partition)] = position.offset
        if offsets:
            await self.app.consumer.tell(offsets)


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody awaits any more: aiokafka leaves errors in producers that were thrown away for them."""
    error = context.get("exception")
    if isinstance(error, KafkaError):
        log.debug("of a client that was thrown away: %s: %s", type(error).__name__, error)
    else:
        loop.default_exception_handler(context)
