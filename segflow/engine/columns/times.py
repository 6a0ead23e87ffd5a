"""RFC 3339 times of a whole batch, read and written in numpy."""

from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.instant import DAY_US, SECOND_US, UNKNOWN

SECONDS_LENGTH: Final = len("2026-03-02T09:15:00Z")
LONGEST: Final = SECONDS_LENGTH + 10
"""A point and nine decimals: what is longer is rare enough for the slow path."""
SEPARATORS: Final = ((4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"))
FRACTION_DIGITS: Final = 6  # microseconds; finer digits are cut off
DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)

LENGTH: Final = len("2026-03-02T09:15:00.000000Z")
"""Of a time as `write` writes it."""
WRITTEN: Final = np.dtype(
    [("day", "S10"), ("minute", "S7"), ("second", "S3"), ("ms", "S3"), ("us", "S3"), ("end", "S1")]
)
FIRST_DAY: Final = int(np.datetime64("1990-01-01", "D").astype(np.int64))
DATES: Final = np.datetime_as_string(np.arange("1990-01-01", "2060-01-01", dtype="datetime64[D]")).astype("S10")
"""The days on which commerce happens; others are written one by one."""
MINUTES: Final = np.array([b"T%02d:%02d:" % divmod(number, 60) for number in range(24 * 60)])
SECONDS: Final = np.array([b"%02d." % number for number in range(60)])
THOUSANDTHS: Final = np.array([b"%03d" % number for number in range(1000)])

Int = npt.NDArray[np.int64]


def read(texts: list[str]) -> Int:
    """Microseconds since the epoch, shape (n,); UNKNOWN where a text is not plainly `2026-03-02T09:15:00[.f]Z`.

    UNKNOWN does not mean that the text is wrong, only that this reader is not sure.
    """
    result = np.full(len(texts), UNKNOWN, dtype=np.int64)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    for length in np.unique(lengths).tolist():
        if not (length == SECONDS_LENGTH or SECONDS_LENGTH + 2 <= length <= LONGEST):
            continue
        rows = np.flatnonzero(lengths == length)
        joined = "".join(texts if len(rows) == len(texts) else [texts[row] for row in rows.tolist()])
        if joined.isascii():
            digits = np.frombuffer(joined.encode("ascii"), dtype=np.uint8).reshape(len(rows), length)
            result[rows] = _read_equal_lengths(digits, length)
        elif len(rows) < len(texts) or len(texts) > 1:
            for row in rows.tolist():  # somebody's text is not ASCII: each on its own
                result[row] = read([texts[row]])[0]
    return result


def _read_equal_lengths(characters: npt.NDArray[np.uint8], length: int) -> Int:
    """`read` for ASCII texts of one length, shape (n, length)."""
    fine = characters[:, length - 1] == ord("Z")
    for place, separator in SEPARATORS:
        fine &= characters[:, place] == ord(separator)
    digits = characters - np.uint8(ord("0"))  # wraps below "0", so that one comparison finds every non-digit
    places = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18]
    fraction_us: Int | int = 0
    if length > SECONDS_LENGTH:
        fine &= characters[:, SECONDS_LENGTH - 1] == ord(".")
        decimals = range(SECONDS_LENGTH, length - 1)
        places += decimals
        fraction_us = sum(
            digits[:, place].astype(np.int64) * 10 ** (FRACTION_DIGITS - 1 - k)
            for k, place in enumerate(decimals[:FRACTION_DIGITS])
        )
    fine &= (digits[:, places] <= 9).all(axis=1)
    year = _number(digits, 0, 4)
    month = np.where(fine, _number(digits, 5, 7), 1)
    day = _number(digits, 8, 10)
    hour, minute, second = _number(digits, 11, 13), _number(digits, 14, 16), _number(digits, 17, 19)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    fine &= (year >= 1) & (month >= 1) & (month <= 12)
    longest = DAYS[np.where(fine, month, 0)] + (leap & (month == 2))
    fine &= (day >= 1) & (day <= longest) & (hour <= 23) & (minute <= 59) & (second <= 59)
    seconds = hour * 3600 + minute * 60 + second
    return np.where(fine, _days(year, month, day) * DAY_US + seconds * SECOND_US + fraction_us, UNKNOWN)


def _number(digits: npt.NDArray[np.uint8], start: int, stop: int) -> Int:
    value = digits[:, start].astype(np.int64)
    for place in range(start + 1, stop):
        value = value * 10 + digits[:, place]
    return value


def _days(year: Int, month: Int, day: Int) -> Int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant, days_from_civil)."""
    year = year - (month <= 2)
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    days: Int = era * 146_097 + day_of_era - 719_468
    return days


def write(times_us: Int) -> npt.NDArray[np.uint8]:
    """ASCII of each time as `2026-03-02T09:15:00.000000Z`, shape (n, LENGTH). Years 1 to 9999."""
    rows = np.empty(len(times_us), dtype=WRITTEN)
    minutes = times_us // 60_000_000
    days = minutes // 1440
    rest_us = (times_us - minutes * 60_000_000).astype(np.int32)  # half as wide, twice as quick to divide
    second = rest_us // 1_000_000
    rest_us -= second * 1_000_000
    ms = rest_us // 1000
    rows["day"] = _dates(days)
    rows["minute"] = MINUTES[minutes - days * 1440]
    rows["second"] = SECONDS[second]
    rows["ms"] = THOUSANDTHS[ms]
    rows["us"] = THOUSANDTHS[rest_us - ms * 1000]
    rows["end"] = b"Z"
    return rows.view(np.uint8).reshape(len(times_us), LENGTH)


def _dates(days: Int) -> npt.NDArray[np.bytes_]:
    """`2026-03-02` of days since 1970-01-01."""
    places = days - FIRST_DAY
    if len(places) and places.min() >= 0 and places.max() < len(DATES):
        return DATES[places]
    return np.datetime_as_string(days.astype("datetime64[D]")).astype("S10")
