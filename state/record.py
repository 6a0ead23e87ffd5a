"""The customer record as bytes: its fixed part, its sections, the event ids it remembers, then its tails."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Facts, Labels, Rows
from segflow.state import named_sections, tails
from segflow.state.customers import Customers, facts_of
from segflow.state.layout import (
    DIMENSION_SLOTS,
    FIXED_BYTES,
    FIXED_BYTES_1,
    ID_BYTES,
    LAYOUT,
    NAMED_BIT,
    RECORD,
    REMEMBERED,
    SECTION_BYTES,
    SECTIONS,
    LayoutError,
    as_bytes,
    named,
    packaged,
    says_anything,
)
from segflow.state.tails import TAILS


def encode(customers: Customers, rows: Rows | None = None) -> list[bytes]:
    """The bytes that are stored of some customers, of each of `rows`, shape (k,); None: of all of them."""
    if "rule_labels" in customers.tails:
        tails.name_labels(customers.tails["rule_labels"], customers.keys["rule_labels"])
    for name, entries in customers.tails.items():
        customers.sections[TAILS[name].section]["tails"][:, TAILS[name].place] = tails.counts(entries)
    rows = np.arange(len(customers)) if rows is None else rows
    blocks = _blocks(customers)
    masks = np.zeros(len(customers), dtype=np.uint16)
    for bit, name in enumerate(SECTIONS):
        if name in customers.sections:
            masks |= says_anything(name, customers.sections[name]).astype(np.uint16) << np.uint16(bit)
    if blocks:
        masks |= np.array([bool(block) for block in blocks], dtype=np.uint16) << np.uint16(NAMED_BIT)
    masks = masks[rows]
    if not masks.any():
        return _encode_alike(customers, rows, 0)
    records = [b""] * len(rows)
    for mask in np.unique(masks).tolist():
        places = np.flatnonzero(masks == mask)
        for place, value in zip(places.tolist(), _encode_alike(customers, rows[places], mask), strict=True):
            records[place] = value
    return [value + blocks[row] for value, row in zip(records, rows.tolist(), strict=True)] if blocks else records


def _blocks(customers: Customers) -> list[bytes]:
    """Each customer's sections of models of other packages; none where nobody can have any."""
    if customers.unread is None and not packaged(customers.sections):
        return []
    return named_sections.encode(customers)


def _encode_alike(customers: Customers, rows: Rows, mask: int) -> list[bytes]:
    """Those of `rows`, who have the same sections; what they lack is not touched, as it takes time to copy."""
    fixed = customers.fixed[rows]
    fixed["sections"] = mask
    counts = fixed["remembered"].astype(np.int64)
    parts = [fixed, *(customers.sections[name][rows] for name in named(mask))]
    head = sum(part.itemsize for part in parts)
    gap = head + ID_BYTES * REMEMBERED[0]
    width = gap + ID_BYTES * REMEMBERED[1]
    table = np.empty((len(rows), width), dtype=np.uint8)
    start = 0
    for part in parts:
        table[:, start : start + part.itemsize] = as_bytes(part)
        start += part.itemsize
    first, second = customers.seen
    table[:, head:gap] = first[rows].view(np.uint8)
    table[:, gap:] = second[rows].view(np.uint8)
    flat = table.tobytes()
    ends = (head + ID_BYTES * counts[:, 0]).tolist()
    others = (ID_BYTES * counts[:, 1]).tolist()
    records = []
    at = 0
    for end, other in zip(ends, others, strict=True):
        record = flat[at : at + end]
        records.append(record + flat[at + gap : at + gap + other] if other else record)
        at += width
    for name in tails.of(named(mask)):
        entries = tails.encode(customers.tails[name][rows])
        records = [record + more for record, more in zip(records, entries, strict=True)]
    return records


