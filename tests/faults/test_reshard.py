"""More shards for the same customers: `segflow reshard`, ended at each step and typed again."""

import json
import os
import subprocess

import pytest
from redis import Redis

from segflow.engine.file_run import FileRun
from segflow.engine.partitioner import partition_of
from segflow.segments.instant import UNKNOWN
from segflow.state.keys import Keys
from segflow.state.redirect import is_redirect
from segflow.state.redis_connection import client
from segflow.streams.kafka import topics
from segflow.streams.runtime.failpoints import ENVIRONMENT, RESHARD
from tests.faults.installation import Installation, Make
from tests.faults.stream import records_of
from tests.support.agreement import by_customer, parsed
from tests.support.command import PROGRAM, segflow
from tests.support.events import Log, alias, event
from tests.support.redis_content import content
from tests.support.stored_customer import purchases_in

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

BEFORE = 2
MOST = 20
"""More shards than any test has."""


def reshard(installed: Installation, partitions: int, code: int = 0) -> str:
    """`segflow reshard`, which must end so; what it says."""
    done = segflow("reshard", "--settings", installed.file, "--partitions", str(partitions))
    assert done.code == code, done.err
    if not code:
        installed.partitions = partitions
    return done.out or done.err


def killed(installed: Installation, partitions: int, crash_at: str) -> None:
    """`segflow reshard`, killed at a failpoint."""
    line = [*PROGRAM, "reshard", "--settings", str(installed.file), "--partitions", str(partitions)]
    done = subprocess.run(line, env=os.environ | {ENVIRONMENT: crash_at}, capture_output=True, check=False)
    assert done.returncode < 0, done.stderr.decode()


def remembered(installed: Installation) -> dict[str, bytes]:
    """What Redis has of each id; each must be in its own shard, and nowhere else."""
    found: dict[str, bytes] = {}
    with client(installed.settings.redis) as redis:
        for number in range(MOST):
            start = Keys(installed.settings.redis.prefix, number).record("")
            for key in redis.scan_iter(Keys.pattern(start), count=1000):
                name = key.decode().removeprefix(start)
                assert number == partition_of(name.encode(), "murmur2", installed.partitions), name
                assert name not in found
                found[name] = redis.get(key) or b""
    return found


def in_a_file(installed: Installation, log: Log) -> dict[str, list[dict[str, object]]]:
    """What `segflow run` makes of the events, each customer's changes."""
    run = FileRun(settings=installed.settings, shards=1)
    outcomes = [*run.feed([json.dumps(each).encode() for each in log], 0), *run.finish(UNKNOWN)]
    return by_customer(parsed(message.value for outcome in outcomes for message in outcome.changes))


def published(installed: Installation) -> dict[str, list[dict[str, object]]]:
    """Each customer's changes by version: across a reshard the topic's partitions have them in no order."""
    changes = [json.loads(each.value) for each in installed.read("changes")]
    return by_customer(sorted(changes, key=lambda each: each["version"]))


def at_the_end(number: int, days: float, shards: int) -> Log:
    """Somebody of every shard is seen, so that all shards come to the same time."""
    names: dict[int, str] = {}
    for each in map("end{}".format, range(1000)):
        names.setdefault(partition_of(each.encode(), "murmur2", shards), each)
    return [event(number + shard, days, customer=names[shard]) for shard in sorted(names)]


def is_clean(installed: Installation) -> None:
    """The audit finds nothing wrong, in the topics and in Redis."""
    result = segflow("audit", "--settings", installed.file, "--state", "--json")
    assert result.code in (0, 2), result  # 2: what was before the reshard cannot be looked at
    assert json.loads(result.out)["problems"] == [], result.out


def latest(installed: Installation) -> dict[str, tuple[int, bytes | None]]:
    """Each customer's partition and record in `segments.current`, as whoever reads each partition to its end has it."""
    tables: list[dict[str, bytes | None]] = [{} for _ in range(installed.partitions)]
    for each in installed.read("current"):
        tables[each.partition][each.key.decode()] = each.value
    found: dict[str, tuple[int, bytes | None]] = {}
    for number, table in enumerate(tables):
        for name, value in table.items():
            if value:
                assert name not in found, f"{name} is in two partitions"
                found[name] = (number, value)
    return found


def history(days: int, first: int = 0) -> Log:
    """Purchases of 40 customers, a few a day; some of them fall silent."""
    return [
        event(1000 * (first + day) + place, first + day, customer=f"c{(first + day) * (7 + place) % 40}")
        for day in range(days)
        for place in range(3)
    ]


def erase(number: int, days: float, customer: str) -> dict[str, object]:
    """The customer is to be forgotten."""
    return event(number, days, "erase", customer)


