"""The customer record: a fixed part, the sections that some dimensions need, the event ids it remembers, then tails.

Layout 2, little-endian, packed; docs/state.md has the tables. A record begins with its layout's number, so that a
later worker can read what an earlier one wrote. A section that says nothing yet is not written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from schemas.rule_dimensions import key_of
from segments import window
from segments.attributes import ATTRIBUTE, Attributes
from segments.engagement import NOTHING
from segments.facts import Facts, Labels, Times
from segments.instant import NEVER, UNKNOWN
from segments.slots import NO_SLOT
from state import tails
from state.tails import TAILS, Keys

LAYOUT: Final = 2
DIMENSION_SLOTS: Final = ("lifecycle", "rfm")
"""Where these dimensions' labels stand in the fixed part, whatever the settings' order: a record outlives an order."""
REMEMBERED: Final = (16, 8)
"""Event ids kept a customer: latest purchases, refunds, payments and feedbacks; latest others (design section 3)."""
NO_TIMER: Final = NEVER

RECORD: Final = np.dtype(
    [
        ("layout", "u1"),
        ("remembered", "u1", (2,)),  # how many ids of each kind follow the fixed part
        ("labels", "u1", (len(DIMENSION_SLOTS),)),  # codes into the model's labels
        ("changes", "<u4"),  # the customer's version: changes so far
        ("rules", "<u4"),  # version of the rules the labels were made with
        ("purchases", "<u4"),
        ("full_refunds", "<u4"),
        ("concluded_us", "<i8"),  # c of design section 3
        ("timer_us", "<i8"),  # where the timer set has this customer; NO_TIMER: not in it
        ("first_us", "<i8"),
        ("last_us", "<i8"),
        ("before_last_us", "<i8"),
        ("net_minor", "<i8"),
        ("since_us", "<i8", (len(DIMENSION_SLOTS),)),  # effective time of the change that set each label
        ("sections", "<u2"),  # bit k: the k-th of SECTIONS follows; written by `encode`, else 0
    ]
)
FIXED_BYTES: Final = RECORD.itemsize
FIXED_BYTES_1: Final = FIXED_BYTES - 2
"""Layout 1 had no sections, and ended before their bits."""
ID_BYTES: Final = 8


def _section(*facts: tuple[Any, ...]) -> np.dtype[np.void]:
    return np.dtype([("label", "u1"), ("since_us", "<i8"), *facts])


SECTIONS: Final[dict[str, np.dtype[np.void]]] = {
    "price": _section(("discounted", "<u4")),
    "cadence": _section(("latest_slot", "<i4"), ("slot_mask", "<u8")),
    "satisfaction": _section(("feedback_us", "<i8"), ("score", "u1")),
    "engagement": _section(("level_log2", "<f8")),
    "value": _section(),
    "churn": _section(("latest_day", "<i4"), ("day_mask", "<u8"), ("purchase_days", "<u4")),
    "clv": _section(("first_day_minor", "<i8")),
    "payment": _section(
        ("settled_invoices", "<u4"), ("late_invoices", "<u4"), ("next_due_us", "<i8"), ("tails", "u1", (2,))
    ),
    "window": np.dtype([("tails", "u1", (1,))]),
    "attributes": np.dtype([("tails", "u1", (1,))]),
    "rules": np.dtype([("tails", "u1", (1,))]),
}
"""By dimension: its label, since when, and the facts that it alone needs, named as in Facts; `tails` counts the entries
that stand behind the event ids (state/tails.py). They are all there is in `window`, which rfm needs with one, in
`attributes`, and in `rules`, which has all rule dimensions. New ones come last."""
NO_FACTS: Final = frozenset({"label", "since_us", "tails"})
NEEDS: Final[dict[str, tuple[str, ...]]] = {"clv": ("churn",)}
"""Whose sections a dimension needs beside its own: clv looks at the same days of purchases as churn."""
UNTOLD: Final[dict[str, Any]] = {
    "since_us": UNKNOWN,
    "latest_slot": NO_SLOT,
    "feedback_us": UNKNOWN,
    "latest_day": NO_SLOT,
    "level_log2": NOTHING,
    "next_due_us": NEVER,
}
"""What a field of a section is before anything is known, where it is not 0; the neutral label has the code 0."""


class LayoutError(Exception):
    """A stored record is none of the layouts this version reads."""


@dataclass(slots=True)
class Customers:
    """n customers as columns. Mutable: the processor advances them in place.

    ids: n customer ids. fixed: shape (n,) of RECORD. seen: for each memory, hashes of remembered event ids,
    shape (n, 16) and (n, 8), uint64, oldest first, 0 beyond `fixed["remembered"]`. sections: those of SECTIONS that
    the settings need or a record has, in their order, each of shape (n,). tails: those of TAILS whose sections there
    are, each of shape (n, entries). keys: of keyed tails, the key of each column.
    """

    ids: list[str]
    fixed: npt.NDArray[np.void]
    seen: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]
    sections: dict[str, npt.NDArray[np.void]] = field(default_factory=dict)
    tails: dict[str, npt.NDArray[np.void]] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)

    @classmethod
    def unknown(cls, ids: list[str], start: Labels, rules: int, kept: Iterable[str] = ()) -> Self:
        """Customers nothing is remembered of, with the labels `start` (in record slots) under `rules`.

        `kept`: what is to be kept of them, as Rules.kept names it: dimensions, rule dimensions, attributes; sections.
        """
        fixed = np.zeros(len(ids), dtype=RECORD)
        fixed["layout"] = LAYOUT
        fixed["labels"] = start
        fixed["rules"] = rules
        for name in ("concluded_us", "first_us", "last_us", "before_last_us", "since_us"):
            fixed[name] = UNKNOWN
        fixed["timer_us"] = NO_TIMER
        seen = (_no_ids(len(ids), 0), _no_ids(len(ids), 1))
        kept, keys = _sections_and_keys(kept)
        return cls(
            ids,
            fixed,
            seen,
            {name: _untold(name, len(ids)) for name in kept},
            {name: tails.none(tail, len(ids), keys.get(name, ())) for name, tail in tails.of(kept).items()},
            keys,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.intp]) -> Self:
        """The customers of `rows`, copied."""
        return type(self)(
            [self.ids[row] for row in rows.tolist()],
            self.fixed[rows],
            (self.seen[0][rows], self.seen[1][rows]),
            {name: section[rows] for name, section in self.sections.items()},
            {name: entries[rows] for name, entries in self.tails.items()},
            self.keys,
        )

    def keep(self, kept: Iterable[str]) -> None:
        """Forget all else but what Rules.kept names: sections, labels of other rule dimensions, other attributes."""
        kept = {*kept}
        names, keys = _sections_and_keys(kept)
        self.sections = {name: self.sections[name] for name in names}
        for name in {each for needed in NEEDS.values() for each in needed} & self.sections.keys() - kept:
            self.sections[name]["label"] = 0  # of a dimension that is off, but for what another needs
            self.sections[name]["since_us"] = UNKNOWN
        for name, tail in tails.of(SECTIONS).items():
            if tail.section not in names:
                self.tails.pop(name, None)
            elif tail.keyed:
                self.tails[name] = tails.with_keys(tail, self.tails[name], self.keys[name], keys[name])
        self.keys = keys

    def forget(self, rows: npt.NDArray[np.intp], start: Labels, rules: int) -> None:
        """Make `rows` what `unknown` gives: nothing of what was remembered of them stays."""
        blank = self.unknown([""], start, rules, ())
        self.fixed[rows] = blank.fixed[0]
        for mine, its in zip(self.seen, blank.seen, strict=True):
            mine[rows] = its[0]
        for name, section in self.sections.items():
            section[rows] = _untold(name, 1)[0]
        for name, entries in self.tails.items():
            entries[rows] = tails.none(TAILS[name], 1, self.keys.get(name, ()))[0]

    def facts(self, rows: npt.NDArray[np.intp] | slice) -> Facts:
        """The facts of `rows`, copied."""
        more: dict[str, Any] = {
            name: section[name][rows]
            for section in self.sections.values()
            for name in section.dtype.names or ()
            if name not in NO_FACTS
        }
        if "slots" in self.tails:
            more["window"] = window.trimmed(self.tails["slots"][rows])
        if "attributes" in self.tails:
            more["attributes"] = Attributes(self.keys["attributes"], self.tails["attributes"][rows])
        return _facts(self.fixed, rows, more)

    def labels(self, dimensions: Sequence[str], rows: npt.NDArray[np.intp] | slice = slice(None)) -> Labels:
        """Label codes of `rows`, one column a dimension."""
        labels: Labels = np.stack([self._column(name, "labels", "label")[rows] for name in dimensions], axis=1)
        return labels

    def since_us(self, dimensions: Sequence[str], rows: npt.NDArray[np.intp] | slice = slice(None)) -> Times:
        """Since when those labels are true, UNKNOWN from the start; one column a dimension."""
        since_us: Times = np.stack([self._column(name, "since_us", "since_us")[rows] for name in dimensions], axis=1)
        return since_us

    def move(self, dimension: str, rows: npt.NDArray[np.intp], labels: Labels, at_us: Times) -> None:
        """Give `rows` other labels in one dimension."""
        self._column(dimension, "labels", "label")[rows] = labels
        self._column(dimension, "since_us", "since_us")[rows] = at_us

    def relabel(self, dimensions: Sequence[str], rows: npt.NDArray[np.intp], labels: Labels) -> None:
        """Write label codes of `rows`, one column a dimension, without anything being since now."""
        for column, dimension in enumerate(dimensions):
            self._column(dimension, "labels", "label")[rows] = labels[:, column]

    def begin(self, dimension: str, rows: npt.NDArray[np.intp]) -> None:
        """Let `rows` begin in a dimension: whatever its label, it is so from the start."""
        self._column(dimension, "since_us", "since_us")[rows] = UNKNOWN

    def _column(self, dimension: str, in_fixed: str, in_section: str) -> npt.NDArray[Any]:
        """The column of a dimension, to read and to write."""
        if dimension in DIMENSION_SLOTS:
            column: npt.NDArray[Any] = self.fixed[in_fixed][:, DIMENSION_SLOTS.index(dimension)]
        elif dimension in SECTIONS:
            column = self.sections[dimension][in_section]
        else:
            place = self.keys["rule_labels"].index(key_of(dimension))
            column = self.tails["rule_labels"][in_section][:, place]
        return column


def _facts(fixed: npt.NDArray[np.void], rows: npt.NDArray[np.intp] | slice, more: dict[str, Any]) -> Facts:
    """The facts of `rows` of fixed parts, and `more` of them."""
    return Facts(
        first_us=fixed["first_us"][rows],
        last_us=fixed["last_us"][rows],
        before_last_us=fixed["before_last_us"][rows],
        purchases=fixed["purchases"][rows].astype(np.int64),
        full_refunds=fixed["full_refunds"][rows].astype(np.int64),
        net_minor=fixed["net_minor"][rows],
        **more,
    )


def _sections_and_keys(kept: Iterable[str]) -> tuple[list[str], dict[str, Keys]]:
    """The sections that keep what is named, in their order, and of keyed tails the keys of what is named."""
    named = {*kept} - {*DIMENSION_SLOTS}
    inside = {name for name in named if name not in SECTIONS}
    attributes = {name.removeprefix(ATTRIBUTE) for name in inside if name.startswith(ATTRIBUTE)}
    rules = {name for name in inside if not name.startswith(ATTRIBUTE)}
    sections = named | ({"attributes"} if attributes else set()) | ({"rules"} if rules else set())
    keys = {"attributes": tuple(sorted(map(key_of, attributes))), "rule_labels": tuple(sorted(map(key_of, rules)))}
    return _needed(sections), keys


def encode(customers: Customers) -> list[bytes]:
    """Each customer as the bytes that are stored."""
    if "rule_labels" in customers.tails:
        tails.name_labels(customers.tails["rule_labels"], customers.keys["rule_labels"])
    for name, entries in customers.tails.items():
        customers.sections[TAILS[name].section]["tails"][:, TAILS[name].place] = tails.counts(entries)
    masks = np.zeros(len(customers), dtype=np.uint16)
    for bit, name in enumerate(SECTIONS):
        if name in customers.sections:
            masks |= _told(name, customers.sections[name]).astype(np.uint16) << np.uint16(bit)
    if not masks.any():
        return _encode_alike(customers, 0)
    records = [b""] * len(customers)
    for mask in np.unique(masks).tolist():
        rows = np.flatnonzero(masks == mask)
        for row, value in zip(rows.tolist(), _encode_alike(customers.take(rows), mask), strict=True):
            records[row] = value
    return records


def _encode_alike(customers: Customers, mask: int) -> list[bytes]:
    """Customers who have the same sections."""
    counts = customers.fixed["remembered"].astype(np.int64)
    parts = [customers.fixed, *(customers.sections[name] for name in _named(mask))]
    head = sum(part.itemsize for part in parts)
    gap = head + ID_BYTES * REMEMBERED[0]
    width = gap + ID_BYTES * REMEMBERED[1]
    if mask:
        customers.fixed["sections"] = mask
    rows = np.empty((len(customers), width), dtype=np.uint8)
    start = 0
    for part in parts:
        rows[:, start : start + part.itemsize] = _as_bytes(part)
        start += part.itemsize
    first, second = customers.seen
    rows[:, head:gap] = first.view(np.uint8)
    rows[:, gap:] = second.view(np.uint8)
    flat = rows.tobytes()
    ends = (head + ID_BYTES * counts[:, 0]).tolist()
    others = (ID_BYTES * counts[:, 1]).tolist()
    records = []
    at = 0
    for end, other in zip(ends, others, strict=True):
        record = flat[at : at + end]
        records.append(record + flat[at + gap : at + gap + other] if other else record)
        at += width
    for name in tails.of(_named(mask)):
        records = [record + more for record, more in zip(records, tails.encode(customers.tails[name]), strict=True)]
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
    if held >> len(SECTIONS):
        raise LayoutError("a customer record has a section this version does not know: a newer segflow wrote it")
    customers = Customers.unknown(ids, start, rules, {*kept, *_named(held)})
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
    if (lengths != _decode_tails(customers, rows, stored, masks, ends)).any():
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
    return _facts(fixed, slice(None), {})


def timers_us(values: Sequence[bytes | None]) -> list[int]:
    """Where the timer set has each customer, from their stored bytes; NO_TIMER: nowhere."""
    timers: list[int] = _fixed(_of_this_layout([value or b"" for value in values]))["timer_us"].tolist()
    return timers


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
    for mask in np.unique(masks[masks > 0]).tolist():
        mine = np.flatnonzero(masks == mask)
        together = np.dtype([(name, SECTIONS[name]) for name in _named(mask)])
        stop = FIXED_BYTES + together.itemsize
        found = np.frombuffer(b"".join([stored[row][FIXED_BYTES:stop] for row in mine.tolist()]), dtype=together)
        for name in _named(mask):
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


def _needed(dimensions: Iterable[str]) -> list[str]:
    """The sections that these dimensions look at, in their order."""
    wanted = {each for name in dimensions for each in (name, *NEEDS.get(name, ()))}
    return [name for name in SECTIONS if name in wanted]


def _named(mask: int) -> list[str]:
    return [name for bit, name in enumerate(SECTIONS) if mask >> bit & 1]


def _untold(name: str, count: int) -> npt.NDArray[np.void]:
    """A section of `count` customers nothing is known of."""
    section = np.zeros(count, dtype=SECTIONS[name])
    for each in section.dtype.names or ():
        section[each] = UNTOLD.get(each, 0)
    return section


def _told(name: str, section: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Who has anything in a section."""
    told: npt.NDArray[np.bool_] = (_as_bytes(section) != _as_bytes(_untold(name, 1))).any(axis=1)
    return told


def _as_bytes(part: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
    """Rows of structures as rows of bytes."""
    return np.ascontiguousarray(part).view(np.uint8).reshape(len(part), part.itemsize)


SECTION_BYTES: Final = np.array([section.itemsize for section in SECTIONS.values()])


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


def _no_ids(rows: int, memory: int) -> npt.NDArray[np.uint64]:
    return np.zeros((rows, REMEMBERED[memory]), dtype=np.uint64)
