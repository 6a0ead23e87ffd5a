"""value: who brings the money, an ABC analysis.

How the contract is read:

- `none` comes first and means no order that counts, whatever the money: who returned everything is `none` also where a
  part of the money was kept.
- A class is reached at its cut (`money >= cut`). Everybody else with an order is `c`: also who brought nothing, and who
  costs money.
- Population cuts look at the living with an order that counts, as the quintiles do ("the same scan"), and among those
  at positive net money only.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction

from tests.oracle.facts import Facts, units_in_one
from tests.oracle.rules import OracleRules


def value_label(facts: Facts, _at: datetime, rules: OracleRules) -> str:
    """Return the best class whose cut the net money reaches; silence never changes it."""
    if facts.orders == 0:
        return "none"
    for label, cut in zip(("a", "b"), rules.value_cuts, strict=True):
        if facts.money_minor >= cut * units_in_one(rules.minor_digits):
            return label
    return "c"


def is_counted(facts: Facts, at: datetime, rules: OracleRules) -> bool:
    """Return whether a customer's money goes into the population's cuts at that moment."""
    if facts.orders == 0 or facts.money_minor <= 0:
        return False
    return at - facts.purchase_times[-1] < rules.churned_after


def population_cuts(
    moneys_minor: Iterable[int], rules: OracleRules, ratio: Fraction | None = None
) -> tuple[Fraction, ...]:
    """Return the least money of A and of B, in minor units, of a population's positive net money.

    From the most valuable down, a class ends with the customer (all of the same money with it) or the bin at which the
    running share reaches the class's share. Without a ratio every amount is a bin of its own: the exact cuts. With one,
    bin k holds the amounts from ratio^k on to below ratio^(k + 1), and a cut is the lower end of its bin. The bin that
    reaches a share holds the amount that reaches it, so cut <= exact cut < cut * ratio.

    ValueError where there is no money.
    """
    moneys = list(moneys_minor)
    ends = [] if ratio is None else bin_ends(max(moneys, default=0), ratio)
    sums: Counter[Fraction] = Counter()
    for money in moneys:
        sums[ends[bisect_right(ends, money) - 1] if ends else Fraction(money)] += money
    total = sum(sums.values())
    if not total:
        raise ValueError("a population without money has no share of it")
    cuts: list[Fraction] = []
    for share in rules.value_shares:
        running = 0
        for least in sorted(sums, reverse=True):
            running += sums[least]
            if running >= share * total:
                cuts.append(least)
                break
    return tuple(cuts)


def bin_ends(most: int, ratio: Fraction) -> list[Fraction]:
    """Return the lower ends of the bins, from one minor unit to the bin of the largest amount."""
    ends = [Fraction(1)]
    while ends[-1] * ratio <= most:
        ends.append(ends[-1] * ratio)
    return ends
