"""The filters of `segflow dead-letters`: each takes what it names, and all together what all of them name."""

from typing import Any

import pytest

from segflow.operations.dead_letters.letters import Content, Letter, Wanted

BASE: dict[str, Any] = {"reason": "r", "kind": "bad_field", "topic": "in", "partition": 0, "offset": 1, "key": b"c1"}


def letter(found_us: int = 10, **fields: Any) -> Letter:
    """A dead letter of c1 with these fields."""
    content = Content(**(BASE | {"value": b'{"customer_id": "c2"}'} | fields))
    return Letter(offset=0, found_us=found_us, content=content, replayed=False)


@pytest.mark.parametrize(
    ("wanted", "other"),
    [
        (Wanted(kinds=frozenset({"bad_field", "future"})), {"kind": "not_json"}),
        (Wanted(topic="in"), {"topic": "other"}),
        (Wanted(partition=0), {"partition": 1}),
        (Wanted(offset=1), {"offset": 2}),
        (Wanted(customer="c1"), {"key": b"c3"}),
        (Wanted(customer="c2"), {"value": b'{"customer_id": "c3"}'}),
        (Wanted(customer="c1"), {"key": None, "value": None}),
        (Wanted(customer="c2"), {"value": b"\xff" + b"[" * 100_000}),
        (Wanted(since_us=10), {"found_us": 9}),
        (Wanted(until_us=11), {"found_us": 11}),
    ],
)
def test_a_filter_takes_what_it_names_and_nothing_else(wanted: Wanted, other: dict[str, Any]) -> None:
    """A customer is found by the key, and by what can be read of the value."""
    assert wanted.has(letter())
    assert not wanted.has(letter(**other))


def test_all_filters_have_to_hold() -> None:
    """Without any, everything is wanted."""
    assert Wanted().has(letter())
    assert not Wanted(topic="in", partition=1).has(letter())
