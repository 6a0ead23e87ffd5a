"""A Kafka-compatible broker: the first option that works on this machine."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from segflow.embedded.kafka import ApacheKafka
from segflow.embedded.options import Option, UnavailableError, first_that_works, real_is_required
from segflow.embedded.server_process import started
from segflow.embedded.tansu import Tansu

GIVEN = "SEGFLOW_KAFKA"


class Broker(Protocol):
    """A running broker."""

    passed_over: tuple[str, ...]
    """For each better option, the reason why it was not taken."""

    @property
    def address(self) -> str:
        """The address for clients: `host:port`, or several with commas."""

    @property
    def description(self) -> str:
        """The broker's name and version, for people."""

    def close(self) -> None:
        """End the broker if it was started here."""


@dataclass(kw_only=True)
class GivenBroker:
    """A broker that somebody else runs, used as it is."""

    address: str
    description: str = f"given by {GIVEN}"
    passed_over: tuple[str, ...] = ()

    def close(self) -> None:
        """Do nothing: the broker is somebody else's."""


@contextmanager
def broker(
    *,
    memory_mb: int = 512,
    optimised: bool = False,
    required: bool = False,
    announce: Callable[[str], None] | None = None,
) -> Iterator[Broker]:
    """The first option that works: SEGFLOW_KAFKA, Apache Kafka under this machine's Java, Tansu.

    Args:
        memory_mb: the heap of an embedded Apache Kafka.
        optimised: see ApacheKafka.
        required: only Apache Kafka counts, as with SEGFLOW_REQUIRE_REAL=1.
        announce: called with a line about what takes long (the one download of the jars).

    Raises:
        NothingToRunError: none works; the message says why and what would help.
    """

    def given() -> Broker:
        if address := os.environ.get(GIVEN):
            return GivenBroker(address=address)
        raise UnavailableError("not set. Set it to the address of a broker you run, for instance 127.0.0.1:9092")

    def apache_kafka() -> Broker:
        return started(ApacheKafka(memory_mb=memory_mb, optimised=optimised, announce=announce))

    def tansu() -> Broker:
        return started(Tansu())

    options: list[Option[Broker]] = [
        Option(name=GIVEN, start=given),
        Option(name=ApacheKafka.name, start=apache_kafka, real=True),
        Option(name=Tansu.name, start=tansu),
    ]
    chosen = first_that_works("Kafka-compatible broker", options, only_real=required or real_is_required())
    try:
        yield chosen
    finally:
        chosen.close()
