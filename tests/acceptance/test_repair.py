"""A state that was lost, in whole or in part: what heals by itself, what stops loudly, and what a person then types."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka.admin import ConfigResource
from redis import Redis

from segflow.embedded.kafka import ApacheKafka
from segflow.operations.repair import rebuild as rebuilding
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import READ
from tests.support.command import segflow
from tests.support.health import Health
from tests.support.histories import START, written
from tests.support.service import Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

Make = Callable[..., Service]
WITHOUT_TOPIC = {"guarantee": "at_least_once"}
"""Nothing goes to the state topic: a lost state is made again from the inputs, or not at all."""
CUSTOMERS = 30


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> Make:
    """Makes an installation of the given settings."""

    def make(partitions: int = 1, **content: Any) -> Service:
        return Service(tmp_path, kafka.address, redis_db, unique_prefix, partitions, **{"clock": "event", **content})

    return make


def purchases(count: int, start: int = 0) -> list[dict[str, Any]]:
    """One a day, of CUSTOMERS customers in turn."""
    return [
        {
            "type": "purchase",
            "event_id": f"p{number}",
            "customer_id": f"c{number % CUSTOMERS}",
            "occurred_at": written(START + timedelta(days=number)),
            "order_id": f"o{number}",
            "amount": "60.00",
        }
        for number in range(start, start + count)
    ]


def worked(installed: Service, events: list[dict[str, Any]]) -> None:
    """Have a worker take `events` and stop."""
    before = read_to(installed)
    installed.send(events)
    with installed.worker():
        installed.journal(lambda found: taken(found) >= before + len(events))


def read_to(installed: Service) -> int:
    """Purchases that the journal's commits have taken, over all shards."""
    return taken(installed.journal())


def taken(entries: list[dict[str, Any]]) -> int:
    """As `read_to`."""
    latest: dict[int, int] = {}
    for entry in entries:
        latest[entry["partition"]] = max(latest.get(entry["partition"], 0), entry["plan"]["purchases_to"])
    return sum(latest.values())


def state(installed: Service) -> dict[str, Any]:
    """Every key of the installation's shards, owners left out."""
    with client(installed.settings.redis) as connected:
        prefix = installed.settings.redis.prefix
        return {key.decode(): dump(connected, key) for key in connected.scan_iter(f"{prefix}:{{*", count=1000)}


def dump(connected: Redis, key: bytes) -> Any:
    """A key's content, of whatever type."""
    match connected.type(key):
        case b"zset":
            return connected.zrange(key, 0, -1, withscores=True)
        case b"list":
            return connected.lrange(key, 0, -1)
        case b"hash":
            return {name: value for name, value in connected.hgetall(key).items() if value != b"0"}
        case _:
            content = connected.get(key)
            if key.endswith(b":head"):
                head: Head = msgspec.json.decode(content or b"", type=Head)
                return msgspec.structs.replace(head, owner="", in_topic=None)
            return content


def head(installed: Service, shard: int = 0) -> Head:
    """A shard's head."""
    found = installed.heads()[shard]
    assert found is not None
    return found


def ids(installed: Service) -> list[str]:
    """The published change ids, in their order."""
    return [json.loads(each.value)["change_id"] for each in installed.read("changes")]


def forget(installed: Service, *keys: str) -> None:
    """Take keys of shard 0 out of Redis; none: all of them."""
    place = Keys(installed.settings.redis.prefix, 0)
    with client(installed.settings.redis) as connected:
        found = [place.shard + key for key in keys] or list(connected.scan_iter(f"{place.shard}*"))
        assert connected.unlink(*found) == len(found) > 0


def test_an_empty_redis_heals_from_journal_and_inputs_and_publishes_nothing_twice(service: Make) -> None:
    """The worker that takes the shard makes the same state again, byte for byte, and goes on from there."""
    installed = service(worker=WITHOUT_TOPIC)
    worked(installed, purchases(200))
    before, published = state(installed), ids(installed)
    forget(installed)
    with installed.worker():
        installed.send(purchases(20, 200))
        installed.journal(lambda found: taken(found) >= 220)
    after = ids(installed)
    assert after[: len(published)] == published
    assert len(set(after)) == len(after)
    forget(installed)
    with installed.worker():
        installed.send(purchases(1, 220))
        installed.journal(lambda found: taken(found) >= 221)
    assert head(installed).population == CUSTOMERS
    assert set(before) <= set(state(installed))


