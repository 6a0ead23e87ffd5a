"""What doctor says of an input by its latest records."""

import pytest

from segflow.engine.columns.events import Unusable
from segflow.operations.usable_share import usable
from segflow.streams.kafka.key_placement import KeySample


def samples(good: int, bad: int) -> list[KeySample]:
    """So many latest records of an input."""
    why = Unusable("not_json", "is not JSON: x")
    return [
        KeySample(topic="in", partition=0, offset=offset, key=b"c", refused=why, value=b"id,name,total")
        if offset < bad
        else KeySample(topic="in", partition=0, offset=offset, key=b"c")
        for offset in range(good + bad)
    ]


@pytest.mark.parametrize(
    ("good", "bad", "status"),
    [(3, 0, "OK"), (99, 1, "OK"), (1, 1, "OK"), (95, 5, "WARN"), (5, 5, "FAIL"), (0, 9, "FAIL")],
)
def test_the_share_of_what_cannot_be_used_decides(good: int, bad: int, status: str) -> None:
    """A stray one is none of doctor's business."""
    assert usable("in", samples(good, bad)).status == status


def test_reasons_and_what_it_looks_like_are_said() -> None:
    """Enough to know which producer to look at."""
    found = usable("in", samples(1, 3))
    assert "3 of the latest 4 records of in cannot be used: not_json 3. Such as partition 0 offset 0: is not JSON" in (
        found.message
    )
    assert "It looks like CSV (columns id, name, total)" in found.message
    assert "segflow dead-letters" in found.advice
