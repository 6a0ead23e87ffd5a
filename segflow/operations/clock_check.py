"""The clock of the machine on which `segflow doctor` is typed, beside those of Kafka and Redis."""

from contextlib import closing, suppress
from functools import partial

import redis
from kafka.errors import KafkaError

from segflow.operations.finding import Finding
from segflow.schemas.settings import Settings
from segflow.state import redis_connection
from segflow.streams.health.clocks import SERVERS, Clocks, KafkaTime


def clock_finding(settings: Settings) -> Finding:
    """A failure where a worker on this machine would not be ready; a server that does not answer is no finding here."""
    clocks = Clocks(settings.worker.clock_skew_max.total_seconds(), say=lambda *_: None)
    with suppress(KafkaError, OSError), closing(KafkaTime(settings.kafka)) as kafka_time:
        clocks.compare("Kafka", kafka_time)
    with suppress(redis.RedisError), closing(redis_connection.servers(settings.redis)) as servers:
        for client in servers.each():
            clocks.compare("Redis", partial(_time_us, client))
            if clocks.problem:
                break
    if clocks.problem:
        return Finding(
            name="clocks",
            status="FAIL",
            message=clocks.problem,
            advice="Synchronise the clocks of these machines (chrony, NTP). Workers go on by themselves then.",
        )
    known = [server for server in SERVERS if clocks.offset_s(server) is not None]
    message = f"this machine's agrees with that of {' and '.join(known)}" if known else "not compared with any"
    silent = [server for server in SERVERS if clocks.offset_s(server) is None]
    return Finding(
        name="clocks",
        status="OK" if known else "WARN",
        message=message + (f"; {' and '.join(silent)} did not say what time it is" if silent else ""),
        advice="" if known else "Keep this machine's clock synchronised (chrony, NTP).",
    )


def _time_us(client: redis.Redis) -> int | None:
    found: int | None = client.info("server").get("server_time_usec")
    return found
