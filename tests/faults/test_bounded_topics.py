"""Topics of segflow's own that are cut or compacted: what somebody still needs stays, however long a worker stood."""

import json
import time
from contextlib import closing
from typing import Any

import pytest
import yaml
from kafka import TopicPartition
from kafka.admin import ConfigResource
from redis import Redis

from segflow.embedded.redis_server import RedisServer
from segflow.schemas.settings import Settings
from segflow.segments.recut import PopulationHistograms
from segflow.state.redirect import Redirect, is_redirect
from segflow.streams.control import scans
from segflow.streams.control.topic import Control
from segflow.streams.kafka.topics import admin
from tests.faults.installation import Installation, Make
from tests.faults.merging import MEMBER, THIRD, VISITOR, at_the_end, held
from tests.faults.stream import Stream, records_of
from tests.support.command import segflow
from tests.support.events import alias, event
from tests.support.placement import SHARDS
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

SCANS = 120
"""Of three re-cuts' worth of boundaries and two shards."""


def kept_from(installed: Installation, role: str, partition: int) -> int:
    """The oldest offset that Kafka keeps."""
    place = TopicPartition(getattr(installed.settings.kafka.topics, role), partition)
    with admin(installed.settings.kafka) as kafka:
        return int(kafka.list_partition_offsets({place: -2})[place].offset)


def test_what_shards_hand_over_outlasts_a_worker_that_stood_for_long_and_goes_when_all_have_read_it(
    installation: Make, own_redis: RedisServer
) -> None:
    """Killed in the middle of a merge, come back when inputs and journal are gone and Redis too: merged once.

    Messages that no position names any more are cut, as far as the journal is; merges go on.
    """
    installed = installation(redis=own_redis.url, partitions=SHARDS)
    installed.put(
        records_of([event(1, 0, customer=MEMBER), event(2, 1, customer=VISITOR), event(3, 2, customer=THIRD)])
    )
    with installed.worker() as first:
        installed.settles()
        first.stop()
    installed.put(records_of([alias(4, 3, MEMBER, VISITOR)]))
    with installed.worker(crash_at="commit:published:1") as killed:  # the claim is on its way
        killed.is_killed()
    installed.cut_to_nothing("purchases", "interactions", "journal")
    with closing(Redis.from_url(own_redis.url)) as client:
        client.flushall()
    with installed.worker() as second:
        installed.put(records_of(at_the_end(4, 20)))
        until(lambda: is_redirect_to(held(installed, VISITOR), MEMBER), "not merged")
        installed.settles()
        installed.put(records_of(at_the_end(5, 30)))  # every shard's last commit is behind what was handed over
        installed.settles()
        second.stop()
    assert [kept_from(installed, "handover", shard) for shard in range(SHARDS)] == [0] * SHARDS
    for shard in range(SHARDS):
        entries = [each for each in installed.read("journal") if each.partition == shard]
        installed.cut_by_retention("journal", shard, entries[-1].offset)
    with installed.worker() as third:
        until(lambda: kept_from(installed, "handover", 0) > 0, "nothing is cut")
        head = installed.heads()[0]
        assert head is not None
        assert kept_from(installed, "handover", 0) <= head.handover.offset
        installed.put(records_of([alias(5, 6, THIRD, MEMBER), *at_the_end(7, 40)]))
        until(lambda: is_redirect_to(held(installed, MEMBER), THIRD), "not merged")
        installed.settles()
        third.stop()
    audited = segflow("audit", "--settings", installed.file, "--state", "--json")
    assert json.loads(audited.out)["problems"] == []
    told = [json.loads(each.value)["change_id"] for each in installed.read("changes")]
    assert len(told) == len(set(told))


def is_redirect_to(value: bytes | None, customer: str) -> bool:
    """Whether that is what Redis holds of an id."""
    return value is not None and is_redirect(value) and str(Redirect.decode(value).to) == customer


def test_a_compacted_control_topic_keeps_every_version_for_a_worker_that_stood_for_long(
    installation: Make, seed: int
) -> None:
    """Scans go, and no definition: a shard that is behind adopts each in its turn, and audits from the first commit."""
    installed = installation(partitions=2)
    stream = Stream(seed)
    installed.works(stream.take(100))
    for days in (11, 12, 13):
        content = installed.content | {"lifecycle": {"at_risk_after": f"{days}d"}}
        installed.file.write_text(yaml.safe_dump(content))
        settings = Settings.model_validate(content)
        control = Control(settings)
        control.start(lambda: 0)
        for boundary in range(SCANS // 6):
            for shard in range(2):
                control.publish(scans.message(PopulationHistograms(), days * 100 + boundary, shard))
    before = Control(installed.settings)
    before.read()
    compact(installed)
    after = Control(installed.settings)
    after.read()
    assert [each.version for each in after.definitions] == [each.version for each in before.definitions]
    assert len(after.definitions) == 4
    assert (after.secret, after.keys.shared) == (before.secret, False)
    with installed.worker() as second:
        installed.put(stream.take(100))
        until(lambda: all(head and head.rules == after.definitions[-1].version for head in installed.heads()), "behind")
        installed.comes_out_right()
        second.stop()
    audited = segflow("audit", "--settings", installed.file, "--state")
    assert audited.code == 0, audited.out + audited.err


def compact(installed: Installation) -> None:
    """Have Kafka compact the control topic, and wait until most of its scans are gone."""
    name = installed.settings.kafka.topics.control
    assert "compact" in topic_config(installed, "control", "cleanup.policy")
    quick = {"segment.ms": "1", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "1"}
    with admin(installed.settings.kafka) as kafka:
        kafka.alter_configs([ConfigResource("topic", name, quick)])
    control = Control(installed.settings)

    def is_compacted() -> bool:
        control.publish(scans.message(PopulationHistograms(), int(time.time()), 0))  # a new file, so that others close
        kinds = [json.loads(each.value)["kind"] for each in installed.read("control")]
        return kinds.count("histogram") < SCANS / 2

    until(is_compacted, "Kafka does not compact")


def topic_config(installed: Installation, role: str, key: str) -> str:
    """What Kafka has for a topic."""
    name = getattr(installed.settings.kafka.topics, role)
    with admin(installed.settings.kafka) as kafka:
        found: Any = kafka.describe_configs([ConfigResource("topic", name)], config_filter="all")
    return str(found["topic"][name][key]["value"])
