"""Two inputs, one order: the earlier head first, and nothing taken before its turn is sure."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.columns.events import Chunk, Unusable, none
from segflow.engine.decode.merge_inputs import merge, ready
from tests.support.trials import trials

LATEST = 1000
PURCHASES, INTERACTIONS = False, True

Times = list[int | None]
"""Event times of one input's records; None is a record that cannot be used."""

times = st.lists(st.none() | st.integers(0, 6) | st.integers(0, 2000), max_size=12)
rising = times.map(lambda some: sorted(some, key=lambda time: -1 if time is None else time))
inputs = times | rising


def chunk(some: Times) -> Chunk:
    """Records at those times; ids tell them apart."""
    usable = np.array([time is not None for time in some], dtype=np.bool_)
    count = len(some)
    empty = none()
    return Chunk(
        offsets=np.arange(count),
        usable=usable,
        kinds=np.zeros(count, dtype=np.uint8),
        occurred_us=np.array([time or 0 for time in some], dtype=np.int64),
        identities=np.arange(count).astype(np.uint64),
        amounts_minor=np.zeros(count, dtype=np.int64),
        refunded_orders=np.zeros(count, dtype=np.uint64),
        customer_ids=[f"c{number}" for number in range(count)],
        event_ids=[f"e{number}" for number in range(count)],
        keys=[b""] * count,
        values=[b""] * count,
        unusable=empty.unusable | {row: Unusable("bad", "bad") for row in np.flatnonzero(~usable).tolist()},
    )


def order(purchases: Times, interactions: Times) -> list[tuple[bool, int]]:
    """What `merge` gives: whose record, and its place there."""
    merged = merge(chunk(purchases), chunk(interactions), LATEST)
    mine = merged.sides == 1
    return [(bool(mine[row]), row - len(purchases) if mine[row] else row) for row in merged.order.tolist()]


def by_heads(purchases: Times, interactions: Times) -> list[tuple[bool, int]]:
    """Take the earlier head, again and again; interactions in a tie; what has no usable time goes at once."""

    def head(some: Times, place: int) -> int:
        time = some[place]
        return -1 if time is None or time > LATEST else time

    taken = [0, 0]
    found: list[tuple[bool, int]] = []
    while taken[0] < len(purchases) or taken[1] < len(interactions):
        heads = [
            (head(some, place), not side, side, place)
            for side, some, place in ((PURCHASES, purchases, taken[0]), (INTERACTIONS, interactions, taken[1]))
            if place < len(some)
        ]
        *_, side, place = min(heads)
        found.append((side, place))
        taken[side] += 1
    return found


@given(purchases=inputs, interactions=inputs)
@trials(300)
def test_merging_is_taking_the_earlier_head_again_and_again(purchases: Times, interactions: Times) -> None:
    """For any two inputs, out of order, with ties, with records that cannot be used or lie in the future."""
    assert order(purchases, interactions) == by_heads(purchases, interactions)


@given(purchases=inputs, interactions=inputs, more=inputs, waiting=st.sampled_from([PURCHASES, INTERACTIONS]))
@trials(300)
def test_what_is_ready_comes_first_whatever_comes_later(
    purchases: Times, interactions: Times, more: Times, waiting: bool
) -> None:
    """Taking what is ready now and merging the rest later gives the order of the whole."""
    whole_purchases = purchases + (more if waiting is PURCHASES else [])
    whole_interactions = interactions + (more if waiting is INTERACTIONS else [])
    waits = (waiting is PURCHASES, waiting is INTERACTIONS)
    first, second = ready(chunk(purchases), chunk(interactions), waits, LATEST)
    now = order(purchases[:first], interactions[:second])
    later = order(whole_purchases[first:], whole_interactions[second:])
    starts = {PURCHASES: first, INTERACTIONS: second}
    assert now + [(side, place + starts[side]) for side, place in later] == order(whole_purchases, whole_interactions)


@given(purchases=inputs, interactions=inputs, waits=st.tuples(st.booleans(), st.booleans()))
@trials(300)
def test_no_more_could_be_taken_than_is_ready(purchases: Times, interactions: Times, waits: tuple[bool, bool]) -> None:
    """The next record in the order could still be overtaken by one to come; an empty input that waits holds all up."""
    first, second = ready(chunk(purchases), chunk(interactions), waits, LATEST)
    merged = order(purchases, interactions)
    taken = merged[: first + second]
    assert (first, second) == (sum(not side for side, _ in taken), sum(side for side, _ in taken))
    empty = (waits[0] and not purchases) or (waits[1] and not interactions)
    if empty:
        assert (first, second) == (0, 0)
    elif len(taken) < len(merged):
        following = merged[len(taken)]
        early: list[tuple[Times, Times]] = []
        if waits[0]:
            early.append(([*purchases, None], interactions))
        if waits[1]:
            early.append((purchases, [*interactions, None]))
        assert any(order(*later)[len(taken)] != following for later in early)


def test_nothing_waits_and_everything_is_ready() -> None:
    """Two inputs at their ends are taken whole, as are two empty ones."""
    assert ready(chunk([5, 1]), chunk([3]), (False, False), LATEST) == (2, 1)
    assert ready(none(), none(), (True, True), LATEST) == (0, 0)


def test_an_event_in_the_future_is_refused_and_holds_nobody_up() -> None:
    """It has a reason, its time counts for nothing, and the moment itself is not the future yet."""
    merged = merge(chunk([LATEST + 1, 5]), chunk([LATEST]), LATEST)
    assert merged.chunk.usable.tolist() == [False, True, True]
    assert merged.chunk.unusable[0].kind == "future"
    assert "worker.future_max" in merged.chunk.unusable[0].reason
    assert merged.order.tolist() == [0, 1, 2]
