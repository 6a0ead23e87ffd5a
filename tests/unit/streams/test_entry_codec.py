"""The short form of a journal's entries: what is read is what was written, and it is short."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.commit.plan import Plan, plan_for
from segflow.schemas.settings import Settings
from segflow.segments.instant import NEVER, UNKNOWN
from segflow.state.head import Head
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.entry_codec import decode, encode

WALL_US = 1_790_000_000_123_456
OWNER = "0123456789abcdef"
SHORT_BYTES = 80
"""With the batch's 61, its record's 15 and 78 of the transaction's marker it is a third of what JSON took."""


def entry(plan: Plan, **more: Any) -> Entry:
    """Of a commit that follows another of its owner."""
    fields = {"purchases_from": 1_234_560, "interactions_from": 987_654, "changes": 2, "dead_letters": 0}
    return Entry(**fields | {"plan": plan, "adopts": None, "digest": "f" * 32, "engine": 1} | more)


def plan(settings: Settings, **more: Any) -> Plan:
    """Of a worker with these settings."""
    made = plan_for(
        settings,
        Head(owner=OWNER, sequence=123_455),
        purchases_to=1_234_562,
        interactions_to=987_654,
        wall_us=WALL_US,
        rules=12,
        shards=8,
        leader_epochs=(3, 3, -1),
    )
    fields: dict[str, Any] = {"partitioner": "murmur2", "sweep_us": WALL_US - 512_345}
    return msgspec.structs.replace(made, **fields | more)


def test_an_entry_under_the_default_settings_is_short() -> None:
    """What its owner's first one says, and what follows from the settings, is left out."""
    usual = entry(plan(Settings.model_validate({})))
    value = encode(usual)
    assert len(value) <= SHORT_BYTES
    assert decode(value) == usual


numbers = st.integers(0, 2**40)
moments = st.sampled_from([UNKNOWN, NEVER, 0, WALL_US])


PLANNED: dict[str, st.SearchStrategy[Any]] = {
    "sequence": st.integers(1, 2**40),
    "purchases_to": numbers,
    "interactions_to": numbers,
    "handover_to": numbers,
    "future_us": moments,
    "sweep_us": moments,
    "live_from_us": moments,
    "erased_for_us": moments,
    "sweep_limit": numbers,
    "rules": numbers,
    "pages": numbers,
    "every_alert": st.booleans(),
    "partitioner": st.sampled_from(["murmur2", "crc32", None]),
    "nobody": st.lists(st.text(max_size=3)).map(tuple),
    "shards": numbers,
    "leader_epochs": st.sampled_from([(), (0, 1, -1)]),
    "record_max_bytes": st.none() | numbers,
    "owner": st.sampled_from([OWNER, OWNER.upper(), "", "ab", "somebody"]),
}
TOLD: dict[str, st.SearchStrategy[Any]] = {
    "purchases_from": numbers,
    "interactions_from": numbers,
    "handover_from": numbers,
    "changes": numbers,
    "dead_letters": numbers,
    "alerts": numbers,
    "handed_over": numbers,
    "adopts": st.none() | numbers,
    "digest": st.sampled_from(["0" * 32, "0" * 34, "", "7"]),
    "engine": numbers,
    "reset": st.booleans(),
    "reshard": numbers,
    "topic_ids": st.sampled_from([(), ("a", "b", "c")]),
    "segflow": st.sampled_from(["", "0.2.0"]),
}


def test_every_field_is_tried_below() -> None:
    """A field that comes later has its place in the short form, or is lost."""
    assert {*PLANNED, "wall_us"} == set(Plan.__struct_fields__)
    assert {*TOLD, "plan"} == set(Entry.__struct_fields__)


@given(st.fixed_dictionaries({}, optional=PLANNED), st.fixed_dictionaries({}, optional=TOLD))
def test_whatever_is_written_is_read(planned: dict[str, Any], told: dict[str, Any]) -> None:
    """Under any settings, and where the short form cannot say it."""
    written = entry(plan(Settings.model_validate({}), **planned), **told)
    assert decode(encode(written)) == written


@pytest.mark.parametrize("value", [b"", b"\x93\x01", b"\x90", b"\x91\x02", b"7", b"\xff", b"{}"])
def test_other_bytes_are_no_entry(value: bytes) -> None:
    """One error, whatever they are: the reader says which record it is."""
    with pytest.raises(msgspec.MsgspecError):
        decode(value)
