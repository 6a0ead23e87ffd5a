"""The worker: a Faust app whose one agent hands records to shards, and what starts before it and stops after it."""

import asyncio
import logging
import os
import signal
import sys
from typing import Any, Final

import faust
import uvloop
from aiokafka.errors import KafkaError
from faust.types import TP
from prometheus_client import generate_latest

from schemas.settings import Settings
from state.keys import Keys
from state.redis import RedisStore
from state.redis_connection import client
from streams.collector import calm_collector
from streams.control import Control
from streams.events import INTERACTIONS, PURCHASES
from streams.faust_app import App
from streams.metrics import Metrics
from streams.shard import Shard, ShardStoppedError
from streams.topic_watch import TopicWatch
from streams.transport import Batch, Gate, Reading

log = logging.getLogger(__name__)

HELD_BATCHES: Final = 2
"""Batches of an input that a shard holds before nothing more is fetched from it: one under way, one ready."""
COMMIT_EVERY_S: Final = 5.0
"""How often Kafka is told how far the group has read: for lag monitors; positions come from the state."""
RETRY_S: Final = 1.0
"""Between two tries at the control topic; new cuts may wait so long."""
STOP_S: Final = 5
"""For the shards to finish their commits, and again for the app to stop: a stop within 10 s in all."""
WATCH_S: Final = 0.5
"""How soon a crashed app ends the process."""
SWITCH_S: Final = 0.001
"""The interpreter's thread switch: a batch in a thread must not keep the event loop waiting 5 ms at a time."""


