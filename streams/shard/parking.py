"""Parking: a shard that cannot go on is put aside with its reason, and all others go on.

A worker has one Parking. A shard parks itself for an error that would come again (`parked_for`); `hold` parks every
shard of the worker, until `lift`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import kafka.errors
import redis
from aiokafka import errors
from redis.exceptions import NoPermissionError

from segflow.segments.not_computable import NotComputableError
from segflow.state.parking import ENDS_THE_WORKER, Parked, ParkingNotes, Reason
from segflow.state.store import ShardLostError, TornStateError
from segflow.streams.consume.input_gate import OutOfRangeError, UnreadableRecordError
from segflow.streams.journal.journal import JournalError
from segflow.streams.publish.publisher import JournalShortenedError
from segflow.streams.runtime.error_reason import reason
from segflow.streams.runtime.wall_clock import now_us
from segflow.streams.shard.input_positions import InputLostError

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""Between two looks at a parked shard's head: how soon it goes on after a repair. A look is one round trip."""
AGAIN_S: Final = 60.0
"""After which a shard is tried again whose mending shows nowhere (a right given, a limit raised)."""
REBUILD_S: Final = 30.0
"""For so long a head that says that it is being rebuilt may stand still: whoever rebuilt it is then taken for dead."""

PASSES: Final = (
    errors.KafkaError,
    kafka.errors.KafkaError,
    redis.RedisError,
    ShardLostError,
    OutOfRangeError,
    JournalShortenedError,
    OSError,
)
"""Errors after which the shard is acquired again soon: that heals them, or finds what is wrong."""


class _Cause(NamedTuple):
    """Errors that come again, the reason they are, and what to say of one."""

    errors: tuple[type[Exception], ...]
    reason: Reason
    text: str


CAUSES: Final = (
    _Cause(
        (TornStateError,),
        Reason.TORN_STATE,
        "{error}. To rebuild the state, type `segflow rebuild --shard {shard}`",
    ),
    _Cause((InputLostError,), Reason.INPUT_LOST, "{error}"),
    _Cause((UnreadableRecordError,), Reason.UNREADABLE, "{error}"),
    _Cause((JournalError,), Reason.JOURNAL, "shard {shard}: {error}"),
    _Cause((NotComputableError,), Reason.NOT_COMPUTABLE, "shard {shard}: {error}"),
    _Cause(
        (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError),
        Reason.TOO_LARGE,
        "shard {shard}: {error}. Raise the topic's max.message.bytes. {again}",
    ),
    _Cause(
        (
            errors.TopicAuthorizationFailedError,
            errors.GroupAuthorizationFailedError,
            errors.ClusterAuthorizationFailedError,
            errors.TransactionalIdAuthorizationFailed,
            NoPermissionError,
        ),
        Reason.NOT_ALLOWED,
        "shard {shard}: segflow's user may not do what it has to ({error}). Give it the right to read and "
        "write its topics, its group, its transactional ids and its keys in Redis. {again}",
    ),
)
UNFORESEEN: Final = _Cause(
    (Exception,),
    Reason.UNEXPECTED,
    # Without its text, which may have a customer's id: the note stands in Redis, and /ready shows it to whoever asks.
    "shard {shard}: an error that nobody foresaw. The log has its text and traceback: please report it. {again}",
)
AGAIN: Final = f"The shard is tried again every {AGAIN_S:.0f} s"


def parked_for(error: Exception, partition: int) -> Parked | None:
    """The reason to park the shard for this error; None where it is to be tried again soon."""
    cause = next((each for each in CAUSES if isinstance(error, each.errors)), None)
    if cause is None and isinstance(error, PASSES):
        return None
    cause = cause or UNFORESEEN
    why = cause.text.format(shard=partition, error=reason(error).rstrip("."), again=AGAIN)
    return Parked(reason=cause.reason, why=why, at_us=now_us())


@dataclass(slots=True)
class Parking:
    """The parked shards of one worker.

    Args:
        notes: in Redis, for those outside this worker.
        interrupt: tells every shard of the worker to let go, after the commit under way.
    """

    notes: ParkingNotes
    interrupt: Callable[[], None] = lambda: None
    _holds: dict[str, Parked] = field(default_factory=dict)  # by reason, in the order they came

    @property
    def hold(self) -> Parked | None:
        """The reason for which every shard of this worker is parked, or is to be; None: they are not."""
        return next(iter(list(self._holds.values())), None)

    def hold_all(self, reason: Reason, why: str) -> None:
        """Park every shard of the worker, those that come to it, too, until `lift`. On the event loop.

        A shard finishes the commit that is under way, and reads no further.
        """
        if reason in self._holds:
            return
        self._holds[reason] = Parked(reason=reason, why=why, at_us=now_us())
        log.error("every shard is parked (%s): %s", reason, why)
        self.interrupt()

    def lift(self, reason: Reason) -> None:
        """The reason is gone: shards go on, unless there is another."""
        if self._holds.pop(reason, None) is not None:
            log.warning("what parked every shard is over (%s)", reason)

    async def note(self, partition: int, parked: Parked | None) -> bool:
        """Write the shard's note, or erase it; whether it was done: a Redis that does not answer stops nobody."""
        try:
            if parked is None:
                await asyncio.to_thread(self.notes.erase, partition)
            else:
                await asyncio.to_thread(self.notes.write, partition, parked)
        except (redis.RedisError, OSError) as error:
            log.info("shard %d: noting in Redis whether it is parked: %s", partition, reason(error))
            return False
        return True

    async def head(self, partition: int) -> bytes | None:
        """The bytes of the shard's head; None where Redis does not say."""
        try:
            return await asyncio.to_thread(self.notes.head, partition)
        except (redis.RedisError, OSError):
            return None

    async def everywhere(self, mine: dict[int, Parked | None], partitions: int) -> bool:
        """Whether every shard of the installation is parked for a reason that only a person ends.

        Args:
            mine: the shards of this worker.
            partitions: of the installation.
        """
        if not mine or not all(_ends(parked) for parked in mine.values()):
            return False
        others = [partition for partition in range(partitions) if partition not in mine]
        return not others or _all_noted(await self._noted(others), others)

    async def _noted(self, partitions: list[int]) -> dict[int, Parked]:
        try:
            return await asyncio.to_thread(self.notes.read, partitions)
        except (redis.RedisError, OSError):
            return {}


def _all_noted(notes: dict[int, Parked], partitions: Iterable[int]) -> bool:
    return all(_ends(notes.get(partition)) for partition in partitions)


def _ends(parked: Parked | None) -> bool:
    return parked is not None and parked.reason in ENDS_THE_WORKER
