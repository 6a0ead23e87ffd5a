"""Event time as integer microseconds since the Unix epoch, UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.not_computable import NotComputableError

NEVER: Final = np.iinfo(np.int64).max
"""No deadline: compares later than every time there is."""
UNKNOWN: Final = np.iinfo(np.int64).min
"""No such time yet: compares earlier than every time there is."""

DAY_US: Final = 86_400_000_000
SECOND_US: Final = 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
LATEST_US: Final = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) - EPOCH) // MICROSECOND
"""The last instant that can be written down; a deadline beyond it is never."""
EXACT_S: Final = 1e-5
"""A computed crossing so close to a whole second is at it. Doubles tell this century's times to 4e-7 s, and what
comes of many of them is out by a few of those; without it a curve exactly at a threshold would fall on either side."""
FAR_S: Final = 2.0**40
"""Seconds beyond every time that can be written down, on either side of the epoch."""


def to_us(moment: datetime) -> int:
    """Microseconds since the epoch of an aware `moment`, exactly."""
    return (moment - EPOCH) // MICROSECOND


def duration_us(span: timedelta) -> int:
    """`span` in microseconds, exactly."""
    return span // MICROSECOND


def after(times_us: npt.NDArray[np.int64], span_us: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`times_us` + `span_us`, shape kept; UNKNOWN and whatever falls beyond the year 9999 give NEVER."""
    known = (times_us != UNKNOWN) & (times_us <= LATEST_US - span_us)
    return np.where(known, np.where(known, times_us, 0) + span_us, NEVER)


def second_after(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The first whole second after each of `seconds` since the epoch, in microseconds, shape kept.

    Where a curve crosses its threshold is computed, not exact, so a label that follows one holds until then
    (docs/architecture.md#what-a-model-must-guarantee). Whatever falls beyond the year 9999 gives NEVER.

    Raises:
        NotComputableError: one is not a number, which would compare as passed.
    """
    if np.isnan(seconds).any():
        raise NotComputableError("the end of a label is not a number: what is remembered of a customer is damaged")
    whole_s = np.clip(np.floor(seconds + EXACT_S) + 1, -FAR_S, FAR_S)
    ends_us = whole_s.astype(np.int64) * SECOND_US
    return np.where(ends_us > LATEST_US, NEVER, ends_us)


def to_text(time_us: int) -> str:
    """RFC 3339 in UTC: no fraction on whole seconds, else six digits."""
    moment = EPOCH + timedelta(microseconds=time_us)
    return moment.replace(tzinfo=None).isoformat() + "Z"
