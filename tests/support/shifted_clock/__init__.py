"""A wrong wall clock for a process: see sitecustomize.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def wrong_clock(shift_s: float) -> Iterator[None]:
    """Processes started within have a wall clock that is ahead by so much."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.setenv("CLOCK_SHIFT_S", str(shift_s))
        yield