class Worker:
    """One worker process of an installation.

    Args:
        settings: of the installation; its topics and Redis have been checked.
        partitions: of each input.
        topic_ids: of purchases and interactions.
        control: started.
    """

    def __init__(self, settings: Settings, *, partitions: int, topic_ids: tuple[str, str], control: Control) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._partitions = partitions
        self._topic_ids = topic_ids
        self._control = control
        self._redis = client(settings.redis)
        self._topics = (settings.kafka.topics.purchases, settings.kafka.topics.interactions)
        self._shards: dict[int, Shard] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        self._exit_code = 0
        self._gate = Gate(settings, self._full)
        self.app = self._faust_app()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT.

        Returns:
            The exit code: 0 after a clean stop, 1 after a failure, 2 where a person must decide.
        """
        sys.setswitchinterval(SWITCH_S)
        calm_collector()
        uvloop.install()  # the policy, so that the consumer thread has such a loop, too
        return asyncio.run(self._run())

    async def _run(self) -> int:
        """Start the app, wait for a signal or a failure, let the shards finish, stop the app."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._ended.set)
        self.app.finalize()
        self.app.worker_init()
        self.app.worker_init_post_autodiscover()
        await self.app.start()
        watching = asyncio.create_task(self._watch())
        await self._ended.wait()
        watching.cancel()
        try:
            await asyncio.wait_for(self._release(set(self._shards)), STOP_S)
            await self._tell_kafka()
            await asyncio.wait_for(self.app.stop(), STOP_S)
        except TimeoutError:
            log.warning(
                "the worker did not stop within %d s and is ended; its shards heal when they are taken", 2 * STOP_S
            )
            os._exit(1)
        return self._exit_code

    async def _watch(self) -> None:
        """End the worker when Faust has crashed: it would go on holding its partitions."""
        while not self.app.should_stop:  # noqa: ASYNC110 - Faust offers a flag, and no event
            await asyncio.sleep(WATCH_S)
        if not self._ended.is_set():
            self._fail(1)

    def _fail(self, code: int) -> None:
        self._exit_code = self._exit_code or code
        self._ended.set()

    # What the shards need of the consumer (streams.shard.Feed).

    async def open(self, partition: int, offsets: tuple[int, int]) -> None:
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
            broker_heartbeat_interval=session_s / 4,
            broker_max_poll_interval=0,
            broker_check_crcs=True,
            stream_wait_empty=False,  # a shard finishes its commit by itself, see _revoked
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=settings.worker.http_port != 0,
            web_bind="127.0.0.1",
            web_port=settings.worker.http_port or None,
            producer_acks=-1,
            autodiscover=False,
            store="memory://",
        )
        app.gate = self._gate
        inputs = app.topic(*self._topics, key_serializer="raw", value_serializer="raw", acks=False)

        @app.agent(inputs, concurrency=1)
        async def hand_over(stream: Any) -> None:
            """Each message is all records of one partition and poll; the shard takes them from here."""
            async for event in stream.noack().events():
                self._hand_over(event.message.tp, event.message.value)

        app.on_partitions_assigned.connect(self._assigned)
        app.on_partitions_revoked.connect(self._revoked)
        app.task(self._follow_control)
        app.task(self._watch_topics)
        app.timer(COMMIT_EVERY_S)(self._tell_kafka)
        self._pages(app)
        return app

    def _full(self, place: TP) -> bool:
        """Whether a shard holds enough of an input: what is fetched is bounded, whatever waits in Kafka."""
        shard = self._shards.get(place.partition)
        if shard is None:
            return True
        return shard.inbox.sides[self._side(place)].waiting >= HELD_BATCHES * self.settings.worker.batch_max_records

    def _side(self, place: TP) -> int:
        return PURCHASES if place.topic == self._topics[PURCHASES] else INTERACTIONS

    def _hand_over(self, place: TP, batch: Batch) -> None:
        shard = self._shards.get(place.partition)
        if shard is None or place not in self._gate.open:
            return
        shard.inbox.offer(self._side(place), batch)

    async def _assigned(self, _app: Any, assigned: set[TP], **_: Any) -> None:
        for partition in sorted({place.partition for place in assigned}):
            missing = [topic for topic in self._topics if TP(topic, partition) not in assigned]
            if missing:  # the others of the group would not take it either; a new start says what is wrong
                log.error(
                    "partition %d of %s did not come with its other input: the topic was deleted, or a group member "
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
        await self._release({place.partition for place in revoked})

    async def _release(self, partitions: set[int]) -> None:
        """Let shards finish the commit under way."""
        held = [self._shards.pop(partition) for partition in partitions if partition in self._shards]
        tasks = [self._tasks.pop(shard.partition) for shard in held]
        for shard in held:
            shard.stop()
        if tasks:
            await asyncio.wait(tasks)

    async def _follow_control(self) -> None:
        while True:
            try:
                await self._control.follow()
            except (KafkaError, OSError) as error:
                log.warning("following the control topic: %s; trying again", error)
                await asyncio.sleep(RETRY_S)

    async def _watch_topics(self) -> None:
        name = await TopicWatch(self.settings, self._topic_ids).changed()
        log.error("%s was deleted and made again while it was read; the state belongs to the old one", name)
        self._fail(2)

    async def _tell_kafka(self) -> None:
        """The group's offsets as the state has them."""
        offsets: dict[TP, int] = {}
        for shard in self._shards.values():
            if hasattr(shard, "head"):
                offsets[TP(self._topics[PURCHASES], shard.partition)] = shard.head.purchases.offset
                offsets[TP(self._topics[INTERACTIONS], shard.partition)] = shard.head.interactions.offset
        if offsets:
            await self.app.consumer._thread.commit(offsets)  # noqa: SLF001 - Faust's own commit counts acks we do not give

    def _pages(self, app: faust.App) -> None:
        @app.page("/metrics")
        async def metrics(web: Any, _request: Any) -> Any:
            return web.text(generate_latest(self.metrics.registry).decode(), content_type="text/plain")

        @app.page("/live")
        async def live(web: Any, _request: Any) -> Any:
            return web.json({"live": True})

        @app.page("/ready")
        async def ready(web: Any, _request: Any) -> Any:
            taken = sorted(number for number, shard in self._shards.items() if hasattr(shard, "head"))
            is_ready = bool(self._shards) and len(taken) == len(self._shards)
            return web.json({"ready": is_ready, "shards": taken}, status=200 if is_ready else 503)
