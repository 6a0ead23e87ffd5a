"""Merging customers of different shards, with workers killed at every step of each shard's part."""

import json
from collections import defaultdict
from random import Random
from typing import Any

import pytest

from segflow.engine.file_run import FileRun
from segflow.segments.instant import UNKNOWN
from segflow.state.redirect import Redirect, is_redirect
from segflow.streams.runtime.failpoints import COMMIT
from tests.faults.installation import Installation, Make
from tests.faults.merging import MEMBER, THIRD, VISITOR, at_the_end, held
from tests.faults.stream import records_of
from tests.support.agreement import by_customer, parsed
from tests.support.command import segflow
from tests.support.events import Log, alias, event
from tests.support.placement import SHARDS
from tests.support.stored_customer import purchases_in

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

HOPS = 4
"""Commits in which an alias of a customer of shard 1 and one of shard 2 is done: shards 1, 0, 2 and 1 again."""


def as_in_a_file(installed: Installation, log: Log) -> dict[str, list[dict[str, Any]]]:
    """What `segflow run` makes of the events, each customer's changes."""
    run = FileRun(settings=installed.settings, shards=SHARDS)
    outcomes = [*run.feed([json.dumps(each).encode() for each in log], 0), *run.finish(UNKNOWN)]
    return by_customer(parsed(message.value for outcome in outcomes for message in outcome.changes))


def is_right(installed: Installation, log: Log) -> None:
    """Every change is there once, as `segflow run` has it, and Redis holds what the journal gives."""
    changes = [json.loads(each.value) for each in installed.read("changes")]
    assert by_customer(changes) == as_in_a_file(installed, log)
    result = segflow("audit", "--settings", installed.file, "--state", "--json")
    assert result.code == 0, result


@pytest.mark.parametrize("point", COMMIT)
def test_a_worker_killed_at_any_step_of_any_shard_merges_once(point: str, installation: Make) -> None:
    """Killed between the shards again and again: claimed, decided, frozen and merged once, and nothing is lost."""
    installed = installation(partitions=SHARDS)
    before = [event(1, 0, customer=MEMBER), event(2, 1, customer=VISITOR), event(3, 2, customer=THIRD)]
    merging = [alias(4, 3, MEMBER, VISITOR)]
    after = [event(5, 4, customer=VISITOR), alias(6, 5, THIRD, MEMBER), alias(7, 6, VISITOR, THIRD)]
    installed.put(records_of(before))
    with installed.worker() as each:
        installed.settles()
        each.stop()
    installed.put(records_of(merging))
    nth = 2 if point in COMMIT[:2] else 1
    for _ in range(HOPS - 1):
        with installed.worker(crash_at=f"{point}:{nth}") as each:
            each.is_killed()
    log = before + merging
    with installed.worker() as last:
        installed.settles()
        for more in [*after, event(8, 70, "erase", VISITOR), event(9, 80, customer=VISITOR)]:
            installed.put(records_of([more]))  # one by one: a file is in one order, shards are not
            installed.settles()
            log.append(more)
        end = at_the_end(90, 20)
        installed.put(records_of(end))
        installed.settles()
        last.stop()
    is_right(installed, log + end)


def merging(random: Random, count: int) -> Log:
    """Purchases of thirty customers in time order, of whom many become others, in chains and cycles."""
    log = []
    for number in range(count):
        customer, previous = (f"c{random.randrange(30)}" for _ in range(2))
        if random.random() < 0.2:
            log.append(alias(number, number / 10, customer, previous))
        else:
            log.append(event(number, number / 10, customer=customer))
    return log


def test_merges_that_meet_each_other_under_kills_lose_nothing(installation: Make, seed: int) -> None:
    """Two workers, one of them killed again and again while aliases flow: whoever is one has their orders, each once.

    A rebuild from the journal comes to the same.
    """
    random = Random(seed)
    installed = installation(partitions=SHARDS)
    log = merging(random, 400)
    half = len(log) // 2
    with installed.worker() as steady:
        installed.put(records_of(log[:half]))
        installed.settles()
        for _ in range(3):
            with installed.worker() as each:
                installed.has_members(2)
                some = random.randrange(5, 40)
                installed.put(records_of(log[half : half + some]), rate=40)
                each.kill()  # in the middle of what it makes of them
                half += some
        installed.put(records_of(log[half:]))
        installed.settles()
        steady.stop()
    nobody_is_lost(installed, log)
    for arguments in (["audit", "--state"], ["rebuild"], ["audit", "--state"]):
        result = segflow(*arguments, "--settings", installed.file)
        assert result.code == 0, result


def nobody_is_lost(installed: Installation, log: Log) -> None:
    """Who is still an id of their own has the orders of all ids that became them; the others say who they are."""
    names = {body["customer_id"] for body in log} | {body.get("previous_id", "c0") for body in log}
    values = {name: held(installed, name) for name in names}
    became = {name: Redirect.decode(value).to for name, value in values.items() if value and is_redirect(value)}
    orders: dict[str, int] = defaultdict(int)
    for body in log:
        name = body["customer_id"]
        while name in became:
            name = became[name]
        orders[name] += body["type"] == "purchase"
    assert became, "nobody became another"
    assert {name: purchases_in(value) for name, value in values.items()} == {name: orders[name] for name in names}
    name, whom = next(iter(became.items()))
    shown = segflow("show", name, "--settings", installed.file)
    assert (shown.code, f"was merged into {whom}" in shown.err) == (1, True)
