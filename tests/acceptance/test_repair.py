"""A state that was lost, in whole or in part: what heals by itself, what stops loudly, and what a person then types."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import TopicPartition
from redis import Redis

from embedded.kafka import ApacheKafka
from state import lookup
from state.head import Head
from state.keys import Keys
from state.redis import RedisStore
from state.redis_connection import client
from streams import rebuild as rebuilding
from streams import topics
from tests.command import segflow
from tests.histories import START, written
from tests.service import Service

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

Make = Callable[..., Service]
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
        case _:
            content = connected.get(key)
            if key.endswith(b":head"):
                head: Head = msgspec.json.decode(content or b"", type=Head)
                return msgspec.structs.replace(head, owner="")
            return content


def head(installed: Service, shard: int = 0) -> Head:
    """A shard's head."""
    with client(installed.settings.redis) as connected:
        found = lookup.heads(connected, installed.settings.redis.prefix, shard + 1)[shard]
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
    installed = service()
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
    """A sound state is equal; a record, a timer, a page, a head that is another is found, each."""
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
        "the record of customer 'c3' is another",
        "the timer of customer 'c4' is at 1.0",
        "1 timers of nobody",
        "1 records of customers who never came",
        "page 0 of the directory is another",
        "the head's clock_us is 7",
    ):
        assert text in texts, found
    assert found["state_differences"] == 6
    assert found["lost"] == found["broken"] == 0
    forget(installed)
    assert "Redis holds nothing" in audited(installed, code=1)["problems"][0]


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
        [sys.executable, "-m", "streams", "worker", "--settings", str(installed.file)],
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert process.returncode == 2, process.stderr
    return process.stderr.decode()


@pytest.mark.parametrize("lost", [["head"], ["dir:0"], ["c:c3"]], ids=" ".join)
def test_a_redis_that_lost_some_keys_stops_the_worker_and_is_rebuilt(service: Make, lost: list[str]) -> None:
    """Head, directory, or a record that a timer names: a loud stop with the command, which makes it whole."""
    installed = service()
    worked(installed, purchases(200))
    before, published = state(installed), ids(installed)
    forget(installed, *lost)
    if lost == ["c:c3"]:  # noticed when its timer is due: let time pass
        installed.send([purchases(1)[0] | {"event_id": "later", "occurred_at": "2026-10-01T00:00:00Z"}])
    assert "`segflow rebuild --shard 0`" in stopped(installed)
    result = segflow("rebuild", "--settings", installed.file, "--shard", "0")
    assert (result.code, result.out) == (0, f"shard 0: {CUSTOMERS} customers from {len(installed.journal())} commits\n")
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
    installed = service()
    with installed.worker():
        installed.send(purchases(50))
        installed.journal(lambda found: taken(found) >= 50)
        assert "1 worker process in the group" in refused(installed, "rebuild")
    before = state(installed)
    with topics.admin(installed.settings.kafka) as admin:
        admin.delete_records({TopicPartition(installed.settings.kafka.topics.purchases, 0): 10})
    said = refused(installed, "rebuild")
    assert "nothing of it was wiped" in said
    assert "retention has cut it to 10" in said
    assert state(installed) == before


def test_a_rebuild_killed_halfway_is_finished_by_the_next_or_by_a_worker(
    service: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it had done by then: cleared a part, written a part. Nobody takes that for a state."""
    installed = service()
    worked(installed, purchases(200))
    before = state(installed)

    class KilledError(BaseException):
        """Stands for SIGKILL: nothing after it runs."""

    for method in ("clear", "begin", "commit", "take"):
        with monkeypatch.context() as patched:
            done = getattr(RedisStore, method)

            def killed(self: RedisStore, *arguments: Any, done: Any = done, patched: Any = patched) -> None:
                patched.undo()
                done(self, *arguments)
                raise KilledError

            if method == "take":  # the last one, not the one that marks
                patched.setattr(
                    rebuilding, "_write", _then(rebuilding._write, lambda: patched.setattr(RedisStore, "take", killed))
                )
            else:
                patched.setattr(RedisStore, method, killed)
            with pytest.raises(KilledError):
                segflow("rebuild", "--settings", installed.file)
        if method != "take":
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
