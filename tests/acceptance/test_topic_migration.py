"""`segflow topics --migrate`: an installation begun by an older version forgets what is old, once that is safe."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource

from segflow.embedded.kafka import ApacheKafka
from segflow.schemas.settings import Settings
from segflow.streams.control.definitions import definition_of
from segflow.streams.control.topic import Control
from segflow.streams.kafka import topics
from tests.support.command import Result, segflow
from tests.support.events import event
from tests.support.older_state import without_state_topic
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

WEEK_MS = str(7 * 86_400_000)


def configured(service: Service, role: str, **configs: str) -> None:
    """Configure a topic as older versions made it."""
    with topics.admin(service.settings.kafka) as admin:
        name = getattr(service.settings.kafka.topics, role)
        found = {key.replace("_", "."): value for key, value in configs.items()}
        admin.alter_configs([ConfigResource("topic", name, found)])


def retention_ms(service: Service, role: str) -> str:
    """The retention that Kafka has for a topic."""
    return topics.check(service.settings).topics[role].configs["retention.ms"]


def migrated(service: Service) -> Result:
    """`segflow topics --migrate`."""
    return segflow("topics", "--migrate", "--settings", service.file)


def test_a_journal_kept_for_ever_is_cut_once_the_state_topic_has_every_shard(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Told by topics and doctor; refused as long as a lost Redis is made from it; done beside a running worker."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 2, clock="event")
    with service.worker():
        service.send([event(number, number, customer=f"c{number % 9}") for number in range(40)])
        service.journal(
            lambda found: sum(each["plan"]["purchases_to"] - each["purchases_from"] for each in found) == 40
        )
    configured(service, "journal", retention_ms="-1")
    without_state_topic(service)
    told = "is kept for ever, and kafka.journal_retention is 1w. `segflow topics --migrate` sets"
    shown = segflow("topics", "--settings", service.file)
    assert (shown.code, told in shown.err) == (0, True)
    assert "is kept for ever, and kafka.journal_retention is 1w" in segflow("doctor", "--settings", service.file).out
    refused = migrated(service)
    assert refused.code == 1
    assert f"{service.settings.kafka.topics.journal} stays as it is: " in refused.err
    assert "does not have all of shards 0-1 yet" in refused.err
    assert retention_ms(service, "journal") == "-1"
    with service.worker():
        until(service.is_in_state_topic, "the topic is not filled")
        done = migrated(service)
    assert (done.code, done.err) == (0, "")
    assert f"altered {service.settings.kafka.topics.journal}: retention.ms={WEEK_MS}. What is older goes" in done.out
    assert retention_ms(service, "journal") == WEEK_MS
    again = migrated(service)
    assert (again.code, "altered" in again.out) == (0, False)


def test_where_a_lost_redis_is_made_from_the_journal_it_stays_for_ever(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """With at_least_once nothing is in the state topic: made so, left so, and a worker refuses to start otherwise."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, worker={"guarantee": "at_least_once"})
    assert retention_ms(service, "journal") == "-1"
    done = migrated(service)
    assert (done.code, done.err, "altered" in done.out) == (0, "", False)
    with topics.admin(service.settings.kafka) as admin:
        name = service.settings.kafka.topics.journal
        admin.alter_configs([ConfigResource("topic", name, {"retention.ms": WEEK_MS})])
    stopped = segflow("worker", "--settings", service.file)
    assert stopped.code == 2
    assert f"{name} has retention.ms={WEEK_MS}, but must have retention.ms=-1" in stopped.err


def test_handover_is_kept_until_it_is_read_and_control_is_compacted_where_that_loses_no_version(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Where an older version wrote two definitions under one key, control stays as it is, and says why."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 1, clock="event")
    control, handover = service.settings.kafka.topics.control, service.settings.kafka.topics.handover
    Control(service.settings).start(lambda: 0)
    as_before: dict[str, dict[str, str]] = {
        "control": {"cleanup_policy": "delete", "retention_ms": "-1"},
        "handover": {"retention_ms": WEEK_MS},
    }
    for role, configs in as_before.items():
        configured(service, role, **configs)
    shown = segflow("topics", "--settings", service.file)
    assert f"{handover} is kept 1w: a shard that stands still for longer loses parts of merged customers" in shown.err
    assert f"{control} keeps every scan" in shown.err
    done = migrated(service)
    assert (done.code, done.err) == (0, "")
    found = topics.check(service.settings).topics
    assert found["handover"].configs["retention.ms"] == "-1"
    assert found["control"].configs["cleanup.policy"] == "compact"
    configured(service, "control", **as_before["control"])
    with closing(KafkaProducer(bootstrap_servers=kafka.address, acks="all")) as producer:
        for days in (11, 12):
            content = definition_of(Settings.model_validate({"lifecycle": {"at_risk_after": f"{days}d"}}))
            value = json.dumps({"kind": "definition", "content": content}).encode()
            producer.send(control, key=b"definition", value=value, partition=0).get(30)
    refused = migrated(service)
    assert refused.code == 1
    assert (
        f"{control} stays as it is: an older version of segflow wrote versions of the rules under one key"
        in refused.err
    )
    configured(service, "control", cleanup_policy="compact")
    stopped = segflow("worker", "--settings", service.file)
    assert stopped.code == 2
    assert "versions of the rules share a key there" in stopped.err