def test_the_audit_compares_redis_key_by_key(service: Make) -> None:
    """A sound state is equal. A record, a timer, a page, a head that is another is found, each; a damaged head, too."""
    installed = service()
    worked(installed, purchases(200))
    assert audited(installed)["state_differences"] == 0
    place = Keys(installed.settings.redis.prefix, 0)
    with client(installed.settings.redis) as connected:
        connected.setrange(place.record("c3"), 5, b"\xff")
        connected.zadd(place.timers, {"c4": 1})
        connected.zadd(place.timers, {"nobody": 1})
        connected.set(place.record("nobody"), b"?")
        connected.lset(place.page(0), 2, "someone")
        stored = json.loads(connected.get(place.head) or b"")
        connected.set(place.head, json.dumps(stored | {"clock_us": 7}, separators=(",", ":")))
    found = audited(installed, code=1)
    texts = " ".join(found["problems"])
    for text in (
        "the record of customer 'c3' differs",
        "the timer of customer 'c4' is at 1.0",
        "1 timers of nobody",
        "1 records of customers who never came",
        "page 0 of the directory differs",
        "the head's clock_us is 7",
    ):
        assert text in texts, found
    assert found["state_differences"] == 6
    assert found["lost"] == found["broken"] == 0
    forget(installed)
    assert "Redis holds nothing" in audited(installed, code=1)["problems"][0]
    with client(installed.settings.redis) as connected:
        connected.set(place.head, b"?")
    assert "state: the head of shard 0 in Redis is none" in audited(installed, code=1)["problems"][0]


def audited(installed: Service, code: int = 0) -> dict[str, Any]:
    """What `segflow audit --state --json` says."""
    result = segflow("audit", "--settings", installed.file, "--state", "--json")
    assert result.code == code, result
    found: dict[str, Any] = json.loads(result.out)
    return found


def refused(installed: Service, *arguments: str) -> str:
    """A command that must end with exit code 2; what it said."""
    result = segflow(*arguments, "--settings", installed.file)
    assert result.code == 2, result
    return result.err


