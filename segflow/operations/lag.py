"""The check of `segflow doctor` on how far the state is behind the inputs."""

from collections.abc import Sequence

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from segflow.operations.finding import Finding
from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.streams.kafka.clients import group_members
from segflow.streams.kafka.first_records import FirstRecords
from segflow.streams.kafka.topic_kinds import INPUTS


def records_behind(settings: Settings, heads: Sequence[Head | None], roles: Sequence[str] = INPUTS) -> list[int]:
    """The records of each shard's partitions that its head has not read; of a shard without a head all there are.

    Raises:
        kafka.errors.KafkaError: Kafka does not answer or refuses.
    """
    starts = {
        TopicPartition(getattr(settings.kafka.topics, role), partition): (
            getattr(head, role).offset if head is not None else 0
        )
        for role in roles
        for partition, head in enumerate(heads)
    }
    with FirstRecords(settings.kafka) as records:
        bounds = records.bounds(list(starts))
        starts = {place: max(start, bounds[place].first) for place, start in starts.items()}
        ends = {place: bounds[place].end for place in starts}
        found = records.find(starts, ends)
    behind = [0] * len(heads)
    for place, start in starts.items():
        record = found.get(place)
        if record is not None or place not in found:
            behind[place.partition] += ends[place] - (start if record is None else record.offset)
    return behind


def lag_finding(settings: Settings, client: KafkaAdminClient, heads: Sequence[Head | None]) -> Finding:
    """The records that are not in the state yet: offsets live in Redis, not with Kafka's group.

    Transaction markers and aborted records behind the last one are none: no worker will ever take them.

    Raises:
        kafka.errors.KafkaError: Kafka does not answer or refuses.
    """
    behind = records_behind(settings, heads)
    worst = max(range(len(behind)), key=behind.__getitem__)
    workers = group_members(client, settings.kafka.group)
    message = f"{sum(behind):,} records behind" + (
        f" (the most in shard {worst}: {behind[worst]:,})" if behind[worst] else ""
    )
    message += f", {workers} worker process{'es' * (workers != 1)} in the group {settings.kafka.group}"
    if workers == 0:
        return Finding(name="lag", status="WARN", message=message, advice="Start a worker: segflow worker.")
    return Finding(name="lag", status="OK", message=message)
