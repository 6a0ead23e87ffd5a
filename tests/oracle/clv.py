"""clv: what is this customer still worth, by MBG/NBD and Gamma-Gamma.

How the contract is read:

- `none` means no order that counts.
- x, t_x and T are those of churn. A repeat day is one of the x distinct days after the first; what was spent on them is
  all net money less what was paid on the first purchase day. Refunds belong to no day: they come off the repeat days,
  also where the refunded order was one of the first day. x is the number of purchases of Gamma-Gamma, too.
- Without repeat days, or with a mean of zero or less, the money expected is the population's mean.
- A class is reached at its cut (`clv >= cut`; major units). A crossing is the first whole second (UTC) after the latest
  purchase at which clv is below the cut; the label compares `at` with it and with nothing else. A clv that is below
  the cut at the latest purchase has passed it. A refund moves the crossings, also into the past.
- Terciles compare everybody at the moment of the cut, or at the latest purchase where that is later: a class is reached
  where clv is at its cut at that moment. So silence moves nobody, and there are no crossings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from math import exp, log

from mpmath import mpf

from tests.oracle.churn import CALENDAR_END_S, SECOND_US, WEEK_US, MbgNbd, Rhythm, alive, mp, number, rhythm_of
from tests.oracle.facts import Facts, compared_at, units_in_one
from tests.oracle.rules import OracleRules
from tests.oracle.times import EPOCH, MICROSECOND, moments_after

# p, q, gamma.
GammaGamma = tuple[Fraction, Fraction, Fraction]

NEAR_ONE = (0.8, 1.25)
"""The circle on which a series in w stops to converge, and what is near it."""
A_IS_NOT_ONE = 1e-6
GUARD_DIGITS = 20
"""More than the difference to 1 and the division lose under A_IS_NOT_ONE."""


def expected_purchases(x: int, t_x: mpf, t: mpf, horizon: mpf, parameters: MbgNbd) -> mpf:
    """Return how many purchases are expected within the horizon after T = t; all times in weeks.

    As published (Wagner and Hoppe 2008), with C = a + b + x, A = r + x and z = horizon / (alpha + T + horizon), it is
    P(alive) * C / (a - 1) * (1 - (1 - z)^A * 2F1(A, b + x + 1; C; z)).
    By Pfaff's transformation the product is 2F1(A, a - 1; C; -w), w = horizon / (alpha + T), of which
    1 - 2F1 = (a - 1) / C * A * w * 3F2(1, A + 1, a; 2, C + 1; -w), term by term. So nothing is divided by a - 1 here,
    but where w is about 1: there mpmath takes fifty times as long for the 3F2.
    """
    r, alpha, a, b = map(number, parameters)
    w = horizon / (alpha + t)
    if NEAR_ONE[0] < w < NEAR_ONE[1] and mp.fabs(a - 1) > A_IS_NOT_ONE:
        with mp.workdps(mp.dps + GUARD_DIGITS):
            if_alive = (a + b + x) / (a - 1) * (1 - mp.hyp2f1(r + x, a - 1, a + b + x, -w))
    else:
        if_alive = (r + x) * w * mp.hyp3f2(1, r + x + 1, a, 2, a + b + x + 1, -w)
    return alive(x, t_x, t, parameters) * if_alive


def expected_money(x: int, repeat_money: Fraction, parameters: GammaGamma) -> mpf:
    """Return what a purchase is expected to bring, given what the repeat days brought together, in major units."""
    p, q, gamma = map(number, parameters)
    if x == 0 or repeat_money <= 0:
        return p * gamma / (q - 1)
    return p * (gamma + number(repeat_money)) / (p * x + q - 1)


@dataclass(frozen=True)
class Prospects:
    """All that a customer's clv depends on but the moment: hashable, so that crossings are searched once."""

    rhythm: Rhythm
    repeat_money: Fraction
    horizon: timedelta
    mbg_nbd: MbgNbd
    gamma_gamma: GammaGamma

    @lru_cache(maxsize=100_000)  # noqa: B019 - of the class, for a test's process
    def clv(self, at_us: Fraction | int) -> mpf:
        """Return what the customer is worth at a moment, microseconds since 1970, not before the latest purchase."""
        x, first_us, latest_us = self.rhythm
        t_x, t = number(Fraction(latest_us - first_us, WEEK_US)), number(Fraction(at_us - first_us) / WEEK_US)
        horizon = number(Fraction(self.horizon // MICROSECOND, WEEK_US))
        purchases = expected_purchases(x, t_x, t, horizon, self.mbg_nbd)
        return purchases * expected_money(x, self.repeat_money, self.gamma_gamma)


def prospects_of(facts: Facts, rules: OracleRules) -> Prospects:
    """Return what a customer with a purchase promises."""
    repeat_minor = facts.money_minor - facts.days.first_minor
    return Prospects(
        rhythm=rhythm_of(facts),
        repeat_money=Fraction(repeat_minor, units_in_one(rules.minor_digits)),
        horizon=rules.clv_horizon,
        mbg_nbd=rules.mbg_nbd,
        gamma_gamma=rules.gamma_gamma,
    )


@lru_cache(maxsize=10_000)
def first_second_below(cut: Fraction, prospects: Prospects) -> int | None:
    """Return the first whole second after the latest purchase at which clv is below the cut; None for never.

    By bisection, as clv only falls, around a guess. Where it is below from the latest purchase on, that one's own
    second is returned, which has passed.
    """
    first = prospects.rhythm[2] // SECOND_US
    if prospects.clv(prospects.rhythm[2]) < cut:
        return first
    if prospects.clv(CALENDAR_END_S * SECOND_US) >= cut:
        return None

    def is_below(second: int) -> bool:
        return second > first and (second >= CALENDAR_END_S or prospects.clv(second * SECOND_US) < cut)

    above = below = guessed_second(cut, prospects)
    step = 1
    while is_below(above):
        above, step = max(above - step, first), step * 2
    while not is_below(below):
        below, step = min(below + step, CALENDAR_END_S), step * 2
    while below - above > 1:
        middle = (above + below) // 2
        if is_below(middle):
            below = middle
        else:
            above = middle
    return below


def guessed_second(cut: Fraction, prospects: Prospects) -> int:
    """Return about when clv meets the cut, by secants: over the logarithm of time, that of clv is nearly a line.

    How good it is decides only how long the search takes.
    """
    first_us, latest_us = prospects.rhythm[1:]
    begin_us = first_us - int(prospects.mbg_nbd[1] * WEEK_US)

    def height(log_time: float) -> float:
        at_us = min(max(begin_us + int(exp(log_time)), latest_us), CALENDAR_END_S * SECOND_US)
        return float(mp.log(prospects.clv(at_us) / number(cut)))

    time = log(latest_us - begin_us)
    rise, later = height(time), time + 0.5
    for _ in range(20):
        fall = height(later)
        if fall == rise or abs(later - time) < 1e-9:
            break
        time, rise, later = later, fall, min(later - fall * (later - time) / (fall - rise), 50.0)
    guess = (begin_us + int(exp(later))) // SECOND_US
    return min(max(guess, latest_us // SECOND_US), CALENDAR_END_S)


def crossing_seconds(facts: Facts, rules: OracleRules) -> list[int | None]:
    """Return the first whole second below each cut, from the highest down; None for never."""
    return [first_second_below(Fraction(cut), prospects_of(facts, rules)) for cut in rules.clv_cuts]


def clv_label(facts: Facts, at: datetime, rules: OracleRules) -> str:
    """Return the label of the first crossing that is still ahead."""
    if facts.orders == 0:
        return "none"
    classes = zip(("high", "medium"), rules.clv_cuts, strict=True)
    if rules.clv_cut_at is not None:
        moment_us = (compared_at(facts, at, rules.clv_cut_at) - EPOCH) // MICROSECOND
        worth = prospects_of(facts, rules).clv(moment_us)
        return next((label for label, cut in classes if worth >= number(Fraction(cut))), "low")
    for label, second in zip(("high", "medium"), crossing_seconds(facts, rules), strict=True):
        if second is None or (at - EPOCH) // MICROSECOND < second * SECOND_US:
            return label
    return "low"


def clv_instants(facts: Facts, rules: OracleRules) -> Iterator[datetime]:
    """Yield the crossings; nothing under terciles."""
    if facts.orders and rules.clv_cut_at is None:
        for second in crossing_seconds(facts, rules):
            if second is not None:
                yield from moments_after(EPOCH, [timedelta(seconds=second)])
