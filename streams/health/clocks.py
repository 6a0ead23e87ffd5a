"""This machine's clock beside those of Kafka and Redis: where they are too far apart, one of them is wrong."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import ClusterAuthorizationFailedError, UnsupportedVersionError

from segflow.schemas.connection_settings import Kafka
from segflow.segments.instant import SECOND_US
from segflow.streams.health.probe import ANSWER_S
from segflow.streams.kafka.clients import kafka_python_options
from segflow.streams.kafka.kept_client import KeptClient
from segflow.streams.runtime.wall_clock import now_us

log = logging.getLogger(__name__)

MILLISECOND_US: Final = 1000
SERVERS: Final = ("Kafka", "Redis")


def offset_us(theirs_us: int, asked_us: int, answered_us: int) -> int:
    """The least by which this clock can be ahead of another, which was read between asking and answer; microseconds."""
    if theirs_us < asked_us:
        return asked_us - theirs_us
    return min(0, answered_us - theirs_us)


@dataclass(slots=True)
class Clocks:
    """Comparison of this machine's clock with each server's, as last seen; written by the threads that ask.

    tolerance_s: further apart they are not trusted. say: called with a level of the log and a text.
    """

    tolerance_s: float
    say: Callable[[int, str], None] = log.log
    _offsets_us: dict[str, int | None] = field(default_factory=dict)  # None: the server does not say
    _told: set[str] = field(default_factory=set)

    def compare(self, server: str, ask: Callable[[], int | None]) -> None:
        """Compare with a server's clock.

        Args:
            server: one of SERVERS.
            ask: its time, microseconds since the epoch; None: it does not say.
        """
        asked_us = now_us()
        try:
            theirs_us = ask()
        except BaseException:
            self._offsets_us.setdefault(server, None)
            raise
        self.note(server, theirs_us, asked_us, now_us())

    def note(self, server: str, theirs_us: int | None, asked_us: int, answered_us: int) -> None:
        """Take in a comparison; see `compare` and `offset_us`."""
        self._offsets_us[server] = None if theirs_us is None else offset_us(theirs_us, asked_us, answered_us)
        wrong = self._is_wrong(server)
        if wrong and server not in self._told:
            self.say(logging.ERROR, self.problem)
            self._told.add(server)
        elif not wrong and server in self._told:
            self.say(logging.WARNING, f"this machine's clock and that of {server} agree again")
            self._told.discard(server)

    @property
    def trusted(self) -> bool:
        """Whether every server was asked, and none of those that said what time it is said something else."""
        return all(server in self._offsets_us and not self._is_wrong(server) for server in SERVERS)

    @property
    def problem(self) -> str:
        """A sentence for a person on clocks that do not agree; empty where none is known not to."""
        wrong = [
            f"{abs(offset) / SECOND_US:,.0f} s {'ahead of' if offset > 0 else 'behind'} that of {server}"
            for server in SERVERS
            if self._is_wrong(server) and (offset := self._offsets_us[server]) is not None
        ]
        if not wrong:
            return ""
        return (
            f"this machine's clock is {' and '.join(wrong)}. Until they agree within worker.clock_skew_max "
            f"({self.tolerance_s:g} s), silence is not published, and events ahead of this clock wait"
        )

    def offset_s(self, server: str) -> float | None:
        """Seconds by which this clock is ahead of the server's; None where it is not known."""
        found_us = self._offsets_us.get(server)
        return None if found_us is None else found_us / SECOND_US

    def _is_wrong(self, server: str) -> bool:
        found_us = self._offsets_us.get(server)
        return found_us is not None and abs(found_us) > self.tolerance_s * SECOND_US


class KafkaTime:
    """Asks Kafka what time it is.

    No request is made for that. The description of the controllers' quorum has, of its leader, the present moment.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._client = KeptClient(
            lambda: KafkaAdminClient(
                **kafka_python_options(kafka),
                bootstrap_timeout_ms=ANSWER_S * 1000,
                request_timeout_ms=ANSWER_S * 1000,
            )
        )

    def __call__(self) -> int | None:
        """Microseconds since the epoch; None where Kafka does not say: it is no KRaft cluster, or needs more rights.

        Raises:
            kafka.errors.KafkaError, OSError: it does not answer.
        """
        return self._client.ask(_quorum_us)

    def close(self) -> None:
        """Release the connection."""
        self._client.close()


def _quorum_us(client: KafkaAdminClient) -> int | None:
    try:
        return _leader_us(client.describe_metadata_quorum())
    except (ClusterAuthorizationFailedError, UnsupportedVersionError):
        return None


def _leader_us(quorum: dict[str, Any]) -> int | None:
    """The moment at which the quorum's leader says that it was caught up with itself: its present."""
    for partition in (each for topic in quorum["topics"] for each in topic["partitions"]):
        for voter in partition["current_voters"]:
            if voter["replica_id"] == partition["leader_id"]:
                at_ms = int(voter["last_caught_up_timestamp"])
                return at_ms * MILLISECOND_US if at_ms > 0 else None  # before version 1 it is not there
    return None
