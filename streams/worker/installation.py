"""An installation as Redis knows it: what holds for all of its shards, noted by the first worker, checked by all."""

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from segflow.schemas.settings import Settings
from segflow.state import lookup
from segflow.state.keys import installation
from segflow.state.redis_servers import RedisServers
from segflow.streams.control.reshards import Reshard
from segflow.streams.control.topic import Control
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import READ
from segflow.streams.kafka.topics_report import TopicsReport
from segflow.streams.runtime.errors import UsageError

FINGERPRINT_BYTES: Final = 8
"""Tells two secrets apart, and gives nothing of them away."""


class OtherInstallationError(UsageError):
    """Redis and the topics do not belong together; the message says why and what to do."""


def claim(servers: RedisServers, settings: Settings, report: TopicsReport) -> None:
    """Note how customers are divided into shards, and which topics there are; or check that they are those noted.

    Raises:
        OtherInstallationError: the state is divided otherwise, or belongs to other topics.
        redis.RedisError, ValueError: Redis does not answer, or holds something else.
    """
    key = installation(settings.redis.prefix)
    divided = {"partitions": report.partitions, "partitioner": settings.kafka.partitioner}
    ids = {role: topic.topic_id for role, topic in report.topics.items()}
    servers.of(key).set(key, json.dumps(divided | {"topics": ids}), nx=True)
    stored = lookup.installation(servers, settings.redis.prefix)
    assert stored is not None
    if (stored.partitions, stored.partitioner) != tuple(divided.values()):
        raise OtherInstallationError(
            f"the state in Redis is of {stored.partitions} partitions and the partitioner {stored.partitioner}, the "
            f"inputs have {report.partitions} and {settings.kafka.partitioner}: customers would change shards. "
            f"To divide them anew, type `segflow reshard --partitions {report.partitions}`. Of the partitioner take "
            "the old one back, or begin anew with another redis.prefix"
        )
    recreated = topics_recreated(stored, report)
    if recreated:
        raise OtherInstallationError(recreated)
    _note(servers, settings, topics=stored.topics | ids)


def topics_recreated(stored: lookup.Installation, report: TopicsReport) -> str:
    """A message about topics that were recreated since they were noted; empty where none was.

    The inputs are left out: each shard knows of which topic it has read, and has its own way to go on.
    """
    wrong = [
        topic
        for role, topic in report.topics.items()
        if role not in READ and topic.topic_id and stored.topics.get(role, topic.topic_id) not in ("", topic.topic_id)
    ]
    if not wrong:
        return ""
    names = ", ".join(topic.name for topic in wrong)
    outputs = [topic.role.replace("_", "-") for topic in wrong if topic.role not in LOST]
    advice = [LOST[topic.role] for topic in wrong if topic.role in LOST]
    if outputs:
        how = " ".join(f"--accept {each}" for each in outputs)
        advice.append(
            f"If that is the topic to go on with, type `segflow topics {how}`; what the old one held is gone from there"
        )
    return f"deleted and made again since the workers used it: {names}. {' '.join(advice)}"


LOST: Final = {
    "journal": "Without the journal no commit can be replayed: restore it and type `segflow topics --accept journal`, "
    "or begin a new installation.",
    "control": "Without the control topic rules and the secret of erased customers are lost: restore it and type "
    "`segflow topics --accept control`, or begin a new installation.",
}
"""The advice for a topic that the state depends on."""


