"""The doctor's findings about shards that cannot go on, and topics that are not those of the state."""

from collections.abc import Iterator

from segflow.operations.finding import Finding
from segflow.schemas.model_error import ModelError
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_text
from segflow.state import lookup
from segflow.state.parking import Parked
from segflow.state.redis_servers import RedisServers
from segflow.streams.control.topic import Control
from segflow.streams.kafka.topics_report import TopicsReport
from segflow.streams.runtime.connections import kafka_errors
from segflow.streams.runtime.shard_names import shard_names
from segflow.streams.worker.installation import OtherInstallationError, check_control, topics_recreated


def belongs(
    settings: Settings, servers: RedisServers, installation: lookup.Installation, report: TopicsReport | None
) -> Iterator[Finding]:
    """Topics that are not those the state in Redis was made with."""
    if report is None or report.missing or report.partitions != installation.partitions:
        return
    recreated = topics_recreated(installation, report)
    if recreated:
        yield Finding(name="topics", status="FAIL", message=recreated)
    try:
        with kafka_errors(settings.kafka):
            control = Control(settings)
            control.read()
            check_control(servers, settings, control, report)
    except (OtherInstallationError, ModelError) as error:
        yield Finding(name="control", status="FAIL", message=str(error))


def parked(notes: dict[int, Parked]) -> Iterator[Finding]:
    """Shards that cannot go on, those for one cause together."""
    causes: dict[tuple[str, str], list[int]] = {}
    for partition, note in notes.items():
        causes.setdefault((note.reason, note.why), []).append(partition)
    for (reason, why), partitions in causes.items():
        since = to_text(min(notes[partition].at_us for partition in partitions))
        yield Finding(
            name="parked", status="FAIL", message=f"{shard_names(partitions)}, since {since} ({reason}): {why}"
        )
