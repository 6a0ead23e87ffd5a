"""The customer record: what goes in comes out, and nothing else is taken for one."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segments.instant import UNKNOWN
from state.record import (
    DIMENSION_SLOTS,
    FIXED_BYTES,
    ID_BYTES,
    LAYOUT,
    NO_TIMER,
    RECORD,
    REMEMBERED,
    Customers,
    LayoutError,
    decode,
    encode,
)

START = np.array([255, 0], dtype=np.uint8)
UINT32 = st.integers(0, 2**32 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([int(UNKNOWN), int(NO_TIMER)])
BYTE = st.integers(0, 255)
STRATEGIES = {"u1": BYTE, "u4": UINT32, "i8": INT64}


@st.composite
def many_customers(draw: st.DrawFn) -> Customers:
    """Any records that the layout can hold, some of them of nobody known."""
    count = draw(st.integers(0, 5))
    customers = Customers.unknown([f"c{number}" for number in range(count)], START, 0)
    for name in RECORD.names or ():
        if name not in ("layout", "remembered"):
            column: npt.NDArray[np.generic] = customers.fixed[name]
            some = STRATEGIES[column.dtype.str[1:]]
            column.flat[:] = draw(st.lists(some, min_size=column.size, max_size=column.size))
    for memory, limit in enumerate(REMEMBERED):
        for row in range(count):
            ids = draw(st.lists(st.integers(1, 2**64 - 1), max_size=limit))
            customers.fixed["remembered"][row, memory] = len(ids)
            customers.seen[memory][row, : len(ids)] = ids
    return customers


def same(one: Customers, other: Customers) -> bool:
    """Whether everything is equal."""
    return (
        one.ids == other.ids
        and one.fixed.tobytes() == other.fixed.tobytes()
        and all(np.array_equal(mine, yours) for mine, yours in zip(one.seen, other.seen, strict=True))
    )


@given(many_customers())
@settings(max_examples=150, deadline=None)
def test_a_record_comes_back_as_it_was_written(customers: Customers) -> None:
    """Every field of every record, with any number of remembered ids, alone and among others."""
    values = encode(customers)
    assert same(decode(customers.ids, values, START, 0), customers)
    for row, value in enumerate(values):
        ids = int(customers.fixed["remembered"][row].sum())
        assert len(value) == FIXED_BYTES + ID_BYTES * ids
        alone = decode([customers.ids[row]], [value], START, 0)
        assert encode(alone) == [value]


@given(many_customers(), st.data())
@settings(max_examples=100, deadline=None)
def test_unknown_customers_among_known_ones_start_afresh(customers: Customers, data: st.DataObject) -> None:
    """A customer without a record has the models' starting labels and no facts."""
    stored = [value if data.draw(st.booleans()) else None for value in encode(customers)]
    found = decode(customers.ids, stored, START, 7)
    for row, value in enumerate(stored):
        if value is not None:
            assert found.fixed[row : row + 1].tobytes() == customers.fixed[row : row + 1].tobytes()
            continue
        assert found.fixed["labels"][row].tolist() == START.tolist()
        assert found.fixed["rules"][row] == 7
        assert found.fixed["timer_us"][row] == NO_TIMER
        assert found.fixed["concluded_us"][row] == found.fixed["last_us"][row] == UNKNOWN
        assert not found.seen[0][row].any()
        assert not found.seen[1][row].any()


def test_a_record_takes_the_documented_bytes() -> None:
    """85 bytes, and 8 for each of at most 24 remembered event ids; the first byte is the layout."""
    assert (FIXED_BYTES, ID_BYTES, REMEMBERED) == (85, 8, (16, 8))
    customers = Customers.unknown(["c"], START, 0)
    assert list(map(len, encode(customers))) == [85]
    customers.fixed["remembered"][0] = REMEMBERED
    (value,) = encode(customers)
    assert len(value) == 85 + 8 * 24
    assert value[0] == LAYOUT
    assert DIMENSION_SLOTS == ("lifecycle", "rfm")  # a record's labels stand in this order for ever


def example(ids: int) -> bytes:
    """A record that remembers so many ids."""
    customers = Customers.unknown(["c"], START, 0)
    customers.fixed["remembered"][0, 0] = ids
    customers.seen[0][0, :ids] = range(1, ids + 1)
    return encode(customers)[0]


FOREIGN = {
    "empty": b"",
    "cut within": example(2)[:40],
    "without its ids": example(2)[:85],
    "cut within an id": example(2)[:-1],
    "with an id too many": example(2) + b"12345678",
    "with a byte too many": example(2) + b"1",
    "of a later layout": b"\x02" + example(2)[1:],
    "of no layout": b"\x00" + example(2)[1:],
    "text": b'{"customer_id":"c"}' * 10,
    "more ids than there is room for": example(0)[:1] + b"\x11\x00" + example(0)[3:] + b"12345678" * 17,
}


@pytest.mark.parametrize("value", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("others", [[], [example(1)], [example(3), None, example(0)]])
def test_what_is_no_record_is_refused(value: bytes, others: list[bytes | None]) -> None:
    """Cut short, too long, or of another layout: a clear error, whatever stands beside it."""
    for values in ([value, *others], [*others, value]):
        with pytest.raises(LayoutError, match="customer record"):
            decode([f"c{number}" for number in range(len(values))], values, START, 0)


def test_two_spoilt_records_do_not_make_up_for_each_other() -> None:
    """One id too few here and one too many there is not taken for well."""
    with pytest.raises(LayoutError, match="event ids"):
        decode(["a", "b"], [example(2)[:-8], example(2) + b"12345678"], START, 0)
