"""The wall clock, in the unit of every moment that segflow keeps."""

import time


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
