"""The reason for which a shard is parked, as its worker notes it in Redis for `segflow doctor` and other workers."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec
import redis

from segflow.state.keys import Keys
from segflow.state.redis_servers import RedisServers


class Reason(StrEnum):
    """The kinds of reasons, few enough for a metric's label; docs/errors.md#parked-shards says what to do."""

    TORN_STATE = "torn_state"  # Redis lacks part of the shard's state, or cannot be read
    INPUT_LOST = "input_lost"  # an input does not hold what comes next
    UNREADABLE = "unreadable_record"  # what shards handed over, or the journal, holds a record of another program
    JOURNAL = "journal"  # journal, input and state do not belong together
    NOT_COMPUTABLE = "not_computable"  # the settings give no number for a customer
    TOO_LARGE = "too_large"  # Kafka refuses a record for its size, and will again
    NOT_ALLOWED = "not_allowed"  # Kafka or Redis refuses the user
    PARTITIONS_ADDED = "partitions_added"  # every shard: customers would stand in two
    TOPIC_REPLACED = "topic_replaced"  # every shard: a topic is another one of the same name
    UNEXPECTED = "unexpected"  # an error that nobody foresaw


MENDED_ELSEWHERE: Final = frozenset({Reason.TOO_LARGE, Reason.NOT_ALLOWED, Reason.UNEXPECTED})
"""Mended where no head shows it: the shard is tried again now and then. Any other waits for a command."""
ENDS_THE_WORKER: Final = frozenset(
    {
        Reason.TORN_STATE,
        Reason.INPUT_LOST,
        Reason.UNREADABLE,
        Reason.JOURNAL,
        Reason.NOT_COMPUTABLE,
        Reason.TOPIC_REPLACED,
    }
)
"""With every shard of the installation parked for one of these, nothing goes on until a person acts. Added partitions
are not among them: a worker that ends could not start again to say so in /ready."""


WRONG_TYPE: Final = "WRONGTYPE"
"""The start of Redis' answer where a key is of another type than the command wants."""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A parked shard's note; `reason` is one of Reason, or of a newer version."""

    reason: str
    why: str  # for a person: what is wrong, and what to do
    at_us: int  # wall clock


@dataclass(frozen=True, slots=True)
class ParkingNotes:
    """The notes of an installation's shards, and what a parked shard looks at to see that it was repaired.

    All methods raise redis.RedisError where Redis does not answer or refuses.
    """

    servers: RedisServers
    prefix: str

    def write(self, partition: int, parked: Parked) -> None:
        """Note that the shard is parked."""
        key = Keys(self.prefix, partition).parked
        self.servers.of(key).set(key, msgspec.json.encode(parked))

    def erase(self, partition: int) -> None:
        """The shard goes on."""
        key = Keys(self.prefix, partition).parked
        self.servers.of(key).unlink(key)

    def read(self, partitions: Iterable[int]) -> dict[int, Parked]:
        """The notes there are, by partition; what is no note is left out."""
        asked = list(partitions)
        wanted = [("GET", Keys(self.prefix, partition).parked) for partition in asked]
        notes = zip(asked, self.servers.replies(wanted, raise_on_error=False), strict=True)
        return {partition: note for partition, stored in notes if (note := _decoded(stored)) is not None}

    def head(self, partition: int) -> bytes:
        """The shard's head as its bytes, whatever they are; empty where there is none, or where it is no string."""
        key = Keys(self.prefix, partition).head
        try:
            stored: object = self.servers.of(key).get(key)
        except redis.ResponseError as error:
            if str(error).startswith(WRONG_TYPE):
                return b""
            raise
        return stored if isinstance(stored, bytes) else b""


def _decoded(stored: object) -> Parked | None:
    try:
        return msgspec.json.decode(stored, type=Parked) if isinstance(stored, bytes) else None
    except msgspec.MsgspecError:
        return None
