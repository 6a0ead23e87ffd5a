"""Recreated topics, and records of other programs in segflow's own topics: named, and never a traceback."""

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from kafka import KafkaProducer

from segflow.state.keys import installation as installation_key
from segflow.state.redis_connection import client
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import KINDS
from tests.faults.installation import Installation, Make
from tests.faults.stream import Stream
from tests.faults.worker_process import WorkerProcess
from tests.support.command import segflow
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

OUTPUTS = ("changes", "current", "alerts", "dead_letters")


def grown(make: Make, stream: Stream, **content: object) -> Installation:
    """An installation with some customers, and no worker."""
    installed = make(**content)
    installed.put(stream.take(200))
    with installed.worker() as first:
        installed.settles()
        first.stop()
    return installed


@contextmanager
def at_work(make: Make, stream: Stream) -> Iterator[tuple[Installation, WorkerProcess]]:
    """An installation with some customers, and its worker, whose log has no traceback in the end."""
    installed = make()
    installed.put(stream.take(100))
    with installed.worker() as worker:
        installed.settles()
        yield installed, worker
        assert "Traceback" not in worker.said()


def refused(installed: Installation) -> str:
    """A start of a worker that must be refused; what it said."""
    with installed.worker() as worker:
        assert worker.ends() == 2
        assert "Traceback" not in worker.said()
        return worker.said()


def topic(installed: Installation, role: str) -> str:
    """A topic's name."""
    return str(getattr(installed.settings.kafka.topics, role))


@pytest.mark.parametrize("role", ["control", "journal"])
def test_a_topic_that_the_state_depends_on_made_anew_is_a_stop(role: str, installation: Make, seed: int) -> None:
    """Named by worker and doctor; no second definition and no second secret is written."""
    stream = Stream(seed)
    installed = grown(installation, stream)
    installed.make_anew(role)
    installed.put(stream.take(50))
    said = refused(installed)
    assert f"{topic(installed, role)}" in said
    assert "deleted and made again" in said
    assert topic(installed, role) in installed.doctor("FAIL")
    assert installed.read(role) == []


def test_an_empty_control_topic_beside_heads_is_a_stop_and_is_not_accepted(installation: Make, seed: int) -> None:
    """Erased customers would come back under a new secret. So too where Redis is empty and the journal is not."""
    installed = grown(installation, Stream(seed))
    installed.make_anew("control")
    empty = f"{topic(installed, 'control')} holds no definition, but {installed.partitions} shards in Redis"
    accepted = segflow("topics", "--accept", "control", "--settings", installed.file)
    assert accepted.code == 2
    assert empty in accepted.err
    assert "Restore it, or begin a new installation" in accepted.err
    note_id(installed, "control")
    assert empty in refused(installed)
    with client(installed.settings.redis) as redis:
        redis.flushall()
    assert f"but {topic(installed, 'journal')} has commits" in refused(installed)
    assert installed.read("control") == []


def note_id(installed: Installation, role: str) -> None:
    """Note the topic there is as that of the installation, whatever it holds."""
    key = installation_key(installed.settings.redis.prefix)
    with client(installed.settings.redis) as redis:
        stored = json.loads(redis.get(key) or b"")
        stored["topics"][role] = topics.check(installed.settings).topics[role].topic_id
        redis.set(key, json.dumps(stored))


def test_an_empty_journal_is_a_stop_and_is_not_accepted(installation: Make, seed: int) -> None:
    """It does not fit the state. Neither is a topic that is missing."""
    installed = grown(installation, Stream(seed))
    accept = ("topics", "--accept", "journal", "--settings", installed.file)
    installed.delete("journal")
    gone = segflow(*accept)
    assert gone.code == 2
    assert f"there is no {topic(installed, 'journal')} to accept" in gone.err
    installed.make("journal")
    empty = segflow(*accept)
    assert empty.code == 2
    assert f"{topic(installed, 'journal')} has no commit, but {installed.partitions} shards in Redis" in empty.err
    note_id(installed, "journal")
    assert "ends at commit" in refused(installed)


def test_another_secret_is_a_stop(installation: Make, seed: int) -> None:
    """The fingerprint stands with the installation."""
    installed = grown(installation, Stream(seed))
    key = installation_key(installed.settings.redis.prefix)
    with client(installed.settings.redis) as redis:
        stored = json.loads(redis.get(key) or b"")
        assert len(stored["topics"]) == len(KINDS)
        redis.set(key, json.dumps(stored | {"secret": "0" * 16}))
    assert "has another secret" in refused(installed)
    assert "has another secret" in installed.doctor("FAIL")


