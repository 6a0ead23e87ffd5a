"""What must hold before a worker starts: topics, key placement, Redis, the definition of the segments."""

import json

import redis
from kafka.errors import KafkaError

from schemas.settings import Settings
from state.keys import installation
from state.redis_connection import client
from streams import topics
from streams.control import Control, DefinitionChangedError
from streams.key_samples import check_keys
from streams.worker import Worker


class NotReadyError(Exception):
    """A worker cannot start; the message says why and what to do."""


def prepare(settings: Settings, *, create_topics: bool = False, partitions: int | None = None) -> Worker:
    """A worker that is ready to run.

    Raises:
        NotReadyError: something is missing or does not fit, with what to do.
    """
    try:
        if create_topics:
            topics.create(settings, partitions)
        report = topics.check(settings)
        if report.problems:
            raise NotReadyError("\n".join(report.problems))
        problem = check_keys(settings, report.partitions)
        if problem is not None:
            raise NotReadyError(problem)
        _check_redis(settings, report.partitions)
        control = Control(settings)
        control.start()
    except DefinitionChangedError as error:
        raise NotReadyError(str(error)) from error
    except topics.TopicsError as error:
        raise NotReadyError(str(error)) from error
    except (KafkaError, OSError) as error:
        raise NotReadyError(f"Kafka at {settings.kafka.address} does not answer: {error}; is kafka.address right?") from error
    names = settings.kafka.topics
    ids = report.topic_ids
    return Worker(
        settings, partitions=report.partitions, topic_ids=(ids[names.purchases], ids[names.interactions]), control=control
    )


def _check_redis(settings: Settings, partitions: int) -> None:
    """Redis answers, and its state is of as many shards as there are partitions."""
    key = installation(settings.redis.prefix)
    wanted = json.dumps({"partitions": partitions, "partitioner": settings.kafka.partitioner})
    try:
        with client(settings.redis) as connected:
            connected.set(key, wanted, nx=True)
            stored = connected.get(key)
    except (redis.RedisError, OSError, ValueError) as error:
        raise NotReadyError(f"Redis at {settings.redis.url} does not answer: {error}; is redis.url right?") from error
    if stored is not None and stored.decode() != wanted:
        raise NotReadyError(
            f"the state in Redis is of {stored.decode()}, the inputs are {wanted}: a customer would change shards. "
            "Take the old number of partitions and partitioner back, or begin a new installation with another redis.prefix"
        )
