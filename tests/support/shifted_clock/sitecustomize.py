"""A process whose wall clock is wrong: put this folder on PYTHONPATH, and the shift in seconds into CLOCK_SHIFT_S."""

import os
import time

SHIFT_S = float(os.environ["CLOCK_SHIFT_S"])
_time, _time_ns = time.time, time.time_ns


def _shifted() -> float:
    return _time() + SHIFT_S


def _shifted_ns() -> int:
    return _time_ns() + int(SHIFT_S * 1e9)


time.time, time.time_ns = _shifted, _shifted_ns
