"""Observation of a worker's servers and event loops, from threads of its own; and the watchdog.

Nothing here reads through the consumer that it watches: ends come from a client of its own.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kafka import TopicPartition

from segflow.schemas.settings import Settings
from segflow.segments.instant import SECOND_US
from segflow.streams.health.clocks import Clocks, KafkaTime
from segflow.streams.health.probe import ANSWER_S, Probe, Pulse
from segflow.streams.health.recovery_look import RecoveryLook
from segflow.streams.health.redis_look import RedisLook
from segflow.streams.health.stalls import Reach, Stalls
from segflow.streams.kafka.clients import committed_reader
from segflow.streams.kafka.kept_client import KeptClient
from segflow.streams.kafka.topic_kinds import READ

log = logging.getLogger(__name__)

KAFKA_EVERY_S: Final = 2.0
"""A request for some offsets; as fine as the lag's gauge needs to be."""
REDIS_EVERY_S: Final = 1.0
"""One round trip for the earliest timer and the head of each shard, some 100 µs. An emptied Redis shows in it."""
CLOCK_EVERY_S: Final = 5.0
"""A clock that is set while a worker runs is seen at the next look at Redis, which tells its own time."""
RECOVERY_EVERY_S: Final = 5.0
"""A worker that was given other shards looks at them by then; at the same ones it looks less often."""
LOOK_EVERY_S: Final = 1.0
"""The watchdog's own: fine beside the minute after which it acts."""
IDLE_S: Final = 5.0
"""An event loop that does nothing for so long beyond the bound of a Redis call is stuck; small commits make theirs on
it."""
EXIT_S: Final = 12.0
"""A worker that was told to end does so within 10 s."""

Place = tuple[str, int]  # topic, partition


class KafkaEnds:
    """Asks Kafka where the inputs end (last stable offset), outside the group."""

    def __init__(self, settings: Settings, partitions: Callable[[], Iterable[int]]) -> None:
        self._topics = [str(getattr(settings.kafka.topics, role)) for role in READ]
        self._partitions = partitions
        self._client = KeptClient(
            lambda: committed_reader(
                settings.kafka, bootstrap_timeout_ms=ANSWER_S * 1000, request_timeout_ms=ANSWER_S * 1000
            )
        )

    def __call__(self) -> dict[Place, int]:
        """The ends of both inputs of the partitions held; of partition 0 where none are, to see whether Kafka answers.

        Raises:
            kafka.errors.KafkaError: it does not.
        """
        places = [TopicPartition(topic, number) for number in list(self._partitions()) or [0] for topic in self._topics]
        found = self._client.ask(lambda consumer: consumer.end_offsets(places, timeout_ms=ANSWER_S * 1000))
        return {(place.topic, place.partition): end for place, end in found.items()}


class Watch:
    """Probes of Kafka and Redis, pulses of the event loops, and the watchdog that ends a worker that hangs.

    Args:
        settings: of the installation.
        partitions: those the worker holds, now.
        redis: the look at Redis.
        clocks: told of Kafka's time.
        recovery: the look at what Redis could be rebuilt from.
        reaches: how far each input that is open and not held back has come, with the consumer's own idea of its end.
        fail: ends the worker with exit code 1; called from the watchdog's thread.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        partitions: Callable[[], Iterable[int]],
        redis: RedisLook,
        clocks: Clocks,
        recovery: RecoveryLook,
        reaches: Callable[[], Mapping[Place, Reach]],
        fail: Callable[[], None],
    ) -> None:
        self._idle_s = settings.redis.timeout.total_seconds() + IDLE_S
        self._after_s = settings.worker.watchdog_after.total_seconds()
        self._reaches = reaches
        self._fail = fail
        self._stalls = Stalls()
        self._ended = threading.Event()
        self.kafka = Probe("Kafka", KafkaEnds(settings, partitions), KAFKA_EVERY_S)
        self.redis = Probe("Redis", redis, REDIS_EVERY_S)
        kafka_time = KafkaTime(settings.kafka)
        self.kafka_time = Probe(
            "Kafka's clock", lambda: clocks.compare("Kafka", kafka_time), CLOCK_EVERY_S, level=logging.DEBUG
        )
        self.recovery = Probe("Kafka's oldest records", recovery, RECOVERY_EVERY_S, level=logging.DEBUG)
        self.pulses: dict[str, Pulse] = {}
        self._thread = threading.Thread(target=self._guard, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        for thread in (self.kafka, self.redis, self.kafka_time, self.recovery, self._thread):
            thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self.kafka.end()
        self.redis.end()
        self.kafka_time.end()
        self.recovery.end()

    def stuck(self) -> list[str]:
        """Sentences on the event loops that do nothing."""
        idle = {name: pulse.idle_s for name, pulse in self.pulses.items()}
        return [f"the {name} has done nothing for {s:.0f} s" for name, s in idle.items() if s > self._idle_s]

    def lag(self, place: Place, offset: int) -> int | None:
        """Records from `offset` to the end Kafka last gave for an input."""
        end = (self.kafka.answer or {}).get(place)
        return None if end is None else max(0, end - offset)

    def timer_lag_s(self, partition: int, due_us: int) -> float | None:
        """Seconds by which a shard's earliest timer is overdue at `due_us`; 0: none is; None: not known yet."""
        answer = self.redis.answer
        if answer is None or partition not in answer.timers_us:
            return None
        timer_us = answer.timers_us[partition]
        return 0.0 if timer_us is None else max(0.0, (due_us - timer_us) / SECOND_US)

    def _guard(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            for pulse in list(self.pulses.values()):
                pulse.ask()
            why = self._hangs()
            if why is not None:
                log.critical("%s: this worker hangs and is ended (exit code 1); its shards go to others", why)
                self._end_the_worker()
                return

    def _hangs(self) -> str | None:
        for name, pulse in list(self.pulses.items()):
            if pulse.idle_s > max(self._after_s, self._idle_s):
                return f"the {name} has done nothing for {pulse.idle_s:.0f} s"
        ends = {} if self.kafka.problem else self.kafka.answer or {}
        behind = {
            place: reach
            for place, reach in self._reaches().items()
            if min(reach.position, reach.arrived) < ends.get(place, 0)
        }
        for (topic, number), stalled_s in self._stalls.look(behind, time.monotonic()).items():
            if stalled_s >= self._after_s:
                end = ends[topic, number]
                reach = behind[topic, number]
                return (
                    f"{topic}, partition {number}, ends at {end}, and nothing was read of it for {stalled_s:.0f} s "
                    f"beyond {min(reach)}"
                )
        return None

    def _end_the_worker(self) -> None:
        """By its own means, and where those hang, too, without."""
        self._fail()
        time.sleep(EXIT_S)
        logging.shutdown()
        os._exit(1)
