"""The settings' topics by role: what each must be like, and what a new one is made with."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from segflow.schemas.settings import Settings

MILLISECOND: Final = timedelta(milliseconds=1)
KEPT_30_DAYS: Final = {"cleanup.policy": "delete", "retention.ms": str(30 * 86_400_000)}
DELETED: Final = {"cleanup.policy": "delete"}
KEPT_FOR_EVER: Final = DELETED | {"retention.ms": "-1", "retention.bytes": "-1"}
COMPACTED: Final = {"cleanup.policy": "compact"}
COMPACTION_LAG: Final = "max.compaction.lag.ms"
COMPACTED_WITHIN: Final = {COMPACTION_LAG: str(7 * 86_400_000)}
"""The time for which a compacted topic may keep older records, an erased customer's too. Kafka fills one file of a
partition for as long by default (`segment.ms`), so it costs no more files."""

TOMBSTONE_RETENTION: Final = "delete.retention.ms"
TOMBSTONES_KEPT: Final = {TOMBSTONE_RETENTION: str(7 * 86_400_000)}
"""A Redis that is older by half of it is made anew: it may have missed that a customer was erased. A backup of a few
days then is still only brought up to date. Kafka's default is a day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """The requirements on one of the settings' topics.

    single: one partition, else as many as the inputs. made_with: configuration of a new one (an input has the
    broker's default: how long purchases are kept is the platform's decision). required: what must hold of any.
    """

    single: bool = False
    made_with: dict[str, str]
    required: dict[str, str]


INPUTS: Final = ("purchases", "interactions")
READ: Final = (*INPUTS, "handover")
"""The topics of which a shard reads its partition."""
COPIES_MIN: Final = 3
"""From this replication on, a record counts as written when all copies but one have it: one broker may be lost with
nothing lost and nothing held up. With fewer copies that would be one or the other."""
KINDS: Final = {
    "purchases": Kind(made_with={}, required=DELETED),
    "interactions": Kind(made_with={}, required=DELETED),
    "changes": Kind(made_with=KEPT_30_DAYS, required=DELETED),
    "current": Kind(made_with=COMPACTED | COMPACTED_WITHIN, required=COMPACTED),
    "alerts": Kind(made_with=KEPT_30_DAYS, required=DELETED),
    "dead_letters": Kind(made_with=KEPT_30_DAYS, required=DELETED),
    "journal": Kind(made_with=DELETED, required=DELETED),
    "handover": Kind(made_with=KEPT_FOR_EVER, required=DELETED),
    "control": Kind(single=True, made_with=COMPACTED | COMPACTED_WITHIN, required=COMPACTED),
    "state": Kind(made_with=COMPACTED | COMPACTED_WITHIN | TOMBSTONES_KEPT, required=COMPACTED),
}
"""By field of segflow.schemas.settings.KafkaTopics. How long the journal is kept, the settings say: `journal_kept`."""
WHY: Final = {
    "purchases": "compaction would throw events away",
    "interactions": "compaction would throw events away",
    "changes": "compaction would throw changes away",
    "current": "it holds the latest segments of each customer, and would grow for ever",
    "alerts": "compaction would throw alerts away",
    "dead_letters": "compaction would throw dead letters away",
    "journal": "the audit reads it; where nothing goes to the state topic, a lost Redis is rebuilt from it",
    "handover": "compaction would throw parts of merged customers away",
    "control": "every version of the rules stays needed",
    "state": "a lost Redis is copied from it: retention would throw customers away",
}
SIZE_LIMIT: Final = "max.message.bytes"
SHOWN_CONFIGS: Final = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    COMPACTION_LAG,
    TOMBSTONE_RETENTION,
    SIZE_LIMIT,
)


def configuration(role: str, settings: Settings) -> dict[str, str]:
    """The configuration of a new topic."""
    replication = settings.kafka.replication
    durable = {"min.insync.replicas": str(replication - 1)} if replication >= COPIES_MIN else {}
    return KINDS[role].made_with | (journal_kept(settings) if role == "journal" else {}) | durable


def required(role: str, settings: Settings, configs: Mapping[str, str]) -> Mapping[str, str]:
    """The configuration that a topic which has `configs` must have, so that nothing is lost."""
    if role == "journal" and recovers_by_inputs(settings):
        return KEPT_FOR_EVER
    if role == "control" and configs.get("cleanup.policy") != "compact":  # an older version made it
        return KEPT_FOR_EVER
    return KINDS[role].required


def journal_kept(settings: Settings) -> dict[str, str]:
    """The retention that the journal is to have: as the settings say; for ever where a lost Redis is made from it."""
    kept = settings.kafka.journal_retention
    if kept is None or recovers_by_inputs(settings):
        return KEPT_FOR_EVER
    return KEPT_FOR_EVER | {"retention.ms": str(kept // MILLISECOND)}


def recovers_by_inputs(settings: Settings) -> bool:
    """Whether nothing is written to the state topic, so that a lost Redis is made from the journal and the inputs."""
    return not settings.worker.transactional
