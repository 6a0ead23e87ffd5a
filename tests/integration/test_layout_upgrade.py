"""A worker that finds records of layout 1 goes on with them, in memory and in Redis."""

import json
from typing import Any

import msgspec

from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN
from segflow.segments.rules import from_settings
from segflow.state.layout import FIXED_BYTES_1
from segflow.state.memory import MemoryStore
from segflow.state.record import upgraded
from segflow.state.store import Store, Write
from tests.support.agreement import by_customer, parsed

CUSTOMERS = 600  # more than a page of the directory
EVERY = ("lifecycle", "rfm", "engagement", "price", "cadence", "satisfaction", "value")

LISTED = Settings.model_validate({"facts": "listed"})
"""Of records of layout 1, which had no sections."""


def log(first_day: int, last_day: int) -> list[dict[str, Any]]:
    """Something of everybody every 10 days, in turn all that there is; a seventh is seen on the first 10 days alone."""
    bodies: list[dict[str, Any]] = [{"type": "interaction", "kind": "cart"}]
    bodies += [{"type": "feedback", "score": 8}, {"type": "purchase", "order_id": "o", "amount": 70, "discount": 7}]
    return [
        {
            "event_id": f"{day}-{number}",
            "customer_id": f"c{number}",
            "occurred_at": f"2024-{1 + day // 28:02}-{1 + day % 28:02}T00:00:00Z",
        }
        | bodies[(day // 10 + number) % 3]
        for day in range(first_day, last_day)
        for number in range(day % 10, CUSTOMERS, 10)
        if day < 10 or number % 7
    ]


def applied(shard: MemoryShard, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the shard publishes for the events and the silence up to their end."""
    chunk = Decoder(shard.settings, None).decode(
        [json.dumps(each).encode() for each in events], None, range(len(events))
    )
    assert not chunk.unusable
    results = [shard.feed(chunk, wall_us=0), *shard.sweep(UNKNOWN, wall_us=0)]
    return [change for result in results for change in parsed(message.value for message in result.changes)]


def shard_on(store: Store, product: Settings) -> MemoryShard:
    """A shard over an empty store of any kind."""
    return MemoryShard(product, RuleVersions(from_settings(product)), store=store)  # type: ignore[arg-type]  # as Store says


def as_layout_1(store: Store, ids: list[str]) -> None:
    """Put the records back as the version before wrote them: layout 1, and no bits of sections."""
    records = []
    for customer_id, value in zip(ids, store.load(ids), strict=True):
        assert value is not None
        assert value[FIXED_BYTES_1 : FIXED_BYTES_1 + 2] == b"\x00\x00"
        records.append((customer_id, b"\x01" + value[1:FIXED_BYTES_1] + value[FIXED_BYTES_1 + 2 :]))
    head = store.head()
    assert head is not None
    store.begin(head)
    store.commit(Write(records=records, timers=[], born=[], head=msgspec.structs.replace(head, owner="before")))


def test_a_populated_store_of_layout_1_goes_on_as_if_nothing_had_been(store: Store) -> None:
    """The same changes and, of everybody who was touched, the same records as a shard that never saw layout 1."""
    plain = shard_on(MemoryStore(), LISTED)
    old = shard_on(store, LISTED)
    ids = [f"c{number}" for number in range(CUSTOMERS)]
    assert by_customer(applied(old, log(0, 100))) == by_customer(applied(plain, log(0, 100)))
    as_layout_1(store, ids)
    assert {value[:1] for value in store.load(ids) if value is not None} == {b"\x01"}
    assert by_customer(applied(old, log(100, 160))) == by_customer(applied(plain, log(100, 160)))
    assert {value[:1] for value in store.load(ids) if value is not None} == {b"\x01", b"\x02"}  # some were not touched
    assert [upgraded(value or b"") for value in store.load(ids)] == plain.store.load(ids)


def test_a_dimension_that_is_new_to_records_of_layout_1_starts_with_empty_facts(store: Store) -> None:
    """Lifecycle and rfm go on; the others begin at their neutral labels with the first event from then on."""
    old = shard_on(store, LISTED)
    applied(old, log(0, 100))
    ids = [f"c{number}" for number in range(CUSTOMERS)]
    as_layout_1(store, ids)
    product = Settings(dimensions=EVERY)
    grown = MemoryShard(product, RuleVersions(from_settings(product)), store=_Kept(store))  # type: ignore[arg-type]
    found = by_customer(applied(grown, log(100, 160)))
    plain = shard_on(MemoryStore(), LISTED)
    applied(plain, log(0, 100))
    expected = by_customer(applied(plain, log(100, 160)))
    for customer_id, changes in found.items():
        mine = [moved(change) for change in changes if change["dimension"] in Settings().dimensions]
        assert mine == [moved(change) for change in expected.get(customer_id, [])]
        firsts = {c["dimension"]: c["previous"] for c in reversed(changes)}
        neutral = {"engagement": "dormant", "price": "unknown", "cadence": "none", "satisfaction": "unknown"}
        neutral["value"] = "none"
        assert {name: label for name, label in firsts.items() if name in neutral}.items() <= neutral.items()
    assert {change["dimension"] for changes in found.values() for change in changes} == set(EVERY)


def moved(change: dict[str, Any]) -> tuple[str, str, str]:
    """What a change says, but for what depends on the other dimensions."""
    return change["dimension"], change["current"], change["effective_at"]


class _Kept:
    """A store that is taken as it is: what a shard does first would begin it anew."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def acquire(self, *_: object) -> None:
        """Leave the head alone."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
