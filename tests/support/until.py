"""Waiting for a condition, with a bound."""

import time
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 300.0
"""No condition of these tests takes a tenth of it on an idle machine, and only a test that fails waits so long."""
POLL_S: Final = (0.05, 1.0)
"""The shortest and the longest pause. Between them it is as long as the look was: half of a core is left to others."""


def until(condition: Callable[[], object], what: str | Callable[[], str], patience_s: float = PATIENCE_S) -> None:
    """Poll until the condition is true; `what` says what is wrong where it does not become so.

    Raises:
        TimeoutError: it did not within `patience_s`.
    """
    stop = time.monotonic() + patience_s
    asked = time.monotonic()
    while not condition():
        now = time.monotonic()
        if now > stop:
            raise TimeoutError(f"{what if isinstance(what, str) else what()} (after {patience_s:.0f} s)")
        time.sleep(min(max(now - asked, POLL_S[0]), POLL_S[1]))
        asked = time.monotonic()
