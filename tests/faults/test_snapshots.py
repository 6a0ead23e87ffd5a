"""Snapshots: taken beside workers, brought back into an empty Redis once the state topic is gone, too."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from kafka import KafkaConsumer
from redis import Redis

from segflow.embedded.redis_server import RedisServer
from segflow.operations.backup import manifest
from segflow.operations.backup.manifest import Manifest
from segflow.state.keys import Keys
from tests.faults.installation import Installation, Make
from tests.faults.stream import INTERACTIONS, PURCHASES, Stream, records_of
from tests.support.command import PROGRAM, Result, segflow
from tests.support.events import alias, event
from tests.support.placement import SHARDS, name_in
from tests.support.redis_content import content
from tests.support.s3_server import s3_server
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

KILLED: Final = -9
WRONG: Final = {
    ("manifest.json", b'"partitions": 2', b'"partitions": 3'): "does not name each of its 3 shards once",
    (
        "manifest.json",
        b'"partitioner": "murmur2',
        b'"partitioner": "other',
    ): "customers would stand in the wrong shards",
    ("manifest.json", b'"format": 1', b'"format": 2'): "in a layout that this version does not know",
    ("manifest.json", b'"record_layout": 2', b'"record_layout": 3'): "in a layout that this version does not know",
    ("manifest.json", b'"shards"', b'"parts"'): "is no manifest of a snapshot",
    ("shard-00001.parquet", b"PAR1", b""): "it was truncated or altered",
    ("shard-00001.parquet", b"PAR1", b"PAR2"): "its SHA-256 is another",
}
"""By file, what is in it, and what takes its place: the refusal."""


@contextmanager
def connected(server: RedisServer) -> Iterator[Redis]:
    """A client of the test's own."""
    with closing(Redis.from_url(server.url)) as client:
        yield client


def typed(installed: Installation, *arguments: str | Path) -> Result:
    """A command that does what it should."""
    done = segflow(*arguments, "--settings", installed.file)
    assert done.code == 0, done.out + done.err
    return done


def refused(installed: Installation, *arguments: str | Path) -> str:
    """What a command says that refuses."""
    done = segflow(*arguments, "--settings", installed.file)
    assert (done.code, "Traceback" in done.err) == (2, False), done.out + done.err
    return done.err


def killed_at(point: str, installed: Installation, *arguments: str | Path) -> None:
    """A command that is killed there."""
    command = [*PROGRAM, *map(str, arguments), "--settings", str(installed.file)]
    done = subprocess.run(
        command, env=os.environ | {"SEGFLOW_CRASH_AT": f"{point}:1"}, capture_output=True, check=False
    )
    assert done.returncode == KILLED, done


def taken(folder: Path) -> Manifest:
    """The manifest of a snapshot."""
    return manifest.decode((folder / manifest.FILE).read_bytes(), "test")


def customers(client: Redis) -> dict[bytes, Any]:
    """All records in Redis. Unlike the heads, they stay as they are while commits write them to the state topic."""
    return {key: client.get(key) for key in client.scan_iter("*:c:*", count=1000)}


def lose(installed: Installation, client: Redis) -> None:
    """Redis is emptied, and the state topic made anew."""
    client.flushall()
    installed.make_anew("state")


def cut_before(installed: Installation, snapshot: Manifest) -> None:
    """Retention has taken all that the snapshot does not need."""
    for part in snapshot.shards:
        installed.cut_by_retention(PURCHASES, part.shard, part.head.purchases.offset)
        installed.cut_by_retention(INTERACTIONS, part.shard, part.head.interactions.offset)
        installed.cut_by_retention("journal", part.shard, part.journal_next)


