"""The checks of `segflow doctor` on what a loss of Redis, or of a broker, would cost, or has cost."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from segflow.operations.finding import Finding
from segflow.schemas import duration
from segflow.schemas.settings import Settings
from segflow.state.head import Head
from segflow.streams.journal.journal import JournalError
from segflow.streams.journal.obstacles import obstacles
from segflow.streams.kafka.topic_kinds import READ
from segflow.streams.kafka.topics_report import Topic, TopicsReport, retention
from segflow.streams.runtime.shard_names import shard_names
from segflow.streams.state_topic.reader import TopicFacts
from segflow.streams.state_topic.whole import whole_in

BACKUP: Final = (
    "Back Redis up, or keep its append-only file on another disk: without it a loss of Redis is final. To keep the "
    "inputs of a later installation for ever, set retention.ms=-1 and retention.bytes=-1 on them."
)
NEXT_INSTALLATION: Final = (
    "Restore a snapshot (`segflow restore`) or a backup of Redis, then start the workers: they replay what it lacks. "
    "Without one, begin a new installation (another redis.prefix, kafka.group and output topics): "
    "`segflow topics --create`, `segflow worker`."
)


def recovery_findings(
    settings: Settings, report: TopicsReport, commits: Sequence[int], heads: Sequence[Head | None] | None
) -> Iterator[Finding]:
    """The source that Redis could be made again from; after a loss, what is lost and what to type.

    Args:
        settings: where everything is.
        report: all topics are there.
        commits: of each shard, whether the journal has any (above 0).
        heads: of each shard in Redis; None: Redis has nothing of the installation.

    Raises:
        kafka.errors.KafkaError: Kafka does not answer or refuses.
    """
    made = [number for number, count in enumerate(commits) if count]
    if not made:
        return
    lost = [number for number in made if heads is None or is_lost(heads[number], commits[number])]
    copied, unreadable = asyncio.run(_in_topic(settings, TopicFacts.of(report.topics["state"]), made))
    yield from (Finding(name="recovery", status="FAIL", message=why) for why in unreadable)
    yield from _copied(settings, [number for number in copied if number in lost], lost=True)
    yield from _copied(settings, [number for number in copied if number not in lost], lost=False)
    made = [number for number in made if number not in copied]
    lost = [number for number in lost if number not in copied]
    found = obstacles(settings, report.input_ids, made)
    for why, shards in _grouped(found, lost):
        yield Finding(
            name="recovery",
            status="FAIL",
            message=f"{shard_names(shards)} lost all state in Redis, and it cannot be rebuilt: {why}",
            advice=NEXT_INSTALLATION,
        )
    again = [number for number in lost if not found.get(number, "?")]
    if again:
        yield Finding(
            name="recovery",
            status="FAIL",
            message=f"{shard_names(again)} lost all state in Redis; it can be rebuilt from the journal and the inputs",
            advice="Start a worker (`segflow worker`): it does so as it acquires them.",
        )
    standing = [number for number in made if number not in lost]
    for why, shards in _grouped(found, standing):
        yield Finding(
            name="recovery",
            status="WARN",
            message=f"Redis is the only copy of {shard_names(shards)}: {why}",
            advice=BACKUP,
        )
    yield from _being_filled(settings, standing, heads)
    whole = [number for number in standing if not found.get(number, "?")]
    if whole:
        yield _while_it_lasts(report, whole)


async def _in_topic(settings: Settings, facts: TopicFacts, shards: Iterable[int]) -> tuple[list[int], list[str]]:
    """The shards that the state topic has, and why others could not be looked at: one does not hide the rest."""
    found: list[int] = []
    unreadable = []
    for number in shards:
        try:
            found += await whole_in(settings, facts, [number])
        except JournalError as error:
            unreadable.append(str(error))
    return found, unreadable


def is_lost(head: Head | None, commits: int) -> bool:
    """Whether Redis has nothing of a shard with so many commits: no head, or the empty one of a failed recovery."""
    return head is None or (commits > 0 and head.sequence == 0)


def _copied(settings: Settings, shards: list[int], *, lost: bool) -> Iterator[Finding]:
    """Shards that the state topic has whole."""
    name = settings.kafka.topics.state
    if shards and lost:
        yield Finding(
            name="recovery",
            status="FAIL",
            message=f"{shard_names(shards)} lost all state in Redis; it can be copied from {name}",
            advice="Start a worker (`segflow worker`): it does so as it acquires them.",
        )
    elif shards:
        yield Finding(
            name="recovery", status="OK", message=f"{shard_names(shards)} could be copied from {name}, without Redis"
        )


def _being_filled(settings: Settings, shards: list[int], heads: Sequence[Head | None] | None) -> Iterator[Finding]:
    """Shards whose state is on its way into the state topic."""
    found = [(number, head.in_topic) for number in shards if heads and (head := heads[number]) is not None]
    on_the_way = {number: known for number, known in found if known is not None and not known.complete}
    if on_the_way:
        done, of = (sum(getattr(known, name) for known in on_the_way.values()) for name in ("places", "until"))
        yield Finding(
            name="state topic",
            status="WARN",
            message=f"{settings.kafka.topics.state} does not have all of {shard_names(list(on_the_way))} yet: {done:,} "
            f"of {of:,} customers who came before it",
            advice="Let the workers run: they write the rest there beside their commits.",
        )


def _grouped(found: dict[int, str], shards: Iterable[int]) -> Iterator[tuple[str, list[int]]]:
    """The shards of each obstacle."""
    by_why: dict[str, list[int]] = {}
    for number in shards:
        if found.get(number):
            by_why.setdefault(found[number], []).append(number)
    yield from by_why.items()


def _while_it_lasts(report: TopicsReport, shards: list[int]) -> Finding:
    """Shards that could be rebuilt now; a warning where retention will end that."""
    message = f"{shard_names(shards)} could be rebuilt from the journal and the inputs"
    short = [f"{report.topics[role].name} keeps {kept}" for role in READ if (kept := _kept(report.topics[role]))]
    if not short:
        return Finding(name="recovery", status="OK", message=message)
    return Finding(
        name="recovery", status="WARN", message=f"{message}, but not for ever: {', '.join(short)}", advice=BACKUP
    )


def _kept(topic: Topic) -> str:
    """The retention of what shards read; empty: for ever."""
    age, size_bytes = retention(topic)
    kept = [] if age is None else [duration.to_text(age)]
    return " or ".join(kept + ([] if size_bytes is None else [f"{size_bytes:,} bytes a partition"]))


def replication_finding(report: TopicsReport) -> Finding:
    """A warning where a topic has one copy."""
    alone = [topic.name for topic in report.topics.values() if topic.replicas == 1]
    if not alone:
        return Finding(name="replication", status="OK", message="every topic has a copy on another broker")
    return Finding(
        name="replication",
        status="WARN",
        message=f"replication is 1: a broker that is lost takes with it {', '.join(alone)}",
        advice="Raise it with kafka-reassign-partitions.sh; kafka.replication is for new topics. Fine for a trial.",
    )
