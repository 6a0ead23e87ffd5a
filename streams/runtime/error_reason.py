"""An error in words that a person can act on, without names of Python's classes; for logs, health pages, commands."""

import re
from typing import Final

import aiokafka.errors
import kafka.errors
import redis
from redis.sentinel import MasterNotFoundError

SLOTS_MOVED: Final = "the Redis Cluster moves the keys to another server"
REDIS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis.exceptions.OutOfMemoryError, "Redis is full (maxmemory) and refuses writes: raise maxmemory"),
    (redis.exceptions.ReadOnlyError, "Redis is a replica and refuses writes: point redis.url at the primary"),
    (redis.exceptions.BusyLoadingError, "Redis is still loading its data"),
    (redis.exceptions.AuthenticationError, "Redis refuses the user: check redis.username and the password"),
    (redis.exceptions.MasterDownError, "Redis is a replica that has lost its primary"),
    (
        redis.exceptions.ClusterDownError,
        "the Redis Cluster is down: not every slot has a server that answers (`redis-cli --cluster check`)",
    ),
    (redis.exceptions.MovedError, SLOTS_MOVED),
    (redis.exceptions.AskError, SLOTS_MOVED),
    (redis.exceptions.TryAgainError, SLOTS_MOVED),
    (MasterNotFoundError, "no sentinel answers that knows a primary of that name: check redis.url and the sentinels"),
    (redis.exceptions.TimeoutError, "Redis does not answer in time (redis.timeout)"),
)
"""Subclasses before their bases."""
DISK_FULL: Final = "MISCONF"
"""Redis answers so where it cannot save, and is told to refuse writes then."""

SILENT: Final = "no answer from Kafka"
MOVING: Final = "Kafka is moving this to another broker"
FENCED: Final = "Kafka has fenced this producer: another worker has the shard, or had it"
FEW_COPIES: Final = "Kafka has too few copies of the partition in sync (min.insync.replicas)"
TOO_LARGE: Final = "Kafka refuses a record for its size"
DIVIDED: Final = "Kafka is dividing the group again"
KAFKA: Final = {
    "KafkaConnection": SILENT,
    "KafkaTimeout": SILENT,
    "NodeNotReady": SILENT,
    "NoBrokersAvailable": SILENT,
    "RequestTimedOut": SILENT,
    "NotLeaderForPartition": MOVING,
    "LeaderNotAvailable": MOVING,
    "CoordinatorNotAvailable": MOVING,
    "CoordinatorLoadInProgress": MOVING,
    "NotCoordinator": MOVING,
    "GroupCoordinatorNotAvailable": MOVING,
    "GroupLoadInProgress": MOVING,
    "NotCoordinatorForGroup": MOVING,
    "IllegalGeneration": DIVIDED,
    "RebalanceInProgress": DIVIDED,
    "UnknownMemberId": DIVIDED,
    "ProducerFenced": FENCED,
    "InvalidProducerEpoch": FENCED,
    "NotEnoughReplicas": FEW_COPIES,
    "NotEnoughReplicasAfterAppend": FEW_COPIES,
    "MessageSizeTooLarge": TOO_LARGE,
    "RecordListTooLarge": TOO_LARGE,
    "UnknownTopicOrPartition": "Kafka has no such topic or partition",
    "InvalidSessionTimeout": "Kafka refuses worker.session_timeout: it must be within the broker's "
    "group.min.session.timeout.ms and group.max.session.timeout.ms",
    "InvalidTransactionTimeout": "Kafka refuses worker.transaction_timeout: it must be at most the broker's "
    "transaction.max.timeout.ms",
}
"""By the error's name, which both of Kafka's clients share, but for an Error at its end."""
WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""The places between the words of a name."""


def reason(error: BaseException) -> str:
    """The error in plain words where they are known; else its own text."""
    if isinstance(error, aiokafka.errors.KafkaError | kafka.errors.KafkaError):
        return _kafka(error)
    text = str(error).rstrip(".")
    if isinstance(error, redis.RedisError):
        text = _redis(error, text)
    elif isinstance(error, OSError):
        text = error.strerror or text or ("no answer in time" if isinstance(error, TimeoutError) else "")
    return text or _spaced(type(error).__name__)


def _redis(error: redis.RedisError, text: str) -> str:
    if isinstance(error, redis.exceptions.NoPermissionError):
        return f"Redis refuses the user ({text}): give it the rights that docs/operations.md lists"
    if text.startswith(DISK_FULL):
        return "Redis cannot save to its disk and refuses writes: make room there"
    return next((words for kind, words in REDIS if isinstance(error, kind)), text)


def _kafka(error: Exception) -> str:
    """Known words, else the name that Kafka's protocol has for the error; and what the error is about."""
    name = type(error).__name__.removesuffix("Error")
    about = ", ".join(_text(each) for each in error.args if each is not None and each != "").rstrip(".")
    code: str | None = getattr(error, "message", None)
    words = KAFKA.get(name) or (f"Kafka answers {code}" if code else "")
    if not words:
        return about or _spaced(name)
    return f"{words} ({about})" if about else words


def _text(argument: object) -> str:
    topic, partition = getattr(argument, "topic", None), getattr(argument, "partition", None)
    return str(argument) if topic is None or partition is None else f"{topic}, partition {partition}"


def _spaced(name: str) -> str:
    """The words of a class's name, for an error that has no text."""
    return WORDS.sub(" ", name.removesuffix("Error")).lower() or "error"
