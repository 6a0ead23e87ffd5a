"""engagement: core member, active user, visitor, by what is left of everything done; and the curve's exact crossings.

How the contract is read:

- What counts is every interaction, by its kind, and every purchase, whatever was paid (also nothing), with the weight
  of the kind `purchase`. "Others" are interactions of other kinds. Refunds, feedback, payments and profiles have no
  kind and weigh nothing; a refund takes no weight away.
- S at a threshold has reached it (`S >= 20`). So a crossing is the first whole second (UTC) at which S is *below* the
  threshold: where the curve meets it exactly on a whole second, that is the next one, as the label holds there still.
- The label compares `at` with the crossings and with nothing else. Within the second that a crossing is rounded over,
  the higher label holds although S is below already: a purchase 0.3 s after another one gives `core` till the second
  is full.
- Crossings are those of the curve through all events known, early or late, so they do not depend on the order in which
  events came.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from functools import lru_cache

from tests.oracle.facts import Facts
from tests.oracle.rules import OracleRules
from tests.oracle.times import EPOCH, MICROSECOND, moments_after

# When, in microseconds since the Unix epoch, and with what weight.
Touches = tuple[tuple[int, Fraction], ...]

SECOND_US = 1_000_000
# Of all digits computed with, those that may be wrong: a time has 12 before the point, the rest is ample.
SPARE_DIGITS = 30


def engagement_label(facts: Facts, at: datetime, rules: OracleRules) -> str:
    """Return the label of the first crossing that is still ahead."""
    at_us = (at - EPOCH) // MICROSECOND
    for label, second in zip(("core", "active", "visitor"), crossing_seconds(facts, rules), strict=True):
        if second is not None and at_us < second * SECOND_US:
            return label
    return "dormant"


def engagement_instants(facts: Facts, rules: OracleRules) -> Iterator[datetime]:
    """Yield the crossings."""
    for second in crossing_seconds(facts, rules):
        if second is not None:
            yield from moments_after(EPOCH, [timedelta(seconds=second)])


def crossing_seconds(facts: Facts, rules: OracleRules) -> list[int | None]:
    """Return the first whole second below each threshold, from the highest down; None where nothing has weight."""
    touches, half_life_us = touches_of(facts, rules)
    return [first_second_below(touches, half_life_us, threshold) for threshold in rules.engagement_thresholds]


def touches_of(facts: Facts, rules: OracleRules) -> tuple[Touches, int]:
    """Return what has weight, one entry a moment, and the half-life in microseconds."""
    weights: dict[int, Fraction] = defaultdict(Fraction)
    for moment, kind in facts.kinds_seen:
        weights[(moment - EPOCH) // MICROSECOND] += rules.kind_weights.get(kind, rules.other_weight)
    touches = tuple(sorted((when_us, weight) for when_us, weight in weights.items() if weight))
    return touches, rules.half_life // MICROSECOND


@lru_cache(maxsize=10_000)
def first_second_below(touches: Touches, half_life_us: int, threshold: Fraction) -> int | None:
    """Return the first whole second since the Unix epoch at which S is below the threshold; None without touches.

    The crossing is computed with more and more digits until it is plain on which side of a whole second it lies, or it
    is shown to lie on it.
    """
    if not touches:
        return None
    digits = 60
    while True:
        crossing = crossing_s(touches, half_life_us, threshold, digits)
        nearest = int(crossing.to_integral_value())
        if abs(Fraction(crossing) - nearest) > Fraction(1, 10 ** (digits - SPARE_DIGITS)):
            return int(crossing.to_integral_value(ROUND_CEILING))
        if meets(touches, half_life_us, threshold, nearest):
            return nearest + 1
        digits *= 2


@lru_cache(maxsize=10_000)
def crossing_s(touches: Touches, half_life_us: int, threshold: Fraction, digits: int) -> Decimal:
    """Return when S equals the threshold, in seconds since the Unix epoch, to `digits` digits less the spare ones.

    With S(t0) the sum at the latest touch, S(t) = S(t0) * 2^-((t - t0) / half_life), so
    t = t0 + half_life * log2(S(t0) / threshold).
    """
    context = Context(prec=digits, Emin=-999_999_999, Emax=999_999_999)

    def decimal(number: Fraction | int) -> Decimal:
        fraction = Fraction(number)
        return context.divide(Decimal(fraction.numerator), Decimal(fraction.denominator))

    ln_2 = context.ln(Decimal(2))
    latest_us = touches[-1][0]
    total = Decimal(0)
    for when_us, weight in touches:
        half_lives = decimal(Fraction(when_us - latest_us, half_life_us))
        total = context.add(total, context.multiply(decimal(weight), context.exp(context.multiply(half_lives, ln_2))))
    log2_ratio = context.divide(context.ln(context.divide(total, decimal(threshold))), ln_2)
    after_latest_s = context.multiply(log2_ratio, decimal(Fraction(half_life_us, SECOND_US)))
    return context.add(decimal(Fraction(latest_us, SECOND_US)), after_latest_s)


def meets(touches: Touches, half_life_us: int, threshold: Fraction, second: int) -> bool:
    """Return whether S equals the threshold exactly at a whole second.

    The numbers 2^(k/n), k = 0 .. n - 1, are linearly independent over the rationals (x^n - 2 is irreducible, by
    Eisenstein's criterion). Weights are positive, so the sum can be rational only if every touch is a whole number of
    half-lives away; then it is a sum of fractions.
    """
    total = Fraction(0)
    for when_us, weight in touches:
        half_lives, rest = divmod(second * SECOND_US - when_us, half_life_us)
        if rest:
            return False
        total += weight * Fraction(2) ** -half_lives
    return total == threshold