def decode(
    ids: list[str], values: Sequence[bytes | None], start: Labels, rules: int, kept: Iterable[str] = ()
) -> Customers:
    """Customers from stored bytes; None is a customer nothing is remembered of (see `Customers.unknown`).

    `kept`: what is wanted of everybody (see `Customers.unknown`); what else a record has is there, too.

    Raises:
        LayoutError: a record of a layout this version does not know, or one cut short.
    """
    known = [row for row, value in enumerate(values) if value is not None]
    if not known:
        return Customers.unknown(ids, start, rules, kept)
    stored = _of_this_layout([value for value in values if value is not None])
    fixed = _fixed(stored)
    masks = fixed["sections"]
    held = int(np.bitwise_or.reduce(masks))
    if (held & ~(1 << NAMED_BIT)) >> len(SECTIONS):
        raise LayoutError("a customer record has a section this version does not know: a newer segflow wrote it")
    customers = Customers.unknown(ids, start, rules, {*kept, *named(held)})
    rows = np.array(known, dtype=np.intp)
    customers.fixed[rows] = fixed
    lengths = np.fromiter(map(len, stored), dtype=np.int64, count=len(stored))
    heads = np.full(len(stored), FIXED_BYTES, dtype=np.int64)
    if held:
        heads += (masks[:, None] >> np.arange(len(SECTIONS)) & 1) @ SECTION_BYTES
    counts = fixed["remembered"].astype(np.int64)
    ends = heads + ID_BYTES * counts.sum(axis=1)
    if (lengths < ends).any() or (counts > REMEMBERED).any():
        raise LayoutError("a customer record does not have the event ids it says it has")
    if held:
        customers.fixed["sections"] = 0
        _decode_sections(customers, rows, stored, masks)
        ids_of = [value[head:end] for value, head, end in zip(stored, heads.tolist(), ends.tolist(), strict=True)]
    else:
        ids_of = [value[FIXED_BYTES:] for value in stored]
    ends = _decode_tails(customers, rows, stored, masks, ends)
    if (lengths != _decode_models(customers, rows, stored, masks, ends)).any():
        raise LayoutError("a customer record does not have the event ids or the entries it says it has")
    flat = np.frombuffer(b"".join(ids_of), dtype="<u8")
    starts = np.concatenate(([0], np.cumsum(counts.sum(axis=1))[:-1]))
    for memory in (0, 1):
        _scatter(customers.seen[memory], rows, counts[:, memory], flat, starts)
        starts = starts + counts[:, memory]
    return customers


def facts(values: Sequence[bytes | None], kept: Sequence[str]) -> Facts:
    """The facts in stored bytes: those of the fixed part, and of what is `kept` (as in `decode`).

    Raises:
        LayoutError: as in `decode`.
    """
    if kept or None in values:
        no_labels = np.zeros(len(DIMENSION_SLOTS), dtype=np.uint8)
        return decode([""] * len(values), values, no_labels, 0, kept).facts(slice(None))
    fixed = _fixed(_of_this_layout([value for value in values if value is not None]))
    return facts_of(fixed, slice(None))


def timers_us(values: Sequence[bytes | None]) -> list[int]:
    """The timer of each customer, microseconds, from the stored bytes; NO_TIMER: it has none."""
    timers: list[int] = _fixed(_of_this_layout([value or b"" for value in values]))["timer_us"].tolist()
    return timers


def rules_of(values: Sequence[bytes]) -> npt.NDArray[np.uint32]:
    """The version of the rules that each customer's labels were made with, from the stored bytes; shape (n,)."""
    versions: npt.NDArray[np.uint32] = _fixed(_of_this_layout(list(values)))["rules"]
    return versions


def upgraded(value: bytes) -> bytes:
    """A record as this version writes it: one of layout 1 has no sections, the others are as they are."""
    if value[:1] != b"\x01":
        return value
    return bytes([LAYOUT]) + value[1:FIXED_BYTES_1] + b"\x00\x00" + value[FIXED_BYTES_1:]


