"""The stopwatch of `python -m benchmarks steps`."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import stopwatch
from benchmarks.stopwatch import Border, Stopwatch


class Worked:
    """What takes time, by a clock of its own."""

    now_s = 0.0

    def inner(self, seconds: float) -> float:
        """Takes so long."""
        type(self).now_s += seconds
        return seconds

    async def outer(self, seconds: float) -> float:
        """Takes so long itself, and twice that inside."""
        type(self).now_s += seconds
        await asyncio.sleep(0)
        return self.inner(seconds) + self.inner(seconds)

    def fails(self) -> None:
        """Takes a second, and fails."""
        type(self).now_s += 1.0
        raise ValueError("failed")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stopwatch looks at Worked's clock."""
    monkeypatch.setattr(stopwatch, "perf_counter", lambda: Worked.now_s)
    yield
    Worked.now_s = 0.0


BORDERS = (Border(Worked, "inner", "in"), Border(Worked, "outer", "out"), Border(Worked, "fails", "failed"))


def test_what_a_function_takes_inside_another_counts_once() -> None:
    """The steps add up to the time that went by, and functions give what they gave; `take` begins anew."""
    watch = Stopwatch()
    with watch.timing(BORDERS):
        assert asyncio.run(Worked().outer(2.0)) == 4.0
        assert Worked().inner(1.0) == 1.0
    assert watch.take() == {"in": 5.0, "out": 2.0}
    assert not watch.take()


def test_a_function_that_fails_is_timed_too() -> None:
    """What comes after it counts as ever."""
    watch = Stopwatch()
    with watch.timing(BORDERS):
        with pytest.raises(ValueError, match="failed"):
            Worked().fails()
        Worked().inner(1.0)
    assert watch.take() == {"failed": 1.0, "in": 1.0}


def test_functions_are_their_own_again_afterwards() -> None:
    """Outside the block nothing is timed."""
    before: dict[str, Any] = dict(vars(Worked))
    with Stopwatch().timing(BORDERS):
        assert vars(Worked)["inner"] is not before["inner"]
    assert all(vars(Worked)[name] is before[name] for name in ("inner", "outer", "fails"))