def test_a_snapshot_taken_under_load_brings_everything_back_but_who_was_erased_since(
    installation: Make, own_redis: RedisServer, tmp_path: Path, seed: int
) -> None:
    """Merged ids stay merged, nothing is told twice, and what was before the snapshot is not needed."""
    installed = installation(redis=own_redis.url, partitions=SHARDS)
    stream, folder = Stream(seed), tmp_path / "snapshot"
    member, visitor, gone = [name_in(shard, "of-this-test") for shard in (1, 2, 0)]
    with connected(own_redis) as client:
        with installed.worker() as worker:
            installed.put(records_of([event(1000, 0, customer=each) for each in (member, visitor, gone)]))
            installed.put(stream.take(200))
            installed.settles()
            with installed.flowing(stream.take(200), rate=100):
                typed(installed, "snapshot", folder)
            installed.put(records_of([alias(1001, 61, member, visitor), event(1002, 61, "erase", gone)]))
            installed.put(stream.take(100))
            installed.settles()
            worker.stop()
        before = content(client, SHARDS)
        record = Keys(installed.settings.redis.prefix, 0).record(gone).encode()
        assert record not in before
        cut_before(installed, taken(folder))
        lose(installed, client)
        assert typed(installed, "restore", folder).out.count("a worker replays the") == SHARDS
        assert client.exists(record), "the snapshot has the customer still"
        with installed.worker() as again:
            until(lambda: content(client, SHARDS) == before, "Redis does not come back as it was")
            installed.put(stream.take(50))
            until(installed.is_in_state_topic, "the topic is not filled again")
            again.stop()
        told = [json.loads(each.value)["change_id"] for each in installed.read("changes")]
        assert len(told) == len(set(told))


def test_a_snapshot_and_a_restore_killed_at_each_step_can_be_typed_again(
    installation: Make, own_redis: RedisServer, tmp_path: Path, seed: int
) -> None:
    """A folder without a manifest is none; half a shard is nobody's state, and a worker parks it."""
    installed = installation(redis=own_redis.url, partitions=1, worker={"batch_max_records": 400})
    stream, folder = Stream(seed, customers=1500, step_hours=0.5), tmp_path / "snapshot"
    with connected(own_redis) as client:
        installed.works(stream.take(3000))
        for point in ("snapshot:shard-written", "snapshot:shards-written"):
            killed_at(point, installed, "snapshot", folder)
            assert "there is no manifest.json" in refused(installed, "restore", folder)
        typed(installed, "snapshot", folder)
        as_written = content(client, 1)
        installed.works(stream.take(100))
        before = content(client, 1)
        cut_before(installed, taken(folder))
        lose(installed, client)
        for point in ("restore:fenced", "acquire:cleared", "acquire:one-copied"):
            killed_at(point, installed, "restore", folder)
            head = installed.heads()[0]
            assert head is None if point == "restore:fenced" else head is not None and head.partial
        with installed.worker() as parked:
            parked.says("is parked (journal)")
            assert parked.ends() == 2, "its one shard is parked"
        killed_at("restore:filled", installed, "restore", folder)
        assert content(client, 1) == as_written
        assert "Redis has it" in typed(installed, "restore", folder).out
        with installed.worker() as last:
            until(lambda: content(client, 1) == before, "Redis does not come back as it was")
            last.stop()


def test_one_shard_is_restored_while_the_others_are_worked(
    installation: Make, own_redis: RedisServer, tmp_path: Path, seed: int
) -> None:
    """Its worker has it parked, and goes on with it by itself; a shard that is held is refused."""
    installed = installation(redis=own_redis.url)
    stream, folder = Stream(seed), tmp_path / "snapshot"
    with connected(own_redis) as client:
        installed.works(stream.take(200))
        typed(installed, "snapshot", folder)
        installed.works(stream.take(100))
        before = customers(client)
        cut_before(installed, taken(folder))
        installed.make_anew("state")
        typed(installed, "topics", "--accept", "state")
        for key in client.scan_iter(f"{installed.settings.redis.prefix}:{{1}}:*"):
            client.unlink(key)
        with installed.worker() as worker:
            worker.says("shard 1 is parked (journal)")
            until(lambda: (head := installed.heads()[0]) is not None and head.is_in_topic, "shard 0 is not worked")
            done = typed(installed, "restore", folder)
            assert "shard 0: nothing was restored: " in done.out
            assert "shard 1: " in done.out
            until(lambda: customers(client) == before, "Redis does not come back as it was")
            installed.put(stream.take(100))
            installed.settles()
            worker.stop()


@contextmanager
def held_by_somebody(installed: Installation) -> Iterator[None]:
    """The workers' group has a member, who does nothing."""
    kafka = installed.settings.kafka
    member = KafkaConsumer(kafka.topics.purchases, bootstrap_servers=installed.direct, group_id=kafka.group)
    with closing(member):
        until(lambda: member.poll(100) or member.assignment(), "it does not join the group")
        yield


