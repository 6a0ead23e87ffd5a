"""Faults 12 to 14: records that come again, records nobody can use, and times of every kind, with kills in between."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

import pytest

from segflow.engine.decode.transfers import decoders
from segflow.schemas.settings import Settings
from segflow.streams.consume.shard_inputs import ShardInputs
from segflow.streams.consume.transport import Batch
from segflow.streams.runtime.failpoints import COMMIT
from tests.faults.installation import Installation, Make
from tests.faults.stream import Record, Stream, unusable
from tests.support.histories import START, written

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


def purchase(customer: str, event_id: str, moment: datetime, amount: str = "60.00", **more: object) -> Record:
    """One purchase."""
    event: dict[str, object] = {"type": "purchase", "event_id": event_id, "customer_id": customer}
    event |= {"occurred_at": written(moment)}
    event |= {"order_id": "o", "amount": amount, **more}
    return Record(role="purchases", customer=customer, key=customer.encode(), value=json.dumps(event).encode())


def killed_on_the_way(installed: Installation, random: Random, times: int) -> None:
    """Workers die at random commits, one after the other."""
    for _ in range(times):
        with installed.worker(crash_at=f"{random.choice(COMMIT)}:{random.randrange(1, 5)}") as each:
            each.is_killed()


def test_the_same_offset_read_again_is_left_out() -> None:
    """What a consumer hands over twice, after a seek or a rebalance, counts once, and a gap is never closed by it."""

    class Kept:
        def __init__(self, offset: int) -> None:
            self.offset, self.key, self.value = offset, b"c1", b"{}"

    async def offered() -> ShardInputs:
        inputs = ShardInputs(*decoders(Settings()))
        inputs.buffers[0].begin(10)
        for start, stop in ((10, 15), (12, 18), (10, 18), (20, 25), (18, 20)):
            inputs.offer(0, Batch([Kept(each) for each in range(start, stop)], start, stop))
        return inputs

    inputs = asyncio.run(offered())
    assert inputs.buffers[0].peek(100).offsets.tolist() == list(range(10, 20))


def test_an_event_id_that_comes_again_changes_nothing_across_kills(installation: Make, seed: int) -> None:
    """The same event at a new offset, and the same id with other content: the first counts."""
    installed = installation(partitions=1, worker={"batch_max_records": 10})
    first = [purchase(f"c{number % 10}", f"p{number}", START + timedelta(days=number)) for number in range(100)]
    installed.put(first)
    killed_on_the_way(installed, Random(seed), 2)
    again = [
        purchase(f"c{number % 10}", f"p{number}", START + timedelta(days=number), "999.00") for number in range(80, 100)
    ]
    installed.put([*first[90:], *again])
    with installed.worker() as last:
        found = installed.comes_out_right()
        last.stop()
    assert found.events == 130
    facts = {each["customer_id"]: each["facts"] for each in map(json.loads, values(installed))}
    assert all(each["frequency"] <= 10 for each in facts.values())


def values(installed: Installation) -> list[bytes]:
    """The published changes as they are."""
    return [each.value for each in installed.read("changes")]


def test_every_kind_of_bad_record_is_one_dead_letter_across_kills(installation: Make, seed: int) -> None:
    """Some of every kind among good ones; workers die on the way; each bad record is told of once, with its reason."""
    installed = installation(partitions=2, worker={"batch_max_records": 10})  # commits enough for three to die at
    random, stream = Random(seed), Stream(seed)
    records = []
    for number in range(150):
        records += [unusable(f"c{number % 20}", number, random), *stream.take(2)]
    installed.put(records)
    killed_on_the_way(installed, random, 3)
    ahead = purchase("c1", "ahead", datetime.now(UTC) + timedelta(days=1), channel="#bad")
    installed.put([ahead])
    with installed.worker() as last:
        found = installed.comes_out_right()
        last.stop()
    letters = [json.loads(each.value) for each in installed.read("dead_letters")]
    kinds = {each["kind"] for each in letters}
    assert kinds >= {
        *("not_utf8", "not_json", "not_object", "missing_field", "unknown_type", "bad_field", "unknown_currency"),
        *("wrong_topic", "oversized", "key_mismatch", "tombstone", "future"),
    }
    assert all(each["reason"] for each in letters)
    assert found.dead_letters > 150


def test_late_tied_returned_and_silent_customers_come_out_right_across_kills(installation: Make, seed: int) -> None:
    """Leap days, ties, late events, refunds and long silence, in a stream that is killed through four times."""
    installed = installation(partitions=2)
    random, stream = Random(seed), Stream(seed, customers=30, step_hours=24)
    leap = datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC)
    numbers = count()
    corners = [
        purchase(f"c{customer}", f"corner{next(numbers)}", moment)
        for customer in range(10)
        for moment in (leap, leap, leap + timedelta(days=365), leap + timedelta(days=60), leap - timedelta(days=40))
    ]
    records = stream.take(600)
    for record in corners:
        records.insert(random.randrange(len(records)), record)
    installed.put(records)
    killed_on_the_way(installed, random, 4)
    with installed.worker() as last:
        found = installed.comes_out_right()
        last.stop()
    causes = {each["cause"]["kind"] for each in map(json.loads, values(installed))}
    assert causes == {"event", "late", "time", "erase"}
    assert found.events == len(records)


def test_silence_by_the_wall_clock_is_published_once_across_kills(installation: Make, seed: int) -> None:
    """Deadlines fall due while workers die: sweeps are in the journal with how far they went, and are replayed so."""
    installed = installation(
        partitions=2,
        clock="wall",
        dimensions=["lifecycle"],
        lifecycle={"at_risk_after": "6s", "churned_after": "14s"},
    )
    now, random = datetime.now(UTC), Random(seed)
    installed.put(
        [purchase(f"c{number}", f"p{number}", now - timedelta(milliseconds=150 * number)) for number in range(40)]
    )
    for _ in range(3):
        with installed.worker(crash_at=f"{random.choice(COMMIT)}:{random.randrange(1, 3)}") as each:
            each.is_killed()
    with installed.worker() as last:
        installed.changes(120)
        last.stop()
    changes = [json.loads(each) for each in values(installed)]
    assert len(changes) == 120
    published: dict[str, list[str]] = {}
    for change in changes:
        published.setdefault(change["customer_id"], []).append(change["current"])
    assert all(labels == ["new", "at_risk", "churned"] for labels in published.values())