def test_outputs_made_anew_are_named_and_accepted_on_purpose(installation: Make, seed: int) -> None:
    """A start is refused with the command to type; after it the workers go on."""
    stream = Stream(seed)
    installed = grown(installation, stream)
    for role in OUTPUTS:
        installed.make_anew(role)
    said = refused(installed)
    assert all(topic(installed, role) in said for role in OUTPUTS)
    command: str = re.findall(r"`segflow (topics [^`]*)`", said)[0]
    assert segflow(*command.split(), "--settings", installed.file).code == 0
    with installed.worker() as worker:
        installed.put(stream.take(50))
        installed.settles()
        worker.stop()


def test_an_output_made_anew_under_a_running_worker_stops_it(installation: Make, seed: int) -> None:
    """Within a second or so, by its name."""
    with at_work(installation, Stream(seed)) as (installed, worker):
        installed.make_anew("dead_letters")
        assert worker.ends() == 2
        assert f"{topic(installed, 'dead_letters')} was deleted and made again" in worker.said()


def spoil(installed: Installation, role: str, value: bytes, key: bytes = b"stray") -> None:
    """A record of another program, in the topic's partition 0."""
    with closing(KafkaProducer(bootstrap_servers=installed.direct, acks="all")) as producer:
        producer.send(topic(installed, role), key=key, value=value, partition=0).get(30)


def test_a_stray_record_in_the_control_topic_or_the_journal_is_passed_over(installation: Make, seed: int) -> None:
    """Under a running worker and at a start; named by topic, partition and offset."""
    stream = Stream(seed)
    with at_work(installation, stream) as (installed, worker):
        for value in (b"\xff", b"[]", b'{"kind":"cuts"}', b'{"kind":"definition","content":{"clock":7}}'):
            spoil(installed, "control", value)
        for value in (b"\xff", b"[]", b'{"plan":{}}'):
            spoil(installed, "journal", value)
        worker.says(f"{topic(installed, 'control')}, partition 0, offset")
        installed.put(stream.take(100))
        installed.is_read()
        worker.stop()
    with installed.worker() as again:
        again.says(f"{topic(installed, 'control')}, partition 0, offset")
        again.says(f"{topic(installed, 'journal')}, partition 0, offset")
        installed.put(stream.take(100))
        installed.is_read()
        assert "Traceback" not in again.said()
        again.stop()


def test_a_stray_record_among_what_was_handed_over_parks_the_shard_and_the_command_it_names_goes_on(
    installation: Make, seed: int
) -> None:
    """What lies before it is done; the other shard goes on."""
    stream = Stream(seed)
    with at_work(installation, stream) as (installed, worker):
        spoil(installed, "handover", b"garbage")
        worker.says("shard 0 is parked (unreadable_record)")
        assert f"{topic(installed, 'handover')}, partition 0, offset" in worker.said()
        command: str = re.findall(r"`segflow (reset [^`]*)`", worker.said())[0]
        result = segflow(*command.split(), "--settings", installed.file)
        assert result.code == 0, result.err
        worker.says("shard 0 goes on")
        installed.put(stream.take(100))
        installed.is_read()
        worker.stop()


@pytest.mark.parametrize("role", ["changes", "handover"])
def test_a_topic_that_takes_too_little_is_named_before_a_worker_starts(role: str, installation: Make) -> None:
    """By `topics`, `doctor` and the worker, with what to set it to."""
    installed = installation()
    installed.limit_batches(role, 50_000)
    until(lambda: topics.check(installed.settings).problems, "the limit is not seen")
    listed = segflow("topics", "--settings", installed.file)
    assert listed.code == 1
    for said in (listed.err, installed.doctor("FAIL"), refused(installed)):
        assert f"{topic(installed, role)} takes at most 50,000 bytes" in said


def test_a_limit_lowered_under_a_worker_parks_with_advice_instead_of_trying_for_ever(
    installation: Make, seed: int
) -> None:
    """The topic is named."""
    stream = Stream(seed)
    with at_work(installation, stream) as (installed, worker):
        installed.limit_batches("journal", 100)
        installed.put(stream.take(200))
        worker.says("is parked (too_large)", installed.partitions)
        assert topic(installed, "journal") in worker.said()
        assert "max.message.bytes" in worker.said()
        assert "acquiring it again" not in worker.said()
        worker.stop()