def test_what_cannot_be_restored_is_refused_and_nothing_is_touched(
    installation: Make, own_redis: RedisServer, tmp_path: Path, seed: int
) -> None:
    """Another installation's, of other partitions, newer, truncated, altered, missing, or with commits since gone."""
    installed = installation(redis=own_redis.url)
    stream, folder, later = Stream(seed), tmp_path / "snapshot", tmp_path / "later"
    installed.works(stream.take(200))
    typed(installed, "snapshot", folder)
    assert "has a snapshot already" in refused(installed, "snapshot", folder)
    assert "has all of it, up to commit" in typed(installed, "restore", folder).out
    installed.works(stream.take(100))
    typed(installed, "snapshot", later)
    with connected(own_redis) as client:
        before = content(client, installed.partitions)
        lose(installed, client)
        for edit, why in WRONG.items():
            with altered(folder, *edit):
                assert why in refused(installed, "restore", folder), edit
        assert "there is no manifest.json" in refused(installed, "restore", tmp_path / "none")
        with held_by_somebody(installed):
            assert "stop the workers first" in refused(installed, "restore", folder)
        installed.cut_to_nothing("journal")
        assert "was cut to nothing" in refused(installed, "restore", folder)
        assert not list(client.scan_iter())
        typed(installed, "restore", later)  # no commit since: nothing is missing
        assert content(client, installed.partitions) == before
        other = installation(redis=own_redis.url, name="other-")
        other.works(stream.take(10))
        assert "of another installation" in refused(other, "restore", folder)


@contextmanager
def altered(folder: Path, name: str, old: bytes, new: bytes) -> Iterator[None]:
    """A file of a snapshot that somebody altered."""
    file = folder / name
    was = file.read_bytes()
    assert old in was
    file.write_bytes(was.replace(old, new))
    try:
        yield
    finally:
        file.write_bytes(was)


def test_a_shard_without_the_topic_is_written_from_redis_while_it_rests(
    installation: Make, own_redis: RedisServer, tmp_path: Path, seed: int
) -> None:
    """At least once: merged and erased ones stay so; a commit meanwhile is said."""
    installed = installation(redis=own_redis.url, partitions=SHARDS, worker={"guarantee": "at_least_once"})
    stream, folder = Stream(seed), tmp_path / "snapshot"
    member, visitor, gone = [name_in(shard, "of-this-test") for shard in (1, 2, 0)]
    with connected(own_redis) as client:
        log = [event(1000, 0, customer=each) for each in (member, visitor, gone)]
        log += [alias(1001, 1, member, visitor), event(1002, 1, "erase", gone)]
        installed.put(records_of(log))
        installed.works(stream.take(200))
        typed(installed, "snapshot", folder)
        as_written = content(client, SHARDS)
        installed.works(stream.take(100))
        before = content(client, SHARDS)
        for part in taken(folder).shards:
            installed.cut_by_retention(PURCHASES, part.shard, part.head.purchases.offset)
        client.flushall()
        typed(installed, "restore", folder)
        assert content(client, SHARDS) == as_written
        with installed.worker() as again:
            until(lambda: content(client, SHARDS) == before, "Redis does not come back as it was")
            again.stop()


def test_a_snapshot_goes_to_s3_and_comes_back_and_what_s3_refuses_is_said(
    installation: Make, own_redis: RedisServer, seed: int
) -> None:
    """A bucket that is not there, a service that denies or cannot be reached: nothing is touched, and what to do."""
    installed = installation(redis=own_redis.url, partitions=1)
    stream = Stream(seed)
    with connected(own_redis) as client, s3_server() as s3:
        installed.works(stream.take(100))
        assert "there is no such bucket" in refused(installed, "snapshot", s3.place("a", bucket="other"))
        assert "written: s3://backups/a/manifest.json\n" in typed(installed, "snapshot", s3.place("a")).out
        assert "has a snapshot already" in refused(installed, "snapshot", s3.place("a"))
        before = content(client, 1)
        lose(installed, client)
        assert "there is no manifest.json" in refused(installed, "restore", s3.place("b"))
        typed(installed, "restore", s3.place("a"))
        assert content(client, 1) == before
        client.flushall()
        s3.deny()
        for command, folder in (("restore", "a"), ("snapshot", "b")):
            assert "s3://backups/" in (said := refused(installed, command, s3.place(folder)))
            assert "denies: " in said
        assert not list(client.scan_iter())
    assert "cannot be reached: " in refused(installed, "restore", s3.place("a"))
