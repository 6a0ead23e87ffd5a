"""The customer record: what goes in comes out, and nothing else is taken for one."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.segments.instant import UNKNOWN
from segflow.state.customers import Customers
from segflow.state.layout import (
    DIMENSION_SLOTS,
    FIXED_BYTES,
    ID_BYTES,
    LAYOUT,
    NO_TIMER,
    RECORD,
    REMEMBERED,
    SECTIONS,
    LayoutError,
    needed,
)
from segflow.state.record import decode, encode, timers_us, upgraded
from segflow.state.tails import TAILS
from tests.support.trials import trials

START = np.array([255, 0], dtype=np.uint8)
UINT32 = st.integers(0, 2**32 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([int(UNKNOWN), int(NO_TIMER)])
BYTE = st.integers(0, 255)
STRATEGIES = {
    "u1": BYTE,
    "u4": UINT32,
    "i4": st.integers(-(2**31), 2**31 - 1),
    "u8": st.integers(0, 2**64 - 1),
    "i8": INT64,
    "f8": st.floats(allow_nan=False),
}


def fill(draw: st.DrawFn, table: npt.NDArray[np.void], names: tuple[str, ...]) -> None:
    """Put anything into the columns."""
    for name in names:
        column: npt.NDArray[np.generic] = table[name]
        some = STRATEGIES[column.dtype.str[1:]]
        column.flat[:] = draw(st.lists(some, min_size=column.size, max_size=column.size))


NAMED = {"attributes": ("attributes.a", "attributes.b"), "rules": ("mood", "region")}
"""What is kept in sections that are no dimension's."""


def with_names(sections: Iterable[str]) -> list[str]:
    """The sections, and what is kept in them by name."""
    return [name for section in sections for name in (section, *NAMED.get(section, ()))]


def fill_tails(draw: st.DrawFn, customers: Customers) -> None:
    """Put any entries behind the ids."""
    count = len(customers)
    for name, entries in customers.tails.items():
        tail = TAILS[name]
        for row in range(0 if tail.keyed else count):
            held = draw(st.integers(0, tail.most))
            fill(draw, entries[row, :held], entries.dtype.names or ())
            entries["key"][row, :held] |= 1
            customers.sections[tail.section]["tails"][row, tail.place] = held
        for column, key in enumerate(customers.keys.get(name, ())):
            for row in range(count):
                if draw(st.booleans()):
                    fill(draw, entries[row : row + 1, column], tail.entry.names or ())
                    entries["key"][row, column] = key


@st.composite
def many_customers(draw: st.DrawFn) -> Customers:
    """Any records that the layout can hold, with some of the sections; of some of them nothing is known."""
    count = draw(st.integers(0, 5))
    kept = with_names(needed(draw(st.lists(st.sampled_from(sorted(SECTIONS))))))
    customers = Customers.unknown([f"c{number}" for number in range(count)], START, 0, kept)
    fill(draw, customers.fixed, tuple(set(RECORD.names or ()) - {"layout", "remembered", "sections"}))
    for section in customers.sections.values():
        for row in range(count):
            if draw(st.booleans()):
                fill(draw, section[row : row + 1], tuple(set(section.dtype.names or ()) - {"tails"}))
    fill_tails(draw, customers)
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
        and {name: section.tobytes() for name, section in one.sections.items()}
        == {name: section.tobytes() for name, section in other.sections.items()}
        and {name: entries.tobytes() for name, entries in one.tails.items()}
        == {name: entries.tobytes() for name, entries in other.tails.items()}
        and all(np.array_equal(mine, yours) for mine, yours in zip(one.seen, other.seen, strict=True))
    )


@given(many_customers())
@trials(150)
def test_a_record_comes_back_as_it_was_written(customers: Customers) -> None:
    """Every field of every record, with any number of remembered ids, alone and among others."""
    values = encode(customers)
    assert same(decode(customers.ids, values, START, 0, with_names(customers.sections)), customers)
    nobody = Customers.unknown(["nobody"], START, 0, SECTIONS).sections
    for row, value in enumerate(values):
        ids = int(customers.fixed["remembered"][row].sum())
        known = [name for name, each in customers.sections.items() if each[row].tobytes() != nobody[name].tobytes()]
        tails = sum(len(entries[row][entries[row]["key"] != 0].tobytes()) for entries in customers.tails.values())
        assert len(value) == FIXED_BYTES + ID_BYTES * ids + sum(SECTIONS[name].itemsize for name in known) + tails
        alone = decode([customers.ids[row]], [value], START, 0)
        assert list(alone.sections) == needed(known)
        assert encode(alone) == [value]
    assert timers_us(values) == customers.fixed["timer_us"].tolist()


@given(many_customers(), st.data())
@trials(100)
def test_unknown_customers_among_known_ones_start_afresh(customers: Customers, data: st.DataObject) -> None:
    """A customer without a record has the models' starting labels and no facts."""
    stored = [value if data.draw(st.booleans()) else None for value in encode(customers)]
    found = decode(customers.ids, stored, START, 7, SECTIONS)
    fresh = Customers.unknown(["nobody"], START, 7, SECTIONS).sections
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
        assert all(found.sections[name][row].tobytes() == fresh[name].tobytes() for name in SECTIONS)


