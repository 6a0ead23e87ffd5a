"""churn: how likely is it that we lost this one, by MBG/NBD (Batislam, Denizel, Filiztekin 2007).

How the contract is read:

- `none` means no order that counts. Refunds change nothing else: the days of purchases stay.
- `t_x` and T are exact times, not days: with two purchases three hours apart on one day x = 0 and t_x = 3 h.
- P at a threshold has reached it (`P >= 0.7`). So a crossing is the first whole second (UTC) at which P is below it;
  where the curve meets the threshold on a whole second, that is the next one.
- The label compares `at` with the crossings and with nothing else. Within the second that a crossing is rounded over
  the higher label holds, although P is below already.
- A crossing before the latest purchase was passed before that purchase: nothing is special about it, as `at` is never
  before the latest purchase.
- Thresholds for one-time buyers hold for x = 0: one day of purchases, however many they were.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache

from mpmath import MPContext, mpf

from tests.oracle.facts import Facts
from tests.oracle.rules import OracleRules
from tests.oracle.times import EPOCH, MICROSECOND, moments_after

# r, alpha, a, b; alpha in weeks.
MbgNbd = tuple[Fraction, Fraction, Fraction, Fraction]
# x, and of the first and the latest purchase the microseconds since the Unix epoch.
Rhythm = tuple[int, int, int]

WEEK_US = timedelta(weeks=1) // MICROSECOND
SECOND_US = 1_000_000
# Beyond it is never: the year 10000 begins.
CALENDAR_END_S = (datetime.max.replace(tzinfo=EPOCH.tzinfo) - EPOCH) // timedelta(seconds=1) + 1
# Digits computed with, and how close to a whole second, in seconds, is on it. A time that matters has 12 digits before
# the point.
DIGITS = 60
ON_A_SECOND_S = Fraction(1, 10**30)

mp = MPContext()
mp.dps = DIGITS


@lru_cache(maxsize=1000)
def number(value: Fraction | int) -> mpf:
    """Return an exact number to 60 digits."""
    fraction = Fraction(value)
    return mp.mpf(fraction.numerator) / fraction.denominator


def rhythm_of(facts: Facts) -> Rhythm:
    """Return x and the times of the first and the latest purchase, of which there must be one."""
    first, latest = facts.purchase_times[0], facts.purchase_times[-1]
    return facts.days.count - 1, (first - EPOCH) // MICROSECOND, (latest - EPOCH) // MICROSECOND


def alive(x: int, t_x: mpf, t: mpf, parameters: MbgNbd) -> mpf:
    """Return P(alive) at T = t, both times in weeks since the first purchase."""
    r, alpha, a, b = map(number, parameters)
    return 1 / (1 + a / (b + x) * ((alpha + t) / (alpha + t_x)) ** (r + x))


def thresholds_of(facts: Facts, rules: OracleRules) -> tuple[Fraction, Fraction, Fraction]:
    """Return the least P of low, medium and high."""
    if facts.days.count == 1 and rules.churn_one_time_thresholds is not None:
        return rules.churn_one_time_thresholds
    return rules.churn_thresholds


@lru_cache(maxsize=10_000)
def crossing_s(rhythm: Rhythm, p: Fraction, parameters: MbgNbd) -> mpf:
    """Return when P is p, in seconds since the Unix epoch, by the contract's closed form."""
    x, first_us, latest_us = rhythm
    r, alpha, a, b = map(number, parameters)
    t_x = number(Fraction(latest_us - first_us, WEEK_US))
    weeks = (alpha + t_x) * ((1 / number(p) - 1) * (b + x) / a) ** (1 / (r + x)) - alpha
    return number(Fraction(first_us, SECOND_US)) + weeks * Fraction(WEEK_US, SECOND_US).numerator


def first_second_after(moment_s: mpf) -> int | None:
    """Return the first whole second after a moment, None beyond the calendar."""
    if moment_s >= CALENDAR_END_S:
        return None
    nearest = int(mp.nint(moment_s))
    second = nearest if mp.fabs(moment_s - nearest) <= number(ON_A_SECOND_S) else int(mp.floor(moment_s))
    return second + 1 if second + 1 < CALENDAR_END_S else None


def crossing_seconds(facts: Facts, rules: OracleRules) -> list[int | None]:
    """Return the first whole second below each threshold, from the highest down; None for never."""
    rhythm = rhythm_of(facts)
    return [first_second_after(crossing_s(rhythm, p, rules.mbg_nbd)) for p in thresholds_of(facts, rules)]


def churn_label(facts: Facts, at: datetime, rules: OracleRules) -> str:
    """Return the label of the first crossing that is still ahead."""
    if facts.orders == 0:
        return "none"
    for label, second in zip(("low", "medium", "high"), crossing_seconds(facts, rules), strict=True):
        if second is None or (at - EPOCH) // MICROSECOND < second * SECOND_US:
            return label
    return "lost"


def churn_instants(facts: Facts, rules: OracleRules) -> Iterator[datetime]:
    """Yield the crossings."""
    if facts.orders:
        for second in crossing_seconds(facts, rules):
            if second is not None:
                yield from moments_after(EPOCH, [timedelta(seconds=second)])