def _of_this_layout(stored: list[bytes]) -> list[bytes]:
    """The records, those of layout 1 upgraded.

    Raises:
        LayoutError: one is of neither.
    """
    layouts = {value[:1] for value in stored}
    if b"\x01" in layouts:
        stored = [upgraded(value) for value in stored]
        layouts = {value[:1] for value in stored}
    if not layouts <= {bytes([LAYOUT])}:
        raise LayoutError(f"a customer record is not of layout 1 to {LAYOUT}: was it written by a newer segflow?")
    return stored


def _fixed(stored: list[bytes]) -> npt.NDArray[np.void]:
    """The fixed parts.

    Raises:
        LayoutError: one is cut short.
    """
    whole = b"".join([value[:FIXED_BYTES] for value in stored])
    if len(whole) != FIXED_BYTES * len(stored):
        raise LayoutError(f"a customer record is shorter than the {FIXED_BYTES} bytes of its fixed part")
    return np.frombuffer(whole, dtype=RECORD)


def _decode_sections(
    customers: Customers, rows: npt.NDArray[np.intp], stored: list[bytes], masks: npt.NDArray[np.uint16]
) -> None:
    """Copy the sections of `stored`, whose customers are `rows`, those of records with the same sections together."""
    masks = masks & np.uint16((1 << len(SECTIONS)) - 1)
    for mask in np.unique(masks[masks > 0]).tolist():
        mine = np.flatnonzero(masks == mask)
        together = np.dtype([(name, SECTIONS[name]) for name in named(mask)])
        stop = FIXED_BYTES + together.itemsize
        found = np.frombuffer(b"".join([stored[row][FIXED_BYTES:stop] for row in mine.tolist()]), dtype=together)
        for name in named(mask):
            customers.sections[name][rows[mine]] = found[name]


def _decode_tails(
    customers: Customers,
    rows: npt.NDArray[np.intp],
    stored: list[bytes],
    masks: npt.NDArray[np.uint16],
    starts: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Copy the tails of `stored`, whose customers are `rows` and which begin at `starts`; where each record ends.

    Raises:
        LayoutError: a record counts more entries than there may be, or its bytes do not hold them.
    """
    for name, entries in list(customers.tails.items()):
        tail = TAILS[name]
        has = masks >> list(SECTIONS).index(tail.section) & 1
        held = np.where(has, customers.sections[tail.section]["tails"][rows, tail.place], 0).astype(np.int64)
        stops = starts + held * tail.entry.itemsize
        some = np.flatnonzero(held)
        parts = [stored[row][starts[row] : stops[row]] for row in some.tolist()]
        if (held > tail.most).any() or sum(map(len, parts)) != held.sum() * tail.entry.itemsize:
            raise LayoutError("a customer record does not have the entries it says it has")
        customers.tails[name], keys = tails.decode(
            tail, entries, customers.keys.get(name, ()), rows[some], held[some], b"".join(parts)
        )
        if tail.keyed:
            customers.keys[name] = keys
        starts = stops
    return starts


def _decode_models(
    customers: Customers,
    rows: npt.NDArray[np.intp],
    stored: list[bytes],
    masks: npt.NDArray[np.uint16],
    starts: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Copy what models of other packages have at the end of records; where each record ends."""
    some = np.flatnonzero(masks >> NAMED_BIT)
    ends = starts.copy()
    if len(some):
        blocks = [stored[row][starts[row] :] for row in some.tolist()]
        named_sections.decode(customers, rows[some], blocks)
        ends[some] += list(map(len, blocks))
    return ends


def _scatter(
    seen: npt.NDArray[np.uint64],
    rows: npt.NDArray[np.intp],
    counts: npt.NDArray[np.int64],
    flat: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
) -> None:
    """Copy `counts[i]` ids from `flat[starts[i]:]` into row `rows[i]` of `seen`."""
    column = np.arange(seen.shape[1])
    used = column < counts[:, None]
    source = (starts[:, None] + column)[used]
    row, place = np.nonzero(used)
    seen[rows[row], place] = flat[source]
