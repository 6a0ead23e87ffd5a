"""Copies of an erased customer that segflow does not delete, and how long each may stay: for a person."""

from typing import Any, Final, NamedTuple

from segflow.schemas import duration
from segflow.streams.kafka.topics_report import Topic, TopicsReport, compaction_lag, retention


class Copy(NamedTuple):
    """A place that may have a copy, how long, and how to be rid of it sooner."""

    where: str
    how_long: str


def copies(report: TopicsReport, redis_info: dict[str, Any], *, merged: bool) -> list[Copy]:
    """All of them, those of segflow's own topics and servers first.

    Args:
        report: the topics.
        redis_info: what INFO says of persistence.
        merged: the customer was known under several ids, so records went from shard to shard.
    """
    by_retention = [
        ("purchases", "the customer's events"),
        ("interactions", "the customer's events, the erase too"),
        ("changes", "changes, the receipts too"),
        ("alerts", "alerts"),
        ("dead_letters", "records that could not be used"),
    ]
    found = [Copy(f"{report.topics[role].name} ({what})", _kept(report.topics[role])) for role, what in by_retention]
    if merged:
        where = f"{report.topics['handover'].name} (what shards told each other of the merge)"
        found.append(Copy(where, f"as long as the journal is kept: {_kept(report.topics['journal'])}"))
    found += [_compacted(report.topics[role]) for role in ("current", "state")]
    return [*found, *_redis(redis_info), *ELSEWHERE]


ELSEWHERE: Final = (
    Copy("replicas of Redis", "none: they delete as their primary does"),
    Copy(
        "backups of Redis and Kafka", "yours to delete; one that is restored brings the customer back until the erase"
    ),
    Copy("files of `segflow snapshot`", "yours to delete; one that is restored has the customer erased again"),
    Copy("what subscribers and alert receivers keep", "theirs: the receipts in the changes tell them"),
    Copy("logs of producers, and of workers with the id in an error", "as long as you keep them"),
)
"""Out of sight of every command."""


def _compacted(topic: Topic) -> Copy:
    """Older records of a key, and the key itself, in a compacted topic."""
    lag, until = compaction_lag(topic), "until Kafka compacts it"
    return Copy(
        f"{topic.name} (older records of the key)",
        f"{until}: with no bound, as max.compaction.lag.ms is not set (see `segflow topics`)"
        if lag is None
        else f"{until}: {duration.to_text(lag)} (max.compaction.lag.ms), and the partition's next record",
    )


def _redis(info: dict[str, Any]) -> list[Copy]:
    found = []
    if info.get("aof_enabled"):
        size, base = int(info.get("aof_current_size", 0)), int(info.get("aof_base_size", 0))
        found.append(
            Copy(
                "Redis' append-only file",
                f"until it is written anew ({size:,} bytes, {base:,} when it last was; Redis does so as it grows): at "
                "once by `redis-cli BGREWRITEAOF`",
            )
        )
    if info.get("rdb_last_save_time"):
        found.append(
            Copy("Redis' dump file", "until the next save, if it saves by itself: at once by `redis-cli BGSAVE`")
        )
    return found


def _kept(topic: Topic) -> str:
    age, _ = retention(topic)
    return "for ever: it has no retention" if age is None else f"{duration.to_text(age)} (retention.ms)"
