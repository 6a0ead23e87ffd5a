"""The commands that speak to Kafka and Redis, against real ones."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time_ns
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from redis import Redis

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.columns.messages import Messages
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.engine.partitioner import partition_of, partitions_of
from segflow.schemas import settings_file as file
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings
from segflow.state.keys import Keys, installation
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.state.redis_servers import OneServer
from segflow.streams.control.topic import Control
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import KINDS
from segflow.streams.publish.publisher import Publisher
from segflow.streams.publish.record_batch import batches
from tests.support.command import PROGRAM, Result, segflow, settings_file
from tests.support.until import PATIENCE_S, until

pytestmark = pytest.mark.kafka
PARTITIONS = 3


@dataclass(frozen=True, kw_only=True)
class Site:
    """One installation's settings, as a file and as they are read."""

    path: Path
    settings: Settings

    def segflow(self, *arguments: str | Path) -> Result:
        """A command with these settings."""
        return segflow(*arguments, "--settings", self.path)


@pytest.fixture
def site(kafka: ApacheKafka, unique_prefix: str, tmp_path: Path) -> Iterator[Site]:
    """An installation with names of its own on the session's Kafka; its topics go in the end."""
    yield from make_site(kafka, "redis://127.0.0.1:1/0", unique_prefix, tmp_path)


@pytest.fixture
def whole_site(kafka: ApacheKafka, redis_db: str, unique_prefix: str, tmp_path: Path) -> Iterator[Site]:
    """The same with a Redis."""
    yield from make_site(kafka, redis_db, unique_prefix, tmp_path)


def make_site(kafka: ApacheKafka, redis_url: str, prefix: str, folder: Path) -> Iterator[Site]:
    """The installation `prefix`."""
    content: dict[str, Any] = {
        "kafka": {
            "address": kafka.address,
            "group": prefix,
            "topics": {role: f"{prefix}{role}" for role in KINDS},
        },
        "redis": {"url": redis_url, "prefix": prefix},
    }
    site = Site(path=settings_file(folder, **content), settings=file.parse(content, name="test", environment={}))
    yield site
    with topics.admin(site.settings.kafka) as admin:
        there = set(admin.list_topics()) & set(content["kafka"]["topics"].values())
        if there:
            admin.delete_topics(sorted(there))


def name(site: Site, role: str) -> str:
    """A topic of the site."""
    return str(getattr(site.settings.kafka.topics, role))


def make_topics(site: Site, **partitions: int) -> None:
    """Make topics of these partitions, as somebody else would."""
    with topics.admin(site.settings.kafka) as admin:
        new = {
            name(site, role): {"num_partitions": count, "replication_factor": 1} for role, count in partitions.items()
        }
        admin.create_topics(new, wait_for_metadata=True)


