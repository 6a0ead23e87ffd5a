"""Which errors park a shard, and when a worker has nothing left to do."""

import asyncio

import pytest
import redis
from aiokafka import errors

from segflow.state.parking import Parked, ParkingNotes, Reason
from segflow.state.store import RolledBackError, ShardLostError, TornStateError
from segflow.streams.consume.input_gate import OutOfRangeError
from segflow.streams.journal.journal import JournalError
from segflow.streams.shard.input_positions import InputLostError
from segflow.streams.shard.parking import REBUILD_S, Parking, parked_for
from segflow.streams.shard.shard import _is_rebuilt


@pytest.mark.parametrize(
    "error",
    [
        errors.KafkaConnectionError(),
        errors.RequestTimedOutError(),
        errors.ProducerFenced(),
        redis.ConnectionError(),
        redis.exceptions.OutOfMemoryError("OOM"),
        ShardLostError(),
        RolledBackError(),
        OutOfRangeError(),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    """An outage, another owner: no reason to wait for a person."""
    assert parked_for(error, 3) is None


@pytest.mark.parametrize(
    ("error", "reason", "said"),
    [
        (TornStateError("shard 3 lacks a page"), Reason.TORN_STATE, "`segflow rebuild --shard 3`"),
        (InputLostError("type `segflow reset`"), Reason.INPUT_LOST, "type `segflow reset`"),
        (JournalError("ends at commit 4"), Reason.JOURNAL, "shard 3: ends at commit 4"),
        (errors.MessageSizeTooLargeError("changes 3"), Reason.TOO_LARGE, "max.message.bytes"),
        (errors.TopicAuthorizationFailedError("changes"), Reason.NOT_ALLOWED, "Give it the right"),
        (errors.TransactionalIdAuthorizationFailed(), Reason.NOT_ALLOWED, "Give it the right"),
        (redis.exceptions.NoPermissionError("NOPERM"), Reason.NOT_ALLOWED, "Give it the right"),
        (KeyError("c42"), Reason.UNEXPECTED, "nobody foresaw. The log has its text"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_comes_again_parks_the_shard(error: Exception, reason: Reason, said: str) -> None:
    """With a reason of the small set, and what to do."""
    parked = parked_for(error, 3)
    assert parked is not None
    assert parked.reason == reason
    assert said in parked.why
    assert "c42" not in parked.why  # the note stands in Redis, and /ready shows it to whoever asks


TORN = Parked(reason=Reason.TORN_STATE, why="torn", at_us=1)
BIG = Parked(reason=Reason.TOO_LARGE, why="large", at_us=1)


class Notes(ParkingNotes):
    """Notes of other workers' shards."""

    def __init__(self, found: dict[int, Parked]) -> None:
        object.__setattr__(self, "found", found)

    def read(self, partitions: object) -> dict[int, Parked]:  # noqa: ARG002 - as ParkingNotes
        """All of them."""
        found: dict[int, Parked] = self.found  # type: ignore[attr-defined]
        return found


@pytest.mark.parametrize(
    ("mine", "noted", "nothing_goes_on"),
    [
        ({0: TORN, 1: TORN}, {}, True),
        ({0: TORN}, {1: TORN}, True),
        ({0: TORN}, {}, False),  # another worker's goes on
        ({0: TORN, 1: None}, {}, False),
        ({0: TORN, 1: BIG}, {}, False),  # tried again by itself
        ({}, {0: TORN, 1: TORN}, False),  # this worker has none, and may get some
    ],
)
def test_a_worker_ends_only_where_no_shard_of_the_installation_goes_on(
    mine: dict[int, Parked | None], noted: dict[int, Parked], nothing_goes_on: bool
) -> None:
    """Its own shards, and those that others have noted in Redis."""
    assert asyncio.run(Parking(Notes(noted)).everywhere(mine, 2)) is nothing_goes_on


def test_what_parks_every_shard_stays_until_each_of_its_reasons_is_lifted() -> None:
    """One reason after the other, the first one told; a reason that comes twice is told once."""
    told: list[str] = []
    parking = Parking(Notes({}), interrupt=lambda: told.append("let go"))
    parking.hold_all(Reason.TOO_LARGE, "one")
    parking.hold_all(Reason.TOO_LARGE, "one again")
    parking.hold_all(Reason.NOT_ALLOWED, "two")
    assert told == ["let go", "let go"]
    assert parking.hold is not None
    assert parking.hold.why == "one"
    parking.lift(Reason.TOO_LARGE)
    assert parking.hold is not None
    assert parking.hold.why == "two"
    parking.lift(Reason.NOT_ALLOWED)
    parking.lift(Reason.NOT_ALLOWED)
    assert parking.hold is None


def test_a_head_that_is_being_rebuilt_is_left_alone_for_a_time() -> None:
    """Whoever rebuilds it may be dead: then the shard is taken, and its worker goes on with the rebuild."""
    mark = b'{"partial":true}'
    assert _is_rebuilt(mark, 1.0)
    assert not _is_rebuilt(mark, REBUILD_S)
    assert not _is_rebuilt(b'{"partial":false}', 1.0)