def test_customers_go_on_in_more_shards_as_in_one(installation: Make) -> None:
    """Each once, as it was, merged and erased ones, too; nothing is told, chains go on, and the audit is clean."""
    installed = installation(partitions=BEFORE)
    log: Log = [*history(60), *(event(900 + number, 60, customer=f"a{number}") for number in range(1, 6))]
    log += [alias(910, 61, "a1", "a2"), alias(911, 61.1, "a3", "a4"), erase(912, 61.2, "a5")]
    installed.works(records_of(log))
    before, told, now = remembered(installed), len(installed.read("changes")), latest(installed)
    assert f"5 shards with {sum(not is_redirect(each) for each in before.values())} customers" in reshard(installed, 5)
    assert remembered(installed) == before
    assert len(installed.read("changes")) == told
    moved = latest(installed)
    assert {name: value for name, (_, value) in moved.items()} == {name: value for name, (_, value) in now.items()}
    assert all(number == partition_of(name.encode(), "murmur2", 5) for name, (number, _) in moved.items())
    more: Log = [event(920, 60.5, customer="a5"), event(921, 62, customer="a2")]  # from before the erase; a1's by now
    installed.works(records_of(more))
    rest = [*history(20, 63), erase(922, 83, "a1"), event(923, 84, customer="a4"), *at_the_end(930, 85, 5)]
    installed.works(records_of(rest))
    assert published(installed) == in_a_file(installed, log + more + rest)
    is_clean(installed)


def test_killed_at_any_point_it_can_be_typed_again(installation: Make) -> None:
    """Until it is done no worker starts, and says what to type; then all is as it was, in more and more shards."""
    installed = installation(partitions=BEFORE)
    installed.works(records_of(history(20)))
    before, told = remembered(installed), len(installed.read("changes"))
    for partitions, point in enumerate(RESHARD, start=BEFORE + 1):
        nth = 2 if point in ("reshard:one-grown", "reshard:one-copied") else 1
        killed(installed, partitions, f"{point}:{nth}")
        if point in ("reshard:grown", "reshard:swapped"):
            with installed.worker() as worker:
                assert worker.ends() == 2
                assert f"segflow reshard --partitions {partitions}" in worker.said()
        if point == RESHARD[-1]:
            installed.partitions = partitions
            assert "already: nothing to do" in reshard(installed, partitions, code=2)
        else:
            reshard(installed, partitions)
        assert remembered(installed) == before, point
    assert len(installed.read("changes")) == told
    more = [*history(20, 20), *at_the_end(900, 40, installed.partitions)]
    installed.works(records_of(more))
    assert published(installed) == in_a_file(installed, history(20) + more)
    is_clean(installed)


def test_partitions_added_by_hand_are_brought_in(installation: Make) -> None:
    """What waits is read, what lies elsewhere is sent on, and what one shard handed to another finds its customer."""
    installed = installation(partitions=3)
    log = history(20)
    installed.works(records_of(log))
    installed.put(records_of([alias(900, 20, "c1", "c2")]))
    with installed.worker(crash_at="commit:published:2") as worker:
        worker.is_killed()
    installed.has_members(0)
    installed.add_partitions(5)
    waiting = history(10, 21)
    installed.put(records_of(waiting))
    assert "records wait" in reshard(installed, 5)
    with installed.worker() as worker:
        installed.settles()
        misplaced = [json.loads(each.value) for each in installed.read("dead_letters")]
        assert {each["kind"] for each in misplaced} == {"wrong_partition"}
        again = segflow("dead-letters", "--settings", installed.file, "--reason", "wrong_partition", "--replay")
        assert f"{len(misplaced)} sent again" in again.out, again
        installed.settles()
        worker.stop()
    stored = remembered(installed)
    assert is_redirect(stored.pop("c2"))
    bought = dict.fromkeys(stored, 0)
    for each in log + waiting:
        bought["c1" if each["customer_id"] == "c2" else each["customer_id"]] += 1
    assert {name: purchases_in(value) for name, value in stored.items()} == bought
    is_clean(installed)


def test_what_cannot_be_done_is_refused_and_nothing_touched(installation: Make, redis_db: str) -> None:
    """With records unread, with a worker running, fewer partitions than there are, or without transactions."""
    installed = installation(partitions=BEFORE)
    installed.works(records_of(history(5)))
    installed.put(records_of(history(1, 5)))
    with Redis.from_url(redis_db) as redis:

        def refused(partitions: int, what: str) -> None:
            before = content(redis, BEFORE)
            assert what in reshard(installed, partitions, code=2)
            assert content(redis, BEFORE) == before
            assert topics.check(installed.settings).partitions == BEFORE

        refused(4, "3 records of")
        with installed.ready_worker() as worker:
            installed.settles()
            said = reshard(installed, 4, code=2)
            assert "stop the workers first" in said
            worker.stop()
        refused(1, "Kafka takes none back")
        refused(BEFORE, "nothing to do")
