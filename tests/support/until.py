"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 300.0
"""No condition of these tests takes a tenth of it on an idle machine, and only a test that fails waits so long."""
POLL_S: Final = 0.05


def until(condition: Callable[[], object], what: str | Callable[[], str], patience_s: float = PATIENCE_S) -> None:
    """Poll until the condition is true; `what` says what is wrong where it does not become so.

    Raises:
        TimeoutError: it did not within `patience_s`.
    """
    stop = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > stop:
            raise TimeoutError(f"{what if isinstance(what, str) else what()} (after {patience_s:.0f} s)")
        time.sleep(POLL_S)
