"""What a server refuses is said in words that a person can act on."""

import re
from pathlib import Path
from types import ModuleType

import aiokafka.errors
import kafka.errors
import pytest
import redis
from kafka import TopicPartition
from redis.sentinel import MasterNotFoundError

from segflow.schemas.connection_settings import Redis
from segflow.schemas.settings import Settings
from segflow.state.redis_connection import client
from segflow.state.store import RolledBackError
from segflow.streams.runtime.connections import UnreachableError, redis_errors
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.errors import UsageError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "Redis is full"),
        (redis.exceptions.ReadOnlyError("You can't write against a read only replica."), "a replica"),
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "cannot save to its disk"),
        (
            redis.AuthenticationError("HELLO must be called with the client already authenticated"),
            "check redis.username",
        ),
        (redis.TimeoutError("Timeout reading from socket"), "does not answer in time"),
        (redis.exceptions.MovedError("1 a:1"), "the Redis Cluster moves the keys to another server"),
        (redis.exceptions.AskError("1 a:1"), "the Redis Cluster moves the keys to another server"),
        (redis.exceptions.ClusterDownError("Hash slot not served"), "the Redis Cluster is down"),
        (MasterNotFoundError("No master found for 'shop' : <redis.client.Redis(...)>"), "no sentinel answers"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), "still loading"),
    ],
)
def test_what_redis_refuses_is_said_in_plain_words(error: Exception, words: str) -> None:
    """The server's own words say nothing of what to do."""
    assert words in reason(error)
    assert str(error) not in reason(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (ConnectionResetError("by peer"), "by peer"),
        (TimeoutError(), "no answer in time"),
        (AssertionError(), "assertion"),
        (RolledBackError("Redis holds nothing of shard 0 any more"), "Redis holds nothing of shard 0 any more"),
        (
            aiokafka.errors.KafkaConnectionError("No connection to node 1"),
            "no answer from Kafka (No connection to node 1)",
        ),
        (kafka.errors.KafkaTimeoutError(), "no answer from Kafka"),
        (
            aiokafka.errors.LeaderNotAvailableError(TopicPartition("in", 3)),
            "Kafka is moving this to another broker (in, partition 3)",
        ),
        (aiokafka.errors.PolicyViolationError("in 3"), "Kafka answers POLICY_VIOLATION (in 3)"),
        (kafka.errors.PolicyViolationError(), "Kafka answers POLICY_VIOLATION"),
    ],
)
def test_no_reason_names_a_class(error: Exception, words: str) -> None:
    """Python's names say nothing to who runs a worker. Kafka's own name of an error can be looked up."""
    assert reason(error) == words


@pytest.mark.parametrize("errors", [aiokafka.errors, kafka.errors])
def test_no_error_of_kafka_is_said_by_the_name_of_its_class(errors: ModuleType) -> None:
    """Whichever comes, of either client, with a text or without."""
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(kinds) > 50
    for kind in kinds:
        for error in (kind.__new__(kind), kind.__new__(kind, "in 3")):  # one takes more arguments
            assert kind.__name__ not in reason(error)


def test_whatever_a_worker_logs_of_an_error_goes_through_reason() -> None:
    """Else it would name a class: Kafka's errors do so even as text."""
    named = re.compile(r"type\(error\)\.__name__|error!r|%r|\.__name__\}|log.*, error\)$", re.MULTILINE)
    allowed = {"error_reason.py", "connections.py", "decompression.py"}
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted((ROOT / "streams").glob("**/*.py"))
        if path.name not in allowed
        for line in path.read_text(encoding="utf-8").splitlines()
        if named.search(line) and "log.debug" not in line and "waiting to start" not in line
    ]
    assert found == []


def test_a_command_says_it_in_the_same_words() -> None:
    """With the address before them."""
    with pytest.raises(UsageError, match=r"^Redis at redis://.*: Redis is full"), redis_errors(Settings().redis):
        raise redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")


def test_sentinels_that_do_not_answer_are_said_without_the_client_s_own_objects() -> None:
    """The client's message shows its connections, with everything in them."""
    settings = Redis(url="redis+sentinel://127.0.0.1:1/shop")
    with pytest.raises(UnreachableError) as told, redis_errors(settings), client(settings) as connected:
        connected.ping()
    assert str(told.value).startswith("Redis at redis+sentinel://127.0.0.1:1/shop/0: no sentinel answers")