def test_a_record_takes_the_documented_bytes() -> None:
    """87 bytes, sections, and 8 for each of at most 24 remembered event ids; the first byte is the layout."""
    assert (FIXED_BYTES, ID_BYTES, REMEMBERED) == (87, 8, (16, 8))
    customers = Customers.unknown(["c"], START, 0, SECTIONS)
    assert list(map(len, encode(customers))) == [87]  # a section that says nothing is not there
    customers.fixed["remembered"][0] = REMEMBERED
    (value,) = encode(customers)
    assert len(value) == 87 + 8 * 24
    assert value[0] == LAYOUT
    for name in SECTIONS.keys() - {"window", "refunds", *NAMED}:
        customers.sections[name]["label"] = 1
    assert len(encode(customers)[0]) == 87 + 8 * 24 + 13 + 21 + 18 + 17 + 9 + 25 + 17 + 27
    customers.tails["open_invoices"]["key"] = customers.tails["settled_invoices"]["key"] = 1
    assert len(encode(customers)[0]) == 87 + 8 * 24 + 13 + 21 + 18 + 17 + 9 + 25 + 17 + 27 + 8 * 24 + 16 * 17
    customers.tails["slots"]["key"][0, :3] = 1
    fixed = 87 + 8 * 24 + 13 + 21 + 18 + 17 + 9 + 25 + 17 + 27
    assert len(encode(customers)[0]) == fixed + 8 * 24 + 16 * 17 + 1 + 3 * 16
    customers.tails["refunded_orders"]["key"][0, :2] = 1
    assert len(encode(customers)[0]) == fixed + 8 * 24 + 16 * 17 + 1 + 3 * 16 + 1 + 2 * 8
    everything = "price cadence satisfaction engagement value churn clv payment window attributes rules refunds"
    assert " ".join(SECTIONS) == everything  # their bits, for ever
    assert DIMENSION_SLOTS == ("lifecycle", "rfm")  # a record's labels stand in this order for ever


def owing() -> bytes:
    """A record with an event id and two open invoices."""
    customers = Customers.unknown(["c"], START, 0, ["payment"])
    customers.fixed["remembered"][0, 0] = customers.seen[0][0, 0] = 1
    customers.tails["open_invoices"]["key"][0, :2] = 1, 2
    return encode(customers)[0]


def example(ids: int) -> bytes:
    """A record that remembers so many ids."""
    customers = Customers.unknown(["c"], START, 0)
    customers.fixed["remembered"][0, 0] = ids
    customers.seen[0][0, :ids] = range(1, ids + 1)
    return encode(customers)[0]


LAYOUT_1 = bytes.fromhex(
    "01020101020300000004000000050000000100000001000000000000000200000000000000030000000000000004000000000000000500000000000000"
    "fbffffffffffffff070000000000000008000000000000000b000000000000000c000000000000000d00000000000000"
)
"""A record as layout 1 had it: labels 1 and 2, numbers from 3 on, three remembered ids."""


def test_a_record_of_layout_1_is_read_and_written_as_layout_2() -> None:
    """Every field where it was, and no sections, also among records of layout 2."""
    assert len(LAYOUT_1) == 85 + 3 * 8
    values = [example(2), LAYOUT_1, None, LAYOUT_1]
    found = decode(list("abcd"), values, START, 0, SECTIONS)
    one = dict(zip(RECORD.names or (), found.fixed[1].tolist(), strict=True))
    assert one["layout"] == LAYOUT == 2
    assert one["labels"].tolist() == [1, 2]
    assert one["since_us"].tolist() == [7, 8]
    numbers = "changes rules purchases full_refunds concluded_us timer_us first_us last_us before_last_us net_minor"
    assert [one[name] for name in numbers.split()] == [3, 4, 5, 1, 1, 2, 3, 4, 5, -5]
    assert found.seen[0][1, :2].tolist() == [11, 12]
    assert found.seen[1][1, :1].tolist() == [13]
    fresh = Customers.unknown(["nobody"], START, 0, SECTIONS).sections
    assert all(found.sections[name][1].tobytes() == fresh[name].tobytes() for name in SECTIONS)
    written = encode(found)
    assert written[1] == written[3] == upgraded(LAYOUT_1)
    assert written[0] == values[0] == upgraded(example(2))
    assert same(decode(list("abcd"), [*written[:2], None, written[3]], START, 0, SECTIONS), found)
    assert timers_us([LAYOUT_1, example(2)]) == [2, NO_TIMER]


FOREIGN = {
    "empty": b"",
    "cut within": example(2)[:40],
    "without its ids": example(2)[:87],
    "of layout 1, cut within": LAYOUT_1[:84],
    "of layout 1, without its ids": LAYOUT_1[:85],
    "with a section that is not there": example(2)[:85] + b"\x01\x00" + example(2)[87:],
    "with a section nobody knows": example(2)[:85] + b"\x00\x80" + example(2)[87:],
    "cut within an id": example(2)[:-1],
    "cut within an invoice": owing()[:-1],
    "without an invoice": owing()[:-24],
    "with an invoice too many": owing() + owing()[-24:],
    "of more invoices than there is room for": owing()[:112] + b"\x09" + owing()[113:] + owing()[-24:] * 7,
    "with an id too many": example(2) + b"12345678",
    "with a byte too many": example(2) + b"1",
    "of a later layout": b"\x03" + example(2)[1:],
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