def events(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Purchases of as many customers."""
    base = {"type": "purchase", "occurred_at": "2026-01-01T00:00:00Z", "order_id": "o", "amount": "20"} | fields
    return [{"event_id": f"e{number}", "customer_id": f"c{number}"} | base for number in range(count)]


def write(path: Path, content: Sequence[dict[str, Any]]) -> Path:
    """A JSON Lines file."""
    path.write_text("".join(json.dumps(each) + "\n" for each in content), encoding="utf-8")
    return path


def read(site: Site, topic: str) -> list[Any]:
    """Every record of a topic."""
    with closing(KafkaConsumer(bootstrap_servers=[site.settings.kafka.address], enable_auto_commit=False)) as consumer:
        parts = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends = consumer.end_offsets(parts)
        found: list[Any] = []
        until = monotonic() + PATIENCE_S
        while any(consumer.position(part) < ends[part] for part in parts):
            assert monotonic() < until
            for records in consumer.poll(timeout_ms=200).values():
                found += records
        return found


def test_topics_are_made_described_and_found_right(site: Site) -> None:
    """Missing topics are exit code 1; --create makes each as it must be; making them again changes nothing."""
    missing = site.segflow("topics")
    assert missing.code == 1
    assert "segflow topics --create" in missing.err
    made = site.segflow("topics", "--create", "--partitions", str(PARTITIONS), "--json")
    assert made.code == 0
    assert sorted(json.loads(made.out)["made"]) == sorted(name(site, role) for role in KINDS)
    report = topics.check(site.settings)
    assert report.partitions == PARTITIONS
    assert report.problems == []
    assert {role: topic.partitions for role, topic in report.topics.items()} == {
        role: 1 if role == "control" else PARTITIONS for role in KINDS
    }
    assert report.topics["current"].configs["cleanup.policy"] == "compact"
    assert report.topics["journal"].configs["retention.ms"] == str(7 * 86_400_000)
    assert report.topics["changes"].configs["retention.ms"] == str(30 * 86_400_000)
    ids = {topic.name: topic.topic_id for topic in report.topics.values()}
    assert len(set(ids.values())) == len(KINDS)
    again = site.segflow("topics", "--create")
    assert again.code == 0
    assert "made" not in again.out
    assert {topic.name: topic.topic_id for topic in topics.check(site.settings).topics.values()} == ids


def test_a_compacted_topic_without_a_bound_is_told_with_the_command_that_sets_it(site: Site) -> None:
    """Of an erased customer it could keep older records for ever: said by topics and doctor, and no reason to stop."""
    topics.create(site.settings, PARTITIONS)
    current = name(site, "current")
    assert topics.check(site.settings).warnings == []
    assert "older ones for 1w at most" in site.segflow("topics").out
    with topics.admin(site.settings.kafka) as admin:
        admin.delete_topics([current])
    until(lambda: current in topics.check(site.settings).missing, "the topic is still there")
    with topics.admin(site.settings.kafka) as admin:
        new = {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": {"cleanup.policy": "compact"}}
        admin.create_topics({current: new}, wait_for_metadata=True)
    result = site.segflow("topics")
    assert result.code == 0
    assert f"{current} has no max.compaction.lag.ms: " in result.err
    assert "`segflow topics --migrate` sets max.compaction.lag.ms=604800000" in result.err
    found = [each for each in json.loads(site.segflow("doctor", "--json").out) if each["name"] == "topics"]
    assert [each["status"] for each in found] == ["WARN", "OK"]
    assert "max.compaction.lag.ms" in found[0]["message"]
    migrated = site.segflow("topics", "--migrate")
    assert (migrated.code, migrated.err) == (0, "")
    assert f"altered {current}: max.compaction.lag.ms=604800000" in migrated.out
    assert topics.check(site.settings).warnings == []


def test_inputs_of_unequal_partition_counts_are_refused_with_both_counts(site: Site) -> None:
    """A customer would land in two shards: exit code 1, and nothing is created on top."""
    make_topics(site, purchases=2, interactions=3)
    for arguments in (["topics"], ["topics", "--create"]):
        result = site.segflow(*arguments)
        assert result.code == 1
        assert f"{name(site, 'purchases')} has 2 partitions, {name(site, 'interactions')} has 3" in result.err
    assert name(site, "changes") in topics.check(site.settings).missing


def test_new_topics_follow_the_inputs_that_exist(site: Site) -> None:
    """--create takes the number of partitions of an existing input, and refuses another one."""
    make_topics(site, purchases=2)
    refused = site.segflow("topics", "--create", "--partitions", "4")
    assert refused.code == 1
    assert "exists with 2 partitions" in refused.err
    assert site.segflow("topics", "--create").code == 0
    assert topics.check(site.settings).partitions == 2


def test_a_topic_of_the_wrong_kind_is_named_with_the_command_that_mends_it(site: Site) -> None:
    """A topic not compacted, a journal that forgets and must not, another number of partitions: each is said."""
    make_topics(site, purchases=2, interactions=2, current=2, journal=2, changes=5)
    worker = site.settings.worker.model_copy(update={"guarantee": "at_least_once"})
    problems = " ".join(topics.check(site.settings.model_copy(update={"worker": worker})).problems)
    assert f"{name(site, 'current')} has cleanup.policy=delete, but must have cleanup.policy=compact" in problems
    assert f"--entity-name {name(site, 'journal')} --add-config retention.ms=-1" in problems
    assert f"{name(site, 'changes')} has 5 partitions, but must have 2 partitions" in problems


@pytest.mark.parametrize("partitioner", ["murmur2", "crc32"])
def test_produce_puts_every_event_where_it_belongs(site: Site, tmp_path: Path, partitioner: str) -> None:
    """Purchases and refunds go to one topic, the rest to the other, keyed by customer, placed as the setting says."""
    topics.create(site.settings, PARTITIONS)
    content = site.path.read_text(encoding="utf-8").replace("kafka:", f"kafka:\n  partitioner: {partitioner}", 1)
    site.path.write_text(content, encoding="utf-8")
    refund = {"event_id": "r", "type": "refund", "customer_id": "c1", "order_id": "o", "amount": 1, "occurred_at": "x"}
    visits = events(20, type="interaction", kind="visit")
    log = write(tmp_path / "log.jsonl", [*events(50), refund, *visits])
    result = site.segflow("produce", log, "--json")
    assert result.code == 0
    counts = json.loads(result.out)
    assert (counts["purchases"], counts["interactions"], counts["unreadable"]) == (51, 20, 0)
    for role, expected in (("purchases", [*events(50), refund]), ("interactions", visits)):
        records = read(site, name(site, role))
        assert sorted(json.loads(record.value)["event_id"] for record in records) == sorted(
            event["event_id"] for event in expected
        )
        for record in records:
            assert record.key.decode() == json.loads(record.value)["customer_id"]
            assert record.partition == partition_of(record.key, partitioner, PARTITIONS)  # type: ignore[arg-type]
    doctor = {finding["name"]: finding for finding in json.loads(site.segflow("doctor", "--json").out)}
    assert doctor["keys"]["status"] == "OK"


def test_produce_keeps_a_customers_order(site: Site, tmp_path: Path) -> None:
    """One customer's thousands of events arrive in the file's order, over many batches."""
    topics.create(site.settings, PARTITIONS)
    log = write(tmp_path / "log.jsonl", [event | {"customer_id": "c1"} for event in events(5000)])
    assert site.segflow("produce", log).code == 0
    assert [json.loads(record.value)["event_id"] for record in read(site, name(site, "purchases"))] == [
        f"e{number}" for number in range(5000)
    ]


def test_produce_refuses_a_line_that_is_no_event_and_sends_it_with_raw(site: Site, tmp_path: Path) -> None:
    """Without --raw the line is named, and those before it are sent; with --raw it goes out as it is, with no key."""
    topics.create(site.settings, PARTITIONS)
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(events(1)[0]) + "\n\n{bad\n", encoding="utf-8")
    refused = site.segflow("produce", log)
    assert refused.code == 2
    assert f"{log} line 3: is no event" in refused.err
    assert [record.key for record in read(site, name(site, "purchases"))] == [b"c0"]
    assert site.segflow("produce", log, "--raw").code == 0
    assert (None, b"{bad") in [(record.key, record.value) for record in read(site, name(site, "purchases"))]


def test_produce_holds_to_a_rate(site: Site, tmp_path: Path) -> None:
    """200 events at 400 a second take half a second."""
    topics.create(site.settings, PARTITIONS)
    result = site.segflow("produce", write(tmp_path / "log.jsonl", events(200)), "--rate", "400", "--json")
    assert json.loads(result.out)["elapsed_s"] >= 0.45


def test_produce_without_topics_says_how_to_make_them(site: Site, tmp_path: Path) -> None:
    """A missing topic is exit code 2 with the command that makes it."""
    result = site.segflow("produce", write(tmp_path / "log.jsonl", events(1)))
    assert result.code == 2
    assert "segflow topics --create" in result.err


@pytest.mark.parametrize("compression", [None, "gzip", "snappy", "lz4", "zstd"])
def test_doctor_recognises_a_producer_with_the_other_partitioner(site: Site, compression: str | None) -> None:
    """Keys placed by librdkafka's default under kafka.partitioner: murmur2 fail with both ways to mend it.

    However the producer compresses.
    """
    topics.create(site.settings, PARTITIONS)
    keys = [f"c{number}".encode() for number in range(50)]
    address = [site.settings.kafka.address]
    with closing(KafkaProducer(bootstrap_servers=address, compression_type=compression, linger_ms=500)) as producer:
        for key, partition in zip(keys, partitions_of(keys, "crc32", PARTITIONS).tolist(), strict=True):
            producer.send(name(site, "purchases"), key=key, value=b"{}", partition=partition)
        producer.flush()
    result = site.segflow("doctor", "--json")
    assert result.code == 1
    finding = next(each for each in json.loads(result.out) if each["name"] == "keys")
    assert finding["status"] == "FAIL"
    assert "kafka.partitioner: crc32" in finding["message"]
    assert "partitioner=murmur2_random" in finding["message"]


def test_doctor_says_that_most_of_an_input_cannot_be_used(site: Site) -> None:
    """Half a topic of CSV, and a visit among the purchases: a failure, with the reasons and what it looks like."""
    topics.create(site.settings, PARTITIONS)
    visit = json.dumps(events(1, type="interaction", kind="visit")[0]).encode()
    good = json.dumps(events(1)[0]).encode()
    place = partition_of(b"c0", "murmur2", PARTITIONS)
    with closing(KafkaProducer(bootstrap_servers=[site.settings.kafka.address])) as producer:
        for value in (b"id,name,total", b"1,Ann,20", visit, good):
            producer.send(name(site, "purchases"), key=b"c0", value=value, partition=place)
        producer.flush()
    result = site.segflow("doctor", "--json")
    assert result.code == 1
    (found,) = [each for each in json.loads(result.out) if each["name"] == "records"]
    assert found["status"] == "FAIL"
    assert (
        f"3 of the latest 4 records of {name(site, 'purchases')} cannot be used: not_json 2, wrong_topic 1"
        in (found["message"])
    )
    assert "looks like CSV" in found["message"]


def shard(site: Site, partition: int, purchases: list[dict[str, Any]]) -> Messages:
    """Work through one shard's purchases with the state in Redis; the changes."""
    redis = client(site.settings.redis)
    store = RedisStore(OneServer(redis), Keys(site.settings.redis.prefix, partition))
    mine = MemoryShard(site.settings, RuleVersions(from_settings(site.settings)), partition, store)  # type: ignore[arg-type]
    values = [json.dumps(event).encode() for event in purchases]
    changes = mine.feed(
        Decoder(site.settings, None).decode(values, None, range(len(values))), time_ns() // 1000
    ).changes
    store.close()
    redis.close()
    return changes


async def publish(site: Site, partition: int, messages: Messages, *, commit: bool = True) -> None:
    """Changes in a transaction, as the worker writes them; without `commit` it is aborted."""
    publisher = Publisher(site.settings, partition)
    await publisher.start()
    if commit:
        await publisher.publish({name(site, "changes"): messages})
    else:
        producer, place = publisher._producer, TopicPartition(name(site, "changes"), partition)
        await producer.begin([place])
        await producer.send({place: list(batches(messages, 0, transactional=True))})
        await producer.fence()
    await publisher.close()


def test_tail_shows_committed_changes_and_filters_them(whole_site: Site) -> None:
    """Aborted changes are never seen; dimension, label and customer narrow the rest; --json shows the bytes."""
    site = whole_site
    topics.create(site.settings, PARTITIONS)
    changes = shard(site, 0, [*events(3), events(1)[0] | {"event_id": "again", "occurred_at": "2026-04-01T00:00:00Z"}])
    asyncio.run(publish(site, 0, changes, commit=False))
    asyncio.run(publish(site, 0, changes))
    everything = site.segflow("tail", "--from-beginning", "--json", "--limit", str(len(changes)))
    assert everything.code == 0
    assert everything.out.encode() == b"".join(change.value + b"\n" for change in changes)
    lines = site.segflow("tail", "--from-beginning", "--dimension", "lifecycle", "--label", "at_risk", "--limit", "1")
    assert lines.out == "2026-03-02T00:00:00Z  c0  lifecycle  new → at_risk  time  [backfill]\n"
    mine = site.segflow("tail", "--from-beginning", "--customer", "c2", "--limit", "2")
    assert [line.split()[1:3] for line in mine.out.splitlines()] == [["c2", "lifecycle"], ["c2", "rfm"]]


def test_tail_follows_from_now_and_ends_with_zero_at_ctrl_c(whole_site: Site) -> None:
    """Without --from-beginning only what comes after the start is shown; SIGINT is a normal end."""
    site = whole_site
    topics.create(site.settings, PARTITIONS)
    asyncio.run(publish(site, 0, shard(site, 0, events(1))))
    later = shard(site, 1, [{**events(1)[0], "customer_id": "later"}])
    command = [*PROGRAM, "tail", "--json", "--settings", str(site.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        # It says nothing when it is ready, so changes are published until one is seen.
        try:
            asyncio.run(_publish_until_seen(site, later, tail))
            tail.send_signal(signal.SIGINT)
            _, err = tail.communicate(timeout=PATIENCE_S)
        finally:
            tail.kill()
    assert tail.returncode == 0
    assert err == b""


async def _publish_until_seen(site: Site, changes: Messages, tail: "subprocess.Popen[bytes]") -> None:
    assert tail.stdout is not None
    seen = asyncio.get_running_loop().run_in_executor(None, tail.stdout.readline)
    until = monotonic() + PATIENCE_S
    while not seen.done():
        assert monotonic() < until
        await publish(site, 1, changes)
        await asyncio.wait([seen], timeout=0.5)
    assert json.loads(await seen)["customer_id"] == "later"


def test_tail_without_a_topic_says_how_to_make_it(site: Site) -> None:
    """A missing topic is exit code 2 with the command that makes it."""
    result = site.segflow("tail")
    assert result.code == 2
    assert "segflow topics --create" in result.err


@pytest.mark.redis
def test_show_tells_what_is_known_and_what_silence_will_bring(whole_site: Site) -> None:
    """Labels with their times, the facts, every change to come, and that the first of them is overdue."""
    site = whole_site
    unborn = site.segflow("show", "c1")
    assert (unborn.code, "no worker has run yet" in unborn.err) == (1, True)
    with closing(Redis.from_url(site.settings.redis.url)) as redis:
        redis.set(
            installation(site.settings.redis.prefix), json.dumps({"partitions": PARTITIONS, "partitioner": "murmur2"})
        )
    topics.create(site.settings, PARTITIONS)
    Control(site.settings).start(lambda: 0)
    partition = partition_of(b"c1", "murmur2", PARTITIONS)
    shard(site, partition, events(2)[1:])
    shown = json.loads(site.segflow("show", "c1", "--json").out)
    assert shown["segments"] == {"lifecycle": "new", "rfm": "new"}
    assert shown["since"] == {"lifecycle": "2026-01-01T00:00:00Z", "rfm": "2026-01-01T00:00:00Z"}
    assert shown["facts"]["monetary"] == "20.00"
    assert shown["partition"] == partition
    assert (
        shown["next"] == shown["silence"][0] == {"dimension": "rfm", "label": "promising", "at": "2026-01-31T00:00:00Z"}
    )
    assert [each["label"] for each in shown["silence"] if each["dimension"] == "lifecycle"] == ["at_risk", "churned"]
    assert shown["overdue_s"] > 0
    text = site.segflow("show", "c1")
    assert text.code == 0
    assert "lifecycle   new" in text.out
    assert "2026-03-02T00:00:00Z  lifecycle becomes at_risk" in text.out
    assert "overdue" in text.out
    told = site.segflow("explain", "c1", "--dimension", "lifecycle")
    assert told.code == 0, told.err
    assert told.out.startswith("lifecycle: new (on 2026-01-01T00:00:00Z)\n")
    assert "  If nothing happens it is at_risk from 2026-03-02T00:00:00Z on.\n" in told.out
    unknown = site.segflow("show", "nobody\x1b[2J")
    assert unknown.code == 1
    assert r"nothing is known of the customer nobody\x1b[2J" in unknown.err


@pytest.mark.redis
def test_doctor_says_that_redis_is_lost_where_the_journal_has_commits(whole_site: Site) -> None:
    """Not that no worker has run yet: the state is gone, and the message says what makes it again."""
    site = whole_site
    topics.create(site.settings, PARTITIONS)
    with closing(KafkaProducer(bootstrap_servers=[site.settings.kafka.address])) as producer:
        producer.send(name(site, "journal"), key=b"1", value=b"{}", partition=1)
        producer.flush()
    found = {each["name"]: each for each in json.loads(site.segflow("doctor", "--json").out)}
    assert found["shards"]["status"] == "FAIL"
    assert "the journal has commits: Redis lost it" in found["shards"]["message"]
    assert "no worker has run yet" not in found["shards"]["message"]
    with closing(Redis.from_url(site.settings.redis.url)) as redis:
        redis.set(
            installation(site.settings.redis.prefix), json.dumps({"partitions": PARTITIONS, "partitioner": "murmur2"})
        )
        shard(site, 0, events(1))
    partly = [each for each in json.loads(site.segflow("doctor", "--json").out) if each["status"] == "FAIL"]
    assert [each["message"] for each in partly if each["message"].startswith("shard 1 lost all state in Redis")]


def test_doctor_sees_a_redis_that_is_full(whole_site: Site) -> None:
    """It refuses every write then; OK would be a light that is green while nothing works."""
    topics.create(whole_site.settings, PARTITIONS)
    with closing(Redis.from_url(whole_site.settings.redis.url)) as redis:
        used = int(redis.info("memory")["used_memory"])
        try:
            for limit, status in ((used * 10, "OK"), (used + used // 20, "WARN"), (used // 2, "FAIL")):
                redis.config_set("maxmemory", limit)
                found = {each["name"]: each for each in json.loads(whole_site.segflow("doctor", "--json").out)}
                assert found["memory"]["status"] == status, found["memory"]
        finally:
            redis.config_set("maxmemory", 0)
    assert "refuses writes" in found["memory"]["message"]


def test_doctor_is_content_with_a_sound_installation_and_names_what_is_wrong(whole_site: Site, tmp_path: Path) -> None:
    """Missing topics fail; once all is there nothing fails, shards and lag are told; other partitions fail again."""
    site = whole_site
    empty = site.segflow("doctor")
    assert empty.code == 1
    assert "FAIL topics" in empty.out
    assert f"OK   settings    from {site.path}" in empty.out
    topics.create(site.settings, PARTITIONS)
    assert site.segflow("produce", write(tmp_path / "log.jsonl", events(30))).code == 0
    Control(site.settings).start(lambda: 0)
    with closing(Redis.from_url(site.settings.redis.url)) as redis:
        redis.set(
            installation(site.settings.redis.prefix), json.dumps({"partitions": PARTITIONS, "partitioner": "murmur2"})
        )
        shard(site, 0, events(1))
        sound = site.segflow("doctor", "--json")
        found = {finding["name"]: finding for finding in json.loads(sound.out)}
        assert sound.code == 0
        assert found["topics"]["status"] == found["keys"]["status"] == found["redis"]["status"] == "OK"
        assert found["heads"]["message"] == "2 of 3 have no state: shards 1-2"
        assert found["lag"]["status"] == "WARN"
        assert "29 records behind" in found["lag"]["message"]
        redis.set(installation(site.settings.redis.prefix), json.dumps({"partitions": 5, "partitioner": "murmur2"}))
        changed = site.segflow("doctor")
    assert changed.code == 1
    assert "Redis holds 5 shards, but the inputs have 3 partitions" in changed.out
