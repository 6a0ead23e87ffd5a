"""The settings' topics by role: what each must be like, and what a new one is made with."""

from dataclasses import dataclass
from typing import Final

KEPT_30_DAYS: Final = {"cleanup.policy": "delete", "retention.ms": str(30 * 86_400_000)}
KEPT_FOR_EVER: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
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
    "purchases": Kind(made_with={}, required={"cleanup.policy": "delete"}),
    "interactions": Kind(made_with={}, required={"cleanup.policy": "delete"}),
    "changes": Kind(made_with=KEPT_30_DAYS, required={"cleanup.policy": "delete"}),
    "current": Kind(made_with=COMPACTED | COMPACTED_WITHIN, required=COMPACTED),
    "alerts": Kind(made_with=KEPT_30_DAYS, required={"cleanup.policy": "delete"}),
    "dead_letters": Kind(made_with=KEPT_30_DAYS, required={"cleanup.policy": "delete"}),
    "journal": Kind(made_with=KEPT_FOR_EVER, required=KEPT_FOR_EVER),
    "handover": Kind(made_with={}, required={"cleanup.policy": "delete"}),
    "control": Kind(single=True, made_with=KEPT_FOR_EVER, required=KEPT_FOR_EVER),
    "state": Kind(made_with=COMPACTED | COMPACTED_WITHIN | TOMBSTONES_KEPT, required=COMPACTED),
}
"""By field of segflow.schemas.settings.KafkaTopics."""
WHY: Final = {
    "purchases": "compaction would throw events away",
    "interactions": "compaction would throw events away",
    "changes": "compaction would throw changes away",
    "current": "it holds the latest segments of each customer, and would grow for ever",
    "alerts": "compaction would throw alerts away",
    "dead_letters": "compaction would throw dead letters away",
    "journal": "the audit replays it, and so is a lost Redis rebuilt that was begun without the state topic",
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


def configuration(role: str, replication: int) -> dict[str, str]:
    """The configuration of a new topic."""
    durable = {"min.insync.replicas": str(replication - 1)} if replication >= COPIES_MIN else {}
    return KINDS[role].made_with | durable
