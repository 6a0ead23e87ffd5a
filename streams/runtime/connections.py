"""Connection failures as messages a person can act on: the address, what went wrong, what to do."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiokafka.errors
import kafka.errors
import redis
from redis.exceptions import AskError, ClusterDownError, TryAgainError
from redis.sentinel import MasterNotFoundError

from segflow.schemas.connection_settings import Kafka, Redis
from segflow.schemas.redis_url import cluster_address, sentinel_address
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.errors import UsageError

PASSING: Final = (MasterNotFoundError, ClusterDownError, AskError, TryAgainError)  # AskError: of MOVED, too
"""Answers of sentinels and of a cluster that are others a moment later."""


class UnreachableError(UsageError):
    """A server does not answer: the address is wrong, or it is down and may come back."""


@contextmanager
def kafka_errors(settings: Kafka) -> Iterator[None]:
    """Turn what Kafka's clients raise within into a UsageError, and keep their own logging off the terminal."""
    for name in ("kafka", "aiokafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    except (kafka.errors.KafkaError, aiokafka.errors.KafkaError) as error:
        kind = UnreachableError if _may_pass(error) else UsageError
        raise kind(f"Kafka at {settings.address}: {_kafka_reason(error)}") from error
    except (ssl.SSLError, OSError) as error:
        raise UsageError(
            f"Kafka at {settings.address}: {error}. Check kafka.tls_ca, tls_certificate and tls_key."
        ) from error


@contextmanager
def redis_errors(settings: Redis) -> Iterator[None]:
    """Turn what redis-py raises within into a UsageError."""
    try:
        yield
    except redis.AuthenticationError as error:
        if settings.password is None and "@" not in settings.url:
            raise UsageError(
                f"Redis at {address(settings)} wants a password: set redis.password or SEGFLOW_REDIS_PASSWORD "
                "(and redis.username where it has users)."
            ) from error
        raise UsageError(
            f"Redis at {address(settings)} refused the user: {error}. Check redis.username, and the password "
            "(SEGFLOW_REDIS_PASSWORD)."
        ) from error
    except PASSING as error:
        raise UnreachableError(f"Redis at {address(settings)}: {reason(error)}") from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise UnreachableError(
            f"Redis at {address(settings)} cannot be reached: {str(error).rstrip('.')}. Is it running? Set redis.url "
            "in segflow.yaml or SEGFLOW_REDIS to its address (rediss:// where it wants TLS)."
        ) from error
    except redis.RedisError as error:
        raise UsageError(f"Redis at {address(settings)}: {reason(error)}") from error
    except ValueError as error:  # redis-py raises it at an address that is none
        raise UsageError(f"Redis at {address(settings)}: {error}") from error


def address(settings: Redis) -> str:
    """The address of Redis in the settings' URL, as redis-py reads it: without user, password and query."""
    scheme = settings.url.partition("://")[0]
    several = sentinel_address(settings.url) or cluster_address(settings.url)
    if several is not None:
        return str(several)
    try:
        found = redis.connection.parse_url(settings.url)  # type: ignore[no-untyped-call]
    except ValueError:
        return f"{scheme}://…"
    if "path" in found:
        return f"{scheme}://{found['path']}"
    host = found.get("host", "localhost")
    place = f"[{host}]" if ":" in host else host
    return f"{scheme}://{place}:{found.get('port', 6379)}/{found.get('db', 0)}"


def _may_pass(error: Exception) -> bool:
    """Whether waiting may help: Kafka's clients say so of an error; a topic that is missing is there or it is not."""
    return bool(getattr(error, "retriable", False)) and type(error).__name__ != "UnknownTopicOrPartitionError"


def _kafka_reason(error: Exception) -> str:
    match type(error).__name__:
        case "KafkaTimeoutError" | "KafkaConnectionError" | "NoBrokersAvailable" | "NodeNotReadyError":
            return (
                "no answer. Is it running? Set kafka.address in segflow.yaml or SEGFLOW_KAFKA to its address "
                "(kafka.tls and kafka.sasl where it wants them)."
            )
        case "SaslAuthenticationFailedError" | "AuthenticationFailedError" | "UnsupportedSaslMechanismError":
            return (
                f"it refused the user: {error}. Check kafka.sasl, username, and the password (SEGFLOW_KAFKA_PASSWORD)."
            )
        case name if "AuthorizationFailed" in name:
            return f"the user may not do this: {error}. Give it the right to describe, read and write segflow's topics."
        case "UnknownTopicOrPartitionError":
            return "a topic does not exist: see `segflow topics`, and create them with `segflow topics --create`."
        case "MessageSizeTooLargeError":
            return "a record is larger than the topic's max.message.bytes."
        case _:
            return reason(error)
