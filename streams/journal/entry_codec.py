"""The bytes of a journal's entry: JSON where it says all, and a short form where it follows another of its owner.

A shard with few events makes a commit for each of them, so entries are most of what the journal grows by.
"""

import struct
from typing import Any, Final

import msgspec

from segflow.engine.commit.execute import DIGEST_BYTES
from segflow.engine.commit.plan import Plan
from segflow.segments.instant import DAY_US, SECOND_US, UNKNOWN
from segflow.streams.journal.entry import Entry

LAYOUT: Final = 1
"""Of the short form."""
JSON_BEGINS: Final = b"{"
OWNER_BYTES: Final = 8
_FIXED: Final = struct.Struct(f"<q{OWNER_BYTES}s{DIGEST_BYTES}s")
"""The worker's clock, the owner, the digest."""
_USUAL: Final[dict[str, Any]] = {
    "future_us": 300 * SECOND_US,
    "live_from_us": -DAY_US,
    "sweep_limit": 500,
    "pages": 1,
    "every_alert": False,
    "partitioner": "murmur2",
    "erased_for_us": 730 * DAY_US,
    "nobody": ("anonymous", "guest", "unknown", "undefined", "null", "none", "0"),
    "record_max_bytes": 65_536,
}
"""Fields of a plan that follow from the settings, and their values under the default ones; times from the worker's
clock on. They are part of the layout: left out where they are so, whatever the defaults are by then."""
_FROM_CLOCK: Final = ("future_us", "live_from_us")
_LAST: Final[tuple[Any, ...]] = (0, 0, 0, 0, 0, None, {})
"""The values of the last fields, from `handover_from` on, that are left out at an entry's end."""
_JSON: Final = msgspec.json.Decoder(Entry)
_SHORT: Final = msgspec.msgpack.Decoder(list[Any])


def encode(entry: Entry) -> bytes:
    """The entry's bytes: short where the topics are those of the commit before."""
    plan = entry.plan
    if entry.topic_ids or entry.reset or entry.reshard or entry.segflow:
        return msgspec.json.encode(entry)
    owner, digest = _unhexed(plan.owner, OWNER_BYTES), _unhexed(entry.digest, DIGEST_BYTES)
    if owner is None or digest is None:
        return msgspec.json.encode(entry)
    fixed = _FIXED.pack(plan.wall_us, owner, digest)
    needed = (
        LAYOUT,
        fixed,
        plan.sequence,
        entry.purchases_from,
        plan.purchases_to - entry.purchases_from,
        entry.interactions_from,
        plan.interactions_to - entry.interactions_from,
        None if plan.sweep_us == UNKNOWN else plan.wall_us - plan.sweep_us,
        plan.rules,
        plan.shards,
        entry.engine,
        plan.leader_epochs,
        entry.changes,
    )
    mostly_so = [
        entry.handover_from,
        plan.handover_to - entry.handover_from,
        entry.dead_letters,
        entry.alerts,
        entry.handed_over,
        entry.adopts,
        _unusual(plan),
    ]
    while mostly_so and mostly_so[-1] == _LAST[len(mostly_so) - 1]:
        mostly_so.pop()
    return msgspec.msgpack.encode([*needed, *mostly_so])


def decode(value: bytes) -> Entry:
    """The entry of these bytes.

    Raises:
        msgspec.MsgspecError: they are none, or of a later layout.
    """
    if value[:1] == JSON_BEGINS:
        return _JSON.decode(value)
    try:
        return _entry(*_SHORT.decode(value))
    except (TypeError, ValueError, struct.error) as error:
        raise msgspec.ValidationError(f"no entry: {error}") from error


def _unhexed(text: str, size: int) -> bytes | None:
    """The bytes that `text` says in hexadecimal; None: it is of another form than the worker writes."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if len(found) == size and found.hex() == text else None


def _usual(wall_us: int) -> dict[str, Any]:
    return _USUAL | {name: wall_us + _USUAL[name] for name in _FROM_CLOCK}


def _unusual(plan: Plan) -> dict[str, Any]:
    """The fields that differ from what is usual, by name."""
    return {name: here for name, value in _usual(plan.wall_us).items() if (here := getattr(plan, name)) != value}


def _entry(
    layout: int,
    fixed: bytes,
    sequence: int,
    purchases_from: int,
    purchases: int,
    interactions_from: int,
    interactions: int,
    unswept_us: int | None,
    rules: int,
    shards: int,
    engine: int,
    leader_epochs: list[int],
    changes: int,
    *mostly_so: Any,
) -> Entry:
    """The entry of a short form's fields."""
    if layout != LAYOUT:
        raise ValueError(f"layout {layout}, and this version knows {LAYOUT}")
    handover_from, handover, dead_letters, alerts, handed_over, adopts, unusual = (*mostly_so, *_LAST[len(mostly_so) :])
    wall_us, owner, digest = _FIXED.unpack(fixed)
    plan = {
        "sequence": sequence,
        "purchases_to": purchases_from + purchases,
        "interactions_to": interactions_from + interactions,
        "handover_to": handover_from + handover,
        "wall_us": wall_us,
        "sweep_us": UNKNOWN if unswept_us is None else wall_us - unswept_us,
        "rules": rules,
        "shards": shards,
        "leader_epochs": leader_epochs,
        "owner": owner.hex(),
    }
    return Entry(
        plan=msgspec.convert(_usual(wall_us) | plan | unusual, Plan),
        purchases_from=purchases_from,
        interactions_from=interactions_from,
        handover_from=handover_from,
        changes=changes,
        dead_letters=dead_letters,
        alerts=alerts,
        handed_over=handed_over,
        adopts=adopts,
        digest=digest.hex(),
        engine=engine,
    )
