"""`segflow topics --migrate`: an installation begun by an older version forgets what is old, once that is safe."""

from pathlib import Path

import pytest
from kafka.admin import ConfigResource

from segflow.embedded.kafka import ApacheKafka
from segflow.streams.kafka import topics
from tests.support.command import Result, segflow
from tests.support.events import event
from tests.support.older_state import without_state_topic
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

WEEK_MS = str(7 * 86_400_000)


def kept_for_ever(service: Service, role: str) -> None:
    """Keep a topic as older versions made it."""
    with topics.admin(service.settings.kafka) as admin:
        name = getattr(service.settings.kafka.topics, role)
        admin.alter_configs([ConfigResource("topic", name, {"retention.ms": "-1"})])


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
    kept_for_ever(service, "journal")
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
    assert f"altered {service.settings.kafka.topics.journal}: retention.ms={WEEK_MS}. Kafka deletes" in done.out
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