def check_control(servers: RedisServers, settings: Settings, control: Control, report: TopicsReport) -> None:
    """Check that the control topic, which was read, is that of the state in Redis and of the journal.

    Raises:
        OtherInstallationError: it is empty beside them, or has another secret.
        kafka.errors.KafkaError, redis.RedisError: a server does not answer.
    """
    name = settings.kafka.topics.control
    heads = lookup.heads_there(servers, settings.redis.prefix, report.partitions)
    if not control.definitions and (heads or topics.has_records(settings.kafka, settings.kafka.topics.journal)):
        beside = f"{heads} shards in Redis have state" if heads else f"{settings.kafka.topics.journal} has commits"
        raise OtherInstallationError(
            f"{name} holds no definition, but {beside}: it was cut or recreated. A worker that went on would bring "
            "erased customers back. Restore it, or begin a new installation (another redis.prefix, kafka.group and "
            "output topics)"
        )
    if control.keys.shared and report.topics["control"].configs.get("cleanup.policy") == "compact":
        raise OtherInstallationError(
            f"{name} is compacted, and versions of the rules share a key there: an older version of segflow wrote "
            "them, and compaction takes all but the last. Keep them: kafka-configs.sh --alter --entity-type topics "
            f"--entity-name {name} --add-config cleanup.policy=delete,retention.ms=-1,retention.bytes=-1"
        )
    stored = lookup.installation(servers, settings.redis.prefix)
    if heads and stored is not None and stored.secret and stored.secret != fingerprint(control.secret):
        raise OtherInstallationError(
            f"{name} has another secret than the one the state in Redis was made with: it was recreated, or is another "
            "installation's. Erased customers would come back. Restore it, or begin a new installation (another "
            "redis.prefix, kafka.group and output topics)"
        )


def accept(servers: RedisServers, settings: Settings, report: TopicsReport, roles: Iterable[str]) -> None:
    """Note recreated topics as those to go on with.

    Raises:
        OtherInstallationError: there is no installation, no such topic, or a worker would refuse what it holds.
        kafka.errors.KafkaError, redis.RedisError, ValueError: a server does not answer, or holds something else.
    """
    stored = lookup.installation(servers, settings.redis.prefix)
    if stored is None:
        raise OtherInstallationError(
            f"no worker has run yet on this Redis with redis.prefix {settings.redis.prefix}: there is nothing to accept"
        )
    accepted = [report.topics[role] for role in roles]
    missing = [topic.name for topic in accepted if not topic.partitions]
    if missing:
        raise OtherInstallationError(
            f"there is no {', '.join(missing)} to accept: restore it, or make an empty one: `segflow topics --create`"
        )
    for topic in accepted:
        if topic.role == "control":
            control = Control(settings)
            control.read()
            check_control(servers, settings, control, report)
        elif topic.role == "journal":
            _check_journal(servers, settings, report)
    _note(servers, settings, topics=stored.topics | {topic.role: topic.topic_id for topic in accepted})


def _check_journal(servers: RedisServers, settings: Settings, report: TopicsReport) -> None:
    name = settings.kafka.topics.journal
    heads = lookup.heads_there(servers, settings.redis.prefix, report.partitions)
    if heads and not topics.has_records(settings.kafka, name):
        raise OtherInstallationError(
            f"{name} has no commit, but {heads} shards in Redis have state: no worker would go on with it. Restore it, "
            "or begin a new installation (another redis.prefix, kafka.group and output topics)"
        )


def note_secret(servers: RedisServers, settings: Settings, control: Control) -> None:
    """Note the fingerprint of the installation's secret.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    _note(servers, settings, secret=fingerprint(control.secret))


def claim_again(servers: RedisServers, settings: Settings, report: TopicsReport, control: Control) -> None:
    """Note what `claim` and `note_secret` noted, in a Redis that was emptied under a running worker; raises as they."""
    claim(servers, settings, report)
    note_secret(servers, settings, control)


def note_reshard(servers: RedisServers, settings: Settings, report: TopicsReport, reshard: Reshard) -> None:
    """Note how customers are divided since a reshard: the end of it, for workers start again.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    key = installation(settings.redis.prefix)
    connected = servers.of(key)
    stored = json.loads(connected.get(key) or b"{}")
    divided = {"partitions": reshard.partitions, "partitioner": settings.kafka.partitioner}
    ids = {role: topic.topic_id for role, topic in report.topics.items()}
    connected.set(key, json.dumps(stored | divided | {"topics": ids, "reshard_us": reshard.at_us}))


def fingerprint(secret: bytes | None) -> str:
    """A secret's; empty where there is none."""
    return "" if secret is None else blake2b(secret, digest_size=FINGERPRINT_BYTES, person=b"segflow").hexdigest()


def _note(servers: RedisServers, settings: Settings, **more: object) -> None:
    """Add to what is noted; workers that start at once note the same."""
    key = installation(settings.redis.prefix)
    connected = servers.of(key)
    stored = json.loads(connected.get(key) or b"{}")
    if any(stored.get(name) != value for name, value in more.items()):
        connected.set(key, json.dumps(stored | more), xx=True)
