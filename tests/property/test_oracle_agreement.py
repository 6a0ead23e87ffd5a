"""I1 and I2 of docs/architecture.md: the engine gives the oracle's changes, however the log is cut."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segflow.segments.cuts import Cuts
from segflow.segments.instant import duration_us
from tests.oracle.simulation import Adopt, OracleRules
from tests.support.agreement import by_customer
from tests.support.histories import histories, moments
from tests.support.lockstep import Engine, Oracle, at_every_prefix, cut, in_batches, under_sweeps
from tests.support.trials import trials


@given(log=histories(), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4), until=st.none() | moments)
@trials(400)
def test_any_history_in_any_batches_gives_the_oracles_changes(
    log: list[dict[str, Any]], sizes: list[int], until: datetime | None
) -> None:
    """Ties, repeats, late events, refunds, zero amounts and silence: same changes, customer by customer."""
    changes, expected = in_batches(Engine(), Oracle(), log, sizes, until)
    assert changes == expected


@given(log=histories(most=12))
@trials(100)
def test_at_every_prefix_the_changes_are_the_oracles(log: list[dict[str, Any]]) -> None:
    """After each event, swept to the clock, nothing is missing and nothing is ahead."""
    for changes, expected in at_every_prefix(Engine(), Oracle(), log):
        assert changes == expected


@given(log=histories(), sweeps=st.lists(st.tuples(st.integers(0, 40), moments), max_size=4))
@trials(200)
def test_sweeps_ahead_of_the_clock_conclude_as_the_oracle_says(
    log: list[dict[str, Any]], sweeps: list[tuple[int, datetime]]
) -> None:
    """What a wall clock brings: events behind the sweep are late, and effective where the customer was concluded."""
    changes, expected = under_sweeps(Engine(), Oracle(), log, sweeps)
    assert changes == expected


days = st.lists(st.integers(1, 400), min_size=4, max_size=4, unique=True).map(sorted)
counts = st.lists(st.integers(1, 8), min_size=4, max_size=4, unique=True).map(sorted)
monies = st.lists(st.integers(-10, 2000), min_size=4, max_size=4, unique=True).map(sorted)


@given(
    log=histories(),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    recuts=st.lists(st.tuples(st.integers(0, 5), days, counts, monies), max_size=3),
)
@trials(200)
def test_new_cuts_are_adopted_as_the_oracle_says(
    log: list[dict[str, Any]], sizes: list[int], recuts: list[tuple[int, list[int], list[int], list[int]]]
) -> None:
    """Each customer goes through the old rules up to the adoption time, then is classified under the new ones."""
    oracle, engine = Oracle(), Engine()
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
            oracle.changes += oracle.shard.step(Adopt(rules, "recut"))
            engine.sweep()  # the next version waits until all customers are done with the one before
            engine.rule_versions.add_cuts(
                Cuts(
                    version=version,
                    recency_us=tuple(duration_us(span) for span in spans),  # type: ignore[arg-type]  # four by construction
                    frequency=tuple(frequency),  # type: ignore[arg-type]
                    monetary_minor=tuple(money * 100 for money in monetary),  # type: ignore[arg-type]
                    value_minor=(0, 0),  # not listed
                )
            )
        for event in batch:
            oracle.take(event)
        engine.feed(batch)
    oracle.sweep()
    engine.sweep()
    assert by_customer(engine.changes) == by_customer(oracle.changes)


@given(log=histories(), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
@trials(100)
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
