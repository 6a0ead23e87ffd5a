"""I1 and I2: the engine gives the oracle's changes, however the log is cut."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.settings import Settings
from segments.cuts import Cuts
from segments.instant import UNKNOWN, duration_us, to_us
from segments.rules import from_settings
from streams.decode import Decoder
from streams.rulebook import Rulebook
from streams.run import MemoryShard
from tests.agreement import by_customer, parsed
from tests.histories import histories, moments
from tests.oracle.simulation import Adopt, Event, OracleRules, Shard, Sweep

SETTINGS = Settings()


def as_read(event: dict[str, Any]) -> Event:
    """The event as the oracle reads it: numbers stay decimals."""
    return Event(json.loads(json.dumps(event), parse_float=Decimal))


class Engine:
    """One shard of the product over the memory store, driven step by step."""

    def __init__(self, product_settings: Settings = SETTINGS) -> None:
        self.rulebook = Rulebook(from_settings(product_settings))
        self.shard = MemoryShard(product_settings, self.rulebook)
        self.decoder = Decoder(product_settings, None)
        self.changes: list[dict[str, Any]] = []

    def feed(self, log: list[dict[str, Any]]) -> None:
        """One batch."""
        chunk = self.decoder.decode([json.dumps(event).encode() for event in log], None, range(len(log)))
        assert not chunk.unusable
        self.changes += parsed(message.value for message in self.shard.feed(chunk, wall_us=0).changes)

    def sweep(self, until: datetime | None = None) -> None:
        """Everybody up to max(C, until)."""
        for outcome in self.shard.sweep(UNKNOWN if until is None else to_us(until), wall_us=0):
            self.changes += parsed(message.value for message in outcome.changes)


def cut(log: list[dict[str, Any]], sizes: list[int]) -> Iterator[list[dict[str, Any]]]:
    """The log in batches of the given sizes, over and over."""
    start = turn = 0
    while start < len(log):
        stop = start + sizes[turn % len(sizes)]
        yield log[start:stop]
        start, turn = stop, turn + 1


@given(log=histories(), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4), until=st.none() | moments)
@settings(max_examples=400, deadline=None)
def test_any_history_in_any_batches_gives_the_oracles_changes(
    log: list[dict[str, Any]], sizes: list[int], until: datetime | None
) -> None:
    """Ties, repeats, late events, refunds, zero amounts and silence: same changes, customer by customer."""
    oracle = Shard(OracleRules())
    expected = [change for event in log for change in oracle.step(as_read(event))]
    expected += oracle.step(Sweep(until))
    engine = Engine()
    for batch in cut(log, sizes):
        engine.feed(batch)
    engine.sweep(until)
    assert by_customer(engine.changes) == by_customer(expected)


@given(log=histories(most=12))
@settings(max_examples=100, deadline=None)
def test_at_every_prefix_the_changes_are_the_oracles(log: list[dict[str, Any]]) -> None:
    """After each event, swept to the clock, nothing is missing and nothing is ahead."""
    oracle, engine = Shard(OracleRules()), Engine()
    expected: list[dict[str, Any]] = []
    for event in log:
        expected += oracle.step(as_read(event))
        expected += oracle.step(Sweep(None))
        engine.feed([event])
        engine.sweep()
        assert by_customer(engine.changes) == by_customer(expected)


@given(log=histories(), sweeps=st.lists(st.tuples(st.integers(0, 40), moments), max_size=4))
@settings(max_examples=200, deadline=None)
def test_sweeps_ahead_of_the_clock_conclude_as_the_oracle_says(
    log: list[dict[str, Any]], sweeps: list[tuple[int, datetime]]
) -> None:
    """What a wall clock brings: events behind the sweep are late, and effective where the customer was concluded."""
    oracle, engine = Shard(OracleRules()), Engine()
    expected: list[dict[str, Any]] = []
    for place, event in enumerate(log):
        expected += oracle.step(as_read(event))
        engine.feed([event])
        for when in (moment for at, moment in sweeps if at == place):
            expected += oracle.step(Sweep(when))
            engine.sweep(when)
    expected += oracle.step(Sweep(None))
    engine.sweep()
    assert by_customer(engine.changes) == by_customer(expected)


days = st.lists(st.integers(1, 400), min_size=4, max_size=4, unique=True).map(sorted)
counts = st.lists(st.integers(1, 8), min_size=4, max_size=4, unique=True).map(sorted)
monies = st.lists(st.integers(-10, 2000), min_size=4, max_size=4, unique=True).map(sorted)


@given(
    log=histories(),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    recuts=st.lists(st.tuples(st.integers(0, 5), days, counts, monies), max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_new_cuts_are_adopted_as_the_oracle_says(
    log: list[dict[str, Any]], sizes: list[int], recuts: list[tuple[int, list[int], list[int], list[int]]]
) -> None:
    """Each customer goes through the old rules up to the adoption time, then is classified under the new ones."""
    oracle, engine = Shard(OracleRules()), Engine()
    expected: list[dict[str, Any]] = []
    version = 0
    for number, batch in enumerate(cut(log, sizes)):
        for recency, frequency, monetary in (rest for at, *rest in recuts if at == number):
            version += 10
            spans = tuple(timedelta(days=day) for day in recency)
            rules = OracleRules(
                recency_cuts=spans,
                frequency_cuts=tuple(frequency),
                monetary_cuts=tuple(Decimal(money) for money in monetary),
                cuts=version,
            )
            expected += oracle.step(Adopt(rules, "recut"))
            engine.sweep()  # the next version waits until all customers are done with the one before
            engine.rulebook.add_cuts(
                Cuts(
                    version=version,
                    recency_us=tuple(duration_us(span) for span in spans),  # type: ignore[arg-type]  # four by construction
                    frequency=tuple(frequency),  # type: ignore[arg-type]
                    monetary_minor=tuple(money * 100 for money in monetary),  # type: ignore[arg-type]
                )
            )
        for event in batch:
            expected += oracle.step(as_read(event))
        engine.feed(batch)
    expected += oracle.step(Sweep(None))
    engine.sweep()
    assert by_customer(engine.changes) == by_customer(expected)


@given(log=histories(), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_change_ids_are_the_same_however_the_log_is_cut_and_never_repeat(
    log: list[dict[str, Any]], sizes: list[int]
) -> None:
    """The id is a hash of the content, so two runs over one history give the same ids."""
    whole, parts = Engine(), Engine()
    whole.feed(log)
    whole.sweep()
    for batch in cut(log, sizes):
        parts.feed(batch)
    parts.sweep()
    ids = sorted(change["change_id"] for change in whole.changes)
    assert ids == sorted(change["change_id"] for change in parts.changes)
    assert len(set(ids)) == len(ids)
