"""All the faults, one method each, and a random choice among them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from random import Random
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from segflow.embedded.redis_server import RedisServer
from segflow.embedded.server_process import started
from tests.faults.installation import Installation
from tests.faults.stream import Stream, misplaced, unusable
from tests.faults.upstream import in_transactions
from tests.soak.workers import POINTS, Workers
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.proxy import END_TXN, PRODUCE, Proxy, kafka_request, redis_exec
from tests.support.until import until

REPLY_S: Final = 10.0
"""Requests come many a second: within that one must have met its fault."""
CRASHED: Final = "worker killed at a step of a commit or an acquisition"
MINUTES_FOR_ONE: Final = 15
"""Each kind of fault must fire once in so many minutes: with the failpoints some 60 in half an hour, of 70 that a busy
machine comes to."""
LATE: Final = 0.4
"""From this share of the soak on what has fired too seldom goes first."""
FLOOD: Final = 3000
"""Unusable records at once: 20 s of the stream."""
MISPLACED: Final = 20
"""Records on a partition that is not their key's, of a producer with another partitioner."""


class Faults:
    """Kafka, Redis, their proxies and the workers, and the faults that can be injected into them."""

    def __init__(
        self,
        installed: Installation,
        kafka: ProxiedKafka,
        redis: RedisServer,
        wire: Proxy,
        workers: Workers,
        random: Random,
        minutes: float,
    ) -> None:
        self._installed, self._kafka, self._redis, self._wire = installed, kafka, redis, wire
        self._workers, self._random, self._minutes = workers, random, minutes
        self._upstream = Stream(random.randrange(2**31), customers=50, step_hours=0.01)
        self.fired: Counter[str] = Counter()

    def once(self, progress: float) -> str:
        """One random fault, over when this returns; its name. `progress`: how much of the soak is over, 0 to 1.

        Every second one, and later every one, is of a kind that has fired too seldom so far.
        """
        faults = self._kinds()
        due = [name for name in faults if self._is_due(name)]
        if due and (progress > LATE or self._random.random() < 0.5):
            name = self._random.choice(due)
        else:
            (name,) = self._random.choices(list(faults), [weight for weight, _ in faults.values()])
        faults[name][1]()
        self.fired[name] += 1
        return name

    def too_few(self) -> dict[str, str]:
        """The kinds that have fired less often than they must, and how often; failpoints among them."""
        seldom = {
            name: f"{self.fired[name]} of {self._least}" for name in self._kinds() if self.fired[name] < self._least
        }
        return seldom | {f"killed at {point}": "never" for point in self._unreached()}

    def _is_due(self, name: str) -> bool:
        """Whether it has fired too seldom so far, or a failpoint that it is for was not reached."""
        return self.fired[name] < self._least or bool(name == CRASHED and self._unreached())

    def _unreached(self) -> list[str]:
        """The failpoints at which no worker was killed yet."""
        return [point for point in POINTS if not self._workers.at_points[point]]

    @property
    def _least(self) -> int:
        """The number of times that each kind must fire."""
        return max(1, int(self._minutes // MINUTES_FOR_ONE))

    def _kinds(self) -> dict[str, tuple[int, Callable[[], None]]]:
        """By name: how often each is chosen against the others, and the fault."""
        return {
            "worker killed": (40, self._workers.kill),
            "two workers killed at once": (12, lambda: self._workers.kill(2)),
            CRASHED: (24, self._workers.crash),
            "worker halted beyond its session": (4, lambda: self._workers.pause(self._random.uniform(2.5, 5))),
            "rebalance": (4, lambda: self._workers.visit(self._random.uniform(0.5, 3))),
            "Redis connections cut": (3, self._wire.cut),
            "Redis reply to EXEC lost": (4, lambda: self._drop(self._wire, redis_exec)),
            "EXEC lost": (4, self._lose_exec),
            "Redis silent": (2, lambda: self._stall(self._wire)),
            "Redis full": (3, self._fill_redis),
            "Redis restarted in place": (2, self._restart_redis),
            "Redis rolled back": (4, self._roll_back_redis),
            "Redis failed over to a stale replica": (3, self._fail_over),
            "Redis wiped": (4, self._wipe_redis),
            "Kafka connections cut": (3, self._kafka.wire.cut),
            "Kafka reply to a commit lost": (4, lambda: self._drop(self._kafka.wire, kafka_request(END_TXN))),
            "Kafka reply to a produce lost": (3, lambda: self._drop(self._kafka.wire, kafka_request(PRODUCE))),
            "Kafka silent": (2, lambda: self._stall(self._kafka.wire)),
            "Kafka killed": (2, self._kill_kafka),
            "upstream transactions aborted": (3, self._abort_upstream),
            "unusable records in a flood": (2, self._flood),
            "keys on other partitions": (3, self._misplace),
        }

    def _drop(self, wire: Proxy, request: Callable[[bytes], bool]) -> None:
        before = wire.dropped
        wire.drop_reply_to(request)
        until(lambda: wire.dropped > before, "no reply was dropped", REPLY_S)

    def _lose_exec(self) -> None:
        before = self._wire.lost
        self._wire.lose_request(redis_exec)
        until(lambda: self._wire.lost > before, "no request was lost", REPLY_S)

    def _stall(self, wire: Proxy) -> None:
        wire.silence()
        time.sleep(self._random.uniform(0.5, 4))
        wire.resume()

    def _client(self) -> Redis:
        return Redis.from_url(self._redis.url)

    def _restart_redis(self) -> None:
        with closing(self._client()) as client, suppress(RedisError):
            client.shutdown(save=True)
        until(lambda: not self._redis.running, "Redis does not end", REPLY_S)
        time.sleep(self._random.uniform(0, 2))
        self._redis.start()

    def _roll_back_redis(self) -> None:
        with closing(self._client()) as client:
            client.save()
        time.sleep(self._random.uniform(0.2, 3))
        self._redis.kill()
        self._redis.start()

    def _fail_over(self) -> None:
        replica = started(RedisServer())
        with closing(Redis.from_url(replica.url)) as client:
            client.replicaof("127.0.0.1", self._redis.ports[0])
            until(lambda: client.info("replication")["master_link_status"] == "up", "no replica", REPLY_S)
            client.replicaof("NO", "ONE")
        time.sleep(self._random.uniform(0.2, 2))  # what is written now does not reach it
        self._wire.target = replica.ports[0]
        self._wire.cut()
        self._redis.close()
        self._redis = replica

    def _wipe_redis(self) -> None:
        with closing(self._client()) as client:
            client.flushall()

    def _fill_redis(self) -> None:
        """Nothing more fits for a while, as with maxmemory and no eviction."""
        with closing(self._client()) as client:
            client.config_set("maxmemory", 1)
            time.sleep(self._random.uniform(1, 4))
            client.config_set("maxmemory", 0)

    def _flood(self) -> None:
        customers = [f"c{number}" for number in range(100)]
        self._installed.put(unusable(self._random.choice(customers), number, self._random) for number in range(FLOOD))

    def _misplace(self) -> None:
        """Events with nothing wrong but their partition."""
        records = (misplaced(f"c{self._random.randrange(100)}", number) for number in range(MISPLACED))
        self._installed.put(records, beside=1)

    def _kill_kafka(self) -> None:
        self._kafka.kill()
        self._kafka.start()

    def _abort_upstream(self) -> None:
        asyncio.run(in_transactions(self._installed, self._upstream.take(10)))

    def close(self) -> None:
        """End the Redis that is the one now."""
        self._redis.close()
