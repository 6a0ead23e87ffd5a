"""What a server refuses is said in words that a person can act on."""

import pytest
import redis
from redis.sentinel import MasterNotFoundError

from segflow.schemas.connection_settings import Redis
from segflow.schemas.settings import Settings
from segflow.state.redis_connection import client
from segflow.streams.runtime.connections import UnreachableError, redis_errors
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.errors import UsageError


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
        (MasterNotFoundError("No master found for 'shop' : <redis.client.Redis(...)>"), "no sentinel answers"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), "still loading"),
    ],
)
def test_what_redis_refuses_is_said_in_plain_words(error: Exception, words: str) -> None:
    """The server's own words say nothing of what to do."""
    assert words in reason(error)
    assert str(error) not in reason(error)


def test_an_error_that_nobody_foresaw_keeps_its_type_and_its_words() -> None:
    """So it can be searched for."""
    assert reason(ConnectionResetError("by peer")) == "ConnectionResetError: by peer"
    assert reason(TimeoutError()) == "TimeoutError"


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
