"""Erasing with workers killed at every step of a commit: forgotten once, told once, and nothing comes back."""

import json
from random import Random

import pytest

from segflow.streams.runtime.failpoints import COMMIT
from tests.faults.installation import Make
from tests.faults.stream import records_of
from tests.support.agreement import by_customer
from tests.support.command import segflow
from tests.support.events import Log, event
from tests.support.lockstep import Engine

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


def erasing(random: Random, count: int) -> Log:
    """Purchases, visits and erases of ten customers in turn, in time order but for some that come late."""
    log = []
    for number in range(count):
        kind = random.choice(["purchase"] * 5 + ["interaction", "erase"])
        more = {"kind": "visit"} if kind == "interaction" else {}
        customer = f"c{int(12 * random.random() ** 3)}"
        days = number - (random.choice([3, 40]) if kind == "interaction" and random.random() < 0.5 else 0)
        log.append(event(number, days, kind, customer) | more)
    return log


def in_the_shards_order(log: Log) -> Log:
    """The earlier head of the two inputs first, interactions in a tie."""
    queues = [[body for body in log if (body["type"] == "purchase") is side] for side in (False, True)]
    merged = []
    while any(queues):
        queue = min((queue for queue in queues if queue), key=lambda each: each[0]["occurred_at"])
        merged.append(queue.pop(0))
    return merged


@pytest.mark.parametrize("point", COMMIT)
def test_a_worker_killed_at_any_step_forgets_each_customer_once(point: str, installation: Make, seed: int) -> None:
    """Every erase tells once, across kills, a rollback and an audit: as without any fault."""
    installed = installation(partitions=1, worker={"batch_max_records": 20, "merge_wait": "60s"})
    log = erasing(Random(seed), 200)
    installed.put(records_of(log))
    for nth in (3, 2):
        with installed.worker(crash_at=f"{point}:{nth}") as each:
            each.is_killed()
    with installed.worker() as last:
        installed.settles()
        last.stop()
    engine = Engine(installed.settings)
    engine.feed(in_the_shards_order(log))
    engine.sweep()
    changes = [json.loads(each.value) for each in installed.read("changes")]
    assert by_customer(changes) == by_customer(engine.changes)
    assert {change["cause"]["kind"] for change in changes} >= {"erase", "event", "time"}
    result = segflow("audit", "--settings", installed.file, "--state", "--json")
    assert result.code == 0, result
