"""One event into its input, by hand: to its key's partition, acknowledged by all in-sync replicas."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import msgspec
from pydantic import ValidationError

from segflow.engine.decode.nobody import spellings
from segflow.engine.partitioner import partition_of
from segflow.operations.produce import producer_of, target
from segflow.schemas.event import EVENT
from segflow.schemas.event_refusal import refusal
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN, to_text
from segflow.streams.runtime.errors import UsageError
from segflow.streams.runtime.wall_clock import now_us

SOURCE: Final = "segflow"
"""Of events that the command line makes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentEvent:
    """An event that Kafka has acknowledged, and where it stands."""

    event: dict[str, Any]
    topic: str
    partition: int
    offset: int


def interaction(
    settings: Settings, kind: str, customer_id: str, at_us: int = int(UNKNOWN), **fields: str
) -> dict[str, Any]:
    """An event for the interactions, as of `at_us`; UNKNOWN: now.

    Raises:
        UsageError: the contract does not allow it, or an id is nobody's.
    """
    event: dict[str, Any] = {
        "type": kind,
        "event_id": str(uuid4()),
        "source": SOURCE,
        "customer_id": customer_id,
        "occurred_at": to_text(now_us() if at_us == UNKNOWN else at_us),
        **fields,
    }
    try:
        EVENT.validate_python(event)
    except ValidationError as error:
        raise UsageError(refusal(error, event)[1]) from error
    ids = () if kind == "erase" else (customer_id, *fields.values())
    for nobody in spellings(tuple(settings.nobody)) & set(ids):
        raise UsageError(f"{nobody!r} is nobody's (setting nobody): a worker would refuse the event")
    return event


async def send(settings: Settings, event: dict[str, Any]) -> SentEvent:
    """Send an interaction.

    Raises:
        UsageError: the topic is missing.
        aiokafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    producer = producer_of(settings)
    try:
        await producer.start()
        place = await target(producer, settings.kafka.topics.interactions)
        key = event["customer_id"].encode()
        partition = partition_of(key, settings.kafka.partitioner, place.partitions)
        sent = await producer.send_and_wait(place.topic, msgspec.json.encode(event), key=key, partition=partition)
    finally:
        await producer.stop()
    return SentEvent(event=event, topic=place.topic, partition=partition, offset=int(sent.offset))