def stopped(installed: Service) -> str:
    """Start a worker that must end by itself with exit code 2; what it said last."""
    process = subprocess.run(
        [sys.executable, "-m", "segflow", "worker", "--settings", str(installed.file)],
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert process.returncode == 2, process.stderr
    return process.stderr.decode()


@pytest.mark.parametrize(
    ("lost", "guarantee"),
    [("dir:0", "exactly_once"), ("c:c3", "exactly_once"), ("head", "at_least_once"), ("c:c3", "at_least_once")],
)
def test_a_redis_that_lost_some_keys_stops_the_worker_and_is_rebuilt(service: Make, lost: str, guarantee: str) -> None:
    """Directory, a record that a timer names, or the head: a loud stop with the command, which makes it whole.

    Copied from the state topic, without inputs; where nothing goes there, from the inputs.
    """
    installed = service(worker={"guarantee": guarantee})
    worked(installed, purchases(200))
    before, published = state(installed), ids(installed)
    forget(installed, lost)
    if lost == "c:c3":  # noticed when its timer is due: let time pass
        installed.send([purchases(1)[0] | {"event_id": "later", "occurred_at": "2026-10-01T00:00:00Z"}])
    assert "`segflow rebuild --shard 0`" in stopped(installed)
    result = segflow("rebuild", "--settings", installed.file, "--shard", "0")
    copied = guarantee == "exactly_once"
    how = f"copied from {installed.settings.kafka.topics.state}, of commit" if copied else "made from commits 1 to"
    said = f"shard 0: {CUSTOMERS} customers, {how} {len(installed.journal())}\n"
    assert (result.code, result.out) == (0, said)
    assert state(installed) == before
    assert audited(installed)["changes"] == len(published) == len(ids(installed))
    with installed.worker():
        installed.send(purchases(5, 200))
        installed.journal(lambda found: taken(found) >= 205)


def test_rebuild_makes_every_shard_s_state_again_byte_for_byte(service: Make) -> None:
    """Of state that was tampered with, of state that is gone, and of a shard that has none."""
    installed = service(partitions=4)
    worked(installed, purchases(200))
    before = state(installed)
    with client(installed.settings.redis) as connected:
        for key in connected.scan_iter(f"{installed.settings.redis.prefix}:{{1}}:*"):
            connected.unlink(key)
        connected.set(Keys(installed.settings.redis.prefix, 2).record("nobody"), b"?")
    result = segflow("rebuild", "--settings", installed.file)
    assert result.code == 0, result.err
    assert [line.split(":")[0] for line in result.out.splitlines()] == [f"shard {number}" for number in range(4)]
    assert state(installed) == before
    assert audited(installed)["complete"] is True


def test_rebuild_is_refused_while_workers_run_and_where_inputs_are_gone_before_anything_is_wiped(service: Make) -> None:
    """Exit code 2 with the reason, and Redis is as it was."""
    installed = service(worker=WITHOUT_TOPIC)
    with installed.worker():
        installed.send(purchases(50))
        installed.journal(lambda found: taken(found) >= 50)
        assert "1 worker process in the group" in refused(installed, "rebuild")
    before = state(installed)
    installed.cut_by_retention("purchases", 0, 10)
    said = refused(installed, "rebuild")
    assert "nothing of it was wiped" in said
    assert "retention has cut it to 10" in said
    assert state(installed) == before


def test_a_rebuild_killed_halfway_is_finished_by_the_next_or_by_a_worker(
    service: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it had done by then: cleared a part, written a part. Nobody takes that for a state."""
    installed = service(worker=WITHOUT_TOPIC)
    worked(installed, purchases(200))
    before = state(installed)

    class KilledError(BaseException):
        """Stands for SIGKILL: nothing after it runs."""

    for method in ("clear", "begin", "commit", "acquire"):
        with monkeypatch.context() as patched:
            done = getattr(RedisStore, method)

            def killed(self: RedisStore, *arguments: Any, done: Any = done, patched: Any = patched) -> None:
                patched.undo()
                done(self, *arguments)
                raise KilledError

            if method == "acquire":  # the last one, not the one that marks
                killing = _then(rebuilding._write, lambda: patched.setattr(RedisStore, "acquire", killed))
                patched.setattr(rebuilding, "_write", killing)
            else:
                patched.setattr(RedisStore, method, killed)
            with pytest.raises(KilledError):
                segflow("rebuild", "--settings", installed.file)
        if method != "acquire":
            assert head(installed).partial is True
        if method in ("clear", "commit"):
            with installed.worker():
                installed.send(purchases(1))  # a repeat: changes no customer
                count = read_to(installed) + 1
                installed.journal(lambda found, count=count: taken(found) >= count)  # type: ignore[misc]
        else:
            assert segflow("rebuild", "--settings", installed.file).code == 0
        after = state(installed)
        assert after.keys() == before.keys()
        assert audited(installed)["complete"] is True
        before = after


def _then(function: Callable[..., Any], action: Callable[[], None]) -> Callable[..., Any]:
    def wrapped(*arguments: Any) -> Any:
        result = function(*arguments)
        action()
        return result

    return wrapped


def doctor(installed: Service, code: int) -> dict[str, tuple[str, str, str]]:
    """The findings of `segflow doctor`, by name: status, message, advice; the last of a name."""
    result = segflow("doctor", "--settings", installed.file, "--json")
    assert result.code == code, result
    return {each["name"]: (each["status"], each["message"], each["advice"]) for each in json.loads(result.out)}


def test_before_a_loss_doctor_worker_and_gauge_say_what_redis_could_be_made_from(service: Make) -> None:
    """Whole, they say so, and that retention ends it; with an input cut, that Redis is the shard's only copy."""
    health = Health.at_free_port()
    installed = service(partitions=2, worker=WITHOUT_TOPIC)
    with installed.worker(http_port=health.port):
        installed.send(purchases(100))
        installed.journal(lambda found: taken(found) >= 100)
        gauges = {("0",): 1.0, ("1",): 1.0}
        until(lambda: health.metrics().get("segflow_recoverable") == gauges, lambda: str(health.metrics()))
        status, message, advice = doctor(installed, 0)["recovery"]
        assert (status, "Back Redis up" in advice) == ("WARN", True)
        assert message.startswith("shards 0-1 could be rebuilt from the journal and the inputs, but not for ever:")
        assert f"{installed.settings.kafka.topics.purchases} keeps" in message
        assert doctor(installed, 0)["replication"][0] == "WARN"
        with topics.admin(installed.settings.kafka) as admin:
            names = [getattr(installed.settings.kafka.topics, role) for role in READ]
            kept = {"retention.ms": "-1", "retention.bytes": "-1"}
            admin.alter_configs([ConfigResource("topic", name, kept) for name in names])
        assert doctor(installed, 0)["recovery"][0] == "OK"
    installed.cut_by_retention("purchases", 0, 10)
    only_copy = f"Redis is the only copy of shard 0: {installed.settings.kafka.topics.purchases} is kept from offset 10"
    with installed.worker(http_port=health.port):
        until(lambda: health.metrics().get("segflow_recoverable") == gauges | {("0",): 0.0}, "not noticed")
        assert only_copy in health.verdict("ready")["warnings"][0]
    assert only_copy in (installed.file.parent / "worker.log").read_text()
    result = segflow("doctor", "--settings", installed.file)
    assert result.code == 0
    assert only_copy in result.out
    assert "shard 1 could be rebuilt" in result.out


def test_after_a_loss_doctor_and_reset_say_what_is_lost_and_what_to_do(service: Make) -> None:
    """Each shard by name, one that can be rebuilt and one that cannot; no command says that all is well."""
    installed = service(partitions=2, worker=WITHOUT_TOPIC)
    worked(installed, purchases(100))
    installed.cut_by_retention("purchases", 0, 10)
    with client(installed.settings.redis) as connected:
        connected.unlink(*connected.scan_iter(f"{installed.settings.redis.prefix}:*"))
    result = segflow("doctor", "--settings", installed.file)
    assert result.code == 1
    assert "shard 0 lost all state in Redis, and it cannot be rebuilt: " in result.out
    assert "or a backup of Redis" in result.out
    assert "shard 1 lost all state in Redis; it can be rebuilt from the journal and the inputs" in result.out
    assert "Start a worker (`segflow worker`)" in result.out
    reset = ("reset", "--to", "earliest", "--shard")
    assert "Redis lacks commits that cannot be replayed" in refused(installed, *reset, "0")
    assert "not in Redis" in refused(installed, *reset, "1")
    health = Health.at_free_port()
    with installed.worker(http_port=health.port):  # it rebuilds one, and leaves an empty head of the other
        until(lambda: "0" in health.verdict("ready").get("parked", {}), lambda: str(health.verdict("ready")))
        until(lambda: health.verdict("ready").get("shards") == [1], lambda: str(health.verdict("ready")))
    result = segflow("doctor", "--settings", installed.file)
    assert result.code == 1
    assert "shard 0 lost all state in Redis, and it cannot be rebuilt: " in result.out
    assert "shard 1 lost" not in result.out


def command_in(said: str, to: str) -> list[str]:
    """The command that a message says to type, `to` being one of those it offers."""
    found: str = re.findall(rf"`segflow (reset [^`]* --to {to})`", said)[0]
    return found.split()


def test_a_cut_input_stops_the_worker_and_the_command_it_names_goes_on(service: Make) -> None:
    """Retention was faster than the workers: said with what is gone, skipped on purpose, and the chains go on."""
    installed = service()
    worked(installed, purchases(100))
    installed.send(purchases(50, 100))
    installed.cut_by_retention("purchases", 0, 120)
    said = stopped(installed)
    assert "was cut to offset 120 by retention; the state needs 100" in said
    result = segflow(*command_in(said, "earliest"), "--settings", installed.file)
    assert result.code == 0, result.err
    commits = len(installed.journal())
    assert result.out == (
        f"shard 0: {installed.settings.kafka.topics.purchases} skips offsets 100 to 119, 20 in all, 20 of them gone "
        f"already: their events never count\nshard 0: done, as commit {commits}\n"
    )
    with installed.worker():
        found = installed.journal(lambda found: taken(found) >= 150)
    assert found[commits - 1]["reset"] is True
    assert found[commits]["purchases_from"] == 120
    customers = [json.loads(each.value)["facts"]["frequency"] for each in installed.read("changes")]
    assert len(customers) > 0
    audit = segflow("audit", "--settings", installed.file, "--json")
    assert audit.code == 2, audit  # the inputs of the first commits are gone
    assert json.loads(audit.out)["broken"] == 0
    assert json.loads(audit.out)["problems"] == []


def test_a_topic_made_anew_stops_the_worker_and_the_command_it_names_goes_on(service: Make) -> None:
    """Its id is another, though its offsets would fit; after the reset the state's id is that of the new topic."""
    installed = service(worker=WITHOUT_TOPIC)
    worked(installed, purchases(40))
    made_anew(installed)
    installed.send(purchases(60, 40))
    said = stopped(installed)
    assert "was deleted and made again; the state belongs to the old one, read to 40" in said
    latest = segflow(*command_in(said, "latest"), "--settings", installed.file)
    assert latest.code == 0, latest.err
    assert "goes on with the new topic at offset 60; its first 60 offsets are skipped" in latest.out
    assert head(installed).purchases.topic_id == topics.check(installed.settings).topics["purchases"].topic_id
    again = segflow(
        "reset", "--shard", "0", "--input", "purchases", "--to", "5", "--force", "--settings", installed.file
    )
    assert again.code == 0, again.err
    assert "goes back from 60 to 5; 55 offsets are read again" in again.out
    with installed.worker():
        installed.journal(lambda found: found[-1]["plan"]["purchases_to"] == 60 and not found[-1]["reset"])
    assert head(installed).purchases.offset == 60
    forget(installed)
    assert "was deleted, and the topic of that name is a new one" in stopped(installed)
    assert "nothing of it was wiped" in refused(installed, "rebuild")


def test_reset_all_moves_every_shard_that_stopped_and_passes_over_the_others(service: Make) -> None:
    """Both shards of a topic made anew go on; typed again, nothing is wrong and nothing is moved."""
    installed = service(partitions=2)
    worked(installed, purchases(40))
    made_anew(installed)
    installed.send(purchases(60, 40))
    assert "say which: --shard N, or --all" in refused(installed, "reset", "--to", "latest")
    assert "an offset is one of one shard" in refused(installed, "reset", "--all", "--to", "5")
    both = segflow("reset", "--all", "--to", "latest", "--settings", installed.file)
    assert both.code == 0, both.err
    assert [line.split(",")[0] for line in both.out.splitlines() if "done" in line] == [
        "shard 0: done",
        "shard 1: done",
    ]
    again = segflow("reset", "--all", "--to", "latest", "--settings", installed.file)
    assert again.code == 0, again.err
    assert again.out == "".join(f"shard {shard}: nothing is wrong, and nothing was moved\n" for shard in (0, 1))
    worked(installed, purchases(20, 100))


def made_anew(installed: Service) -> None:
    """The purchases topic, deleted and made again."""
    name = installed.settings.kafka.topics.purchases
    with topics.admin(installed.settings.kafka) as admin:
        admin.delete_topics([name])
    until = time.monotonic() + 60
    while name not in topics.check(installed.settings).missing:
        assert time.monotonic() < until
    topics.create(installed.settings)


def test_an_offset_beyond_the_end_stops_the_worker_and_the_command_it_names_goes_on(service: Make) -> None:
    """A broker that came back without its latest records: here a state that knows of more than there is."""
    installed = service()
    worked(installed, purchases(40))
    made_anew(installed)  # the same id is what a broker's loss would leave: given to the state and to the journal
    installed.send(purchases(10))
    new_id = topics.check(installed.settings).topics["purchases"].topic_id
    with client(installed.settings.redis) as connected:
        key = Keys(installed.settings.redis.prefix, 0).head
        stored: Head = msgspec.json.decode(connected.get(key) or b"", type=Head)
        position = msgspec.structs.replace(stored.purchases, topic_id=new_id)
        connected.set(key, msgspec.json.encode(msgspec.structs.replace(stored, purchases=position)))
    said = stopped(installed)
    assert "ends at 10, before the state's offset 40" in said
    result = segflow(*command_in(said, "latest"), "--settings", installed.file)
    assert result.code == 0, result.err
    assert "goes back from 40 to 10; 0 offsets are read again" in result.out
    with installed.worker():
        installed.send(purchases(10, 10))
        installed.journal(lambda found: found[-1]["plan"]["purchases_to"] == 20)


def test_a_reset_is_refused_where_nothing_is_wrong_and_forced_it_is_replayed_like_any_commit(service: Make) -> None:
    """Refused without a trace; forced, the journal has it: a rebuild comes to the same state, the audit is clean."""
    installed = service()
    worked(installed, purchases(100))
    before, commits = state(installed), len(installed.journal())
    arguments = ("reset", "--shard", "0", "--input", "purchases", "--to")
    assert "nothing is wrong with the purchases of shard 0" in refused(installed, *arguments, "latest")
    assert "nothing is wrong with shard 0" in refused(installed, "reset", "--shard", "0", "--to", "50")
    assert "has offsets 0 to 100: 101 is none of them" in refused(installed, *arguments, "101", "--force")
    assert "say which with --input" in refused(installed, "reset", "--shard", "0", "--to", "0", "--force")
    assert "must be earliest, latest or an offset" in refused(installed, *arguments, "first")
    assert "there is no shard 1" in refused(installed, "reset", "--shard", "1", "--to", "latest")
    assert state(installed) == before
    assert len(installed.journal()) == commits
    assert segflow(*arguments, "90", "--force", "--settings", installed.file).code == 0
    worked_again = len(installed.journal())
    with installed.worker():
        installed.journal(lambda found: len(found) > worked_again and found[-1]["plan"]["purchases_to"] == 100)
        installed.send(purchases(20, 100))
        installed.journal(lambda found: found[-1]["plan"]["purchases_to"] == 120)
    whole = state(installed)
    assert audited(installed)["complete"] is True
    forget(installed)
    assert segflow("rebuild", "--settings", installed.file).code == 0
    assert state(installed) == whole


def test_a_reset_that_did_not_reach_redis_is_done_again_by_whoever_takes_the_shard(
    service: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its publication and Redis: it is in the journal, so it holds, though the old position is gone."""
    installed = service()
    worked(installed, purchases(30))
    installed.send(purchases(30, 30))
    installed.cut_by_retention("purchases", 0, 45)

    class KilledError(BaseException):
        """Stands for SIGKILL: nothing after it runs."""

    def killed(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(RedisStore, "commit", killed)
        with pytest.raises(KilledError):
            segflow("reset", "--shard", "0", "--to", "earliest", "--settings", installed.file)
    assert head(installed).purchases.offset == 30
    why = refused(installed, "reset", "--shard", "0", "--to", "earliest")
    assert "1 commits of shard 0 are in the journal and not in Redis" in why
    with installed.worker():
        installed.journal(lambda found: found[-1]["plan"]["purchases_to"] == 60)
    assert [entry["reset"] for entry in installed.journal()].count(True) == 1


def test_redis_behind_a_cut_input_is_a_loud_stop_that_no_reset_papers_over(service: Make) -> None:
    """Commits are missing in Redis and cannot be replayed: to go on would break chains, so every way is refused."""
    installed = service(worker=WITHOUT_TOPIC)
    worked(installed, purchases(30))
    forget(installed)
    installed.cut_by_retention("purchases", 0, 10)
    assert "commit 1 cannot be replayed" in stopped(installed)
    assert "restore a younger Redis" in refused(installed, "reset", "--shard", "0", "--to", "earliest", "--force")
    assert "nothing of it was wiped" in refused(installed, "rebuild")
