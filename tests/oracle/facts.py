"""What is remembered of a customer, and how money is read and written."""

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.oracle.attributes import Attributes, tell
from tests.oracle.days import PurchaseDays
from tests.oracle.payment import Invoices
from tests.oracle.rules import OracleRules
from tests.oracle.times import read_time, written_time


@dataclass(frozen=True, kw_only=True)
class Movement:
    """What one purchase or refund adds, when: money in minor units, and orders that count."""

    at: datetime
    minor: int
    orders: int


@dataclass(kw_only=True)
class Facts:
    """Everything the models may look at; nothing in it depends on the order in which events came.

    All purchase times are kept, sorted, where the product keeps three of them: the first, the latest and the one
    before the latest can then be read off, and equal times count separately of themselves. In the same way every
    feedback (when, score) and every kind seen (when, kind; a purchase is of the kind `purchase`) is kept, sorted.
    Facts are kept whether or not a dimension that looks at them is configured.
    """

    purchase_times: list[datetime] = field(default_factory=list)
    full_refunds: int = 0
    money_minor: int = 0
    movements: list[Movement] = field(default_factory=list)
    discounted_purchases: int = 0
    feedbacks: list[tuple[datetime, Fraction]] = field(default_factory=list)
    kinds_seen: list[tuple[datetime, str]] = field(default_factory=list)
    days: PurchaseDays = field(default_factory=PurchaseDays)
    invoices: Invoices = field(default_factory=Invoices)
    attributes: Attributes = field(default_factory=dict)

    def apply(self, body: Mapping[str, Any], rules: OracleRules) -> None:
        """Add one event.

        A purchase carries a discount if its `discount` is more than nothing as money of its own currency: what rounds
        to zero minor units there (0.004 euro) is none, and what only converts to nothing (1 forint) is one.
        """
        moment = read_time(body["occurred_at"])
        if body["type"] == "purchase":
            insort(self.purchase_times, moment)
            insort(self.kinds_seen, (moment, "purchase"))
            paid_minor = minor_units(body["amount"], body, rules)
            self.money_minor += paid_minor
            self.movements.append(Movement(at=moment, minor=paid_minor, orders=1))
            self.days.apply(moment, paid_minor)
            self.discounted_purchases += own_minor_units(body.get("discount") or 0, body, rules) > 0
        elif body["type"] == "refund":
            refunded_minor, full = minor_units(body["amount"], body, rules), bool(body.get("full", False))
            self.money_minor -= refunded_minor
            self.full_refunds += full
            self.movements.append(Movement(at=moment, minor=-refunded_minor, orders=-full))
        elif body["type"] == "interaction":
            insort(self.kinds_seen, (moment, body["kind"]))
        elif body["type"] == "feedback":
            insort(self.feedbacks, (moment, exact(body["score"])))
        elif body["type"] == "payment":
            self.invoices.apply(body)
        elif body["type"] == "profile":
            tell(self.attributes, body["attributes"], moment)

    @property
    def orders(self) -> int:
        """How many orders count."""
        return max(0, len(self.purchase_times) - self.full_refunds)

    @property
    def last_purchase_at(self) -> datetime | None:
        """The latest purchase, refunded or not."""
        return self.purchase_times[-1] if self.purchase_times else None

    def shown(self, rules: OracleRules) -> dict[str, Any]:
        """Return the facts as a change shows them."""
        times = self.purchase_times
        return {
            "first_purchase_at": written_time(times[0]) if times else None,
            "last_purchase_at": written_time(times[-1]) if times else None,
            "frequency": self.orders,
            "monetary": written_money(self.money_minor, rules.minor_digits),
        }


def minor_units(money: str | int | Decimal, body: Mapping[str, Any], rules: OracleRules) -> int:
    """Return an amount of this event in minor units of the settings' currency.

    The amount is rounded to its own currency's minor unit first, and again after the conversion. Python's `round` of an
    exact Fraction is half-even. The discount is not looked at: `amount` is what was paid, after it.
    """
    currency: str = body.get("currency") or rules.currency
    own = own_minor_units(money, body, rules)
    if currency == rules.currency:
        return own
    rounded = Fraction(own, units_in_one(rules.rate_digits.get(currency, 2)))
    return round(rounded * exact(rules.rates[currency]) * units_in_one(rules.minor_digits))


def own_minor_units(money: str | int | Decimal, body: Mapping[str, Any], rules: OracleRules) -> int:
    """Return an amount of this event in minor units of the currency it is in."""
    currency: str = body.get("currency") or rules.currency
    digits = rules.minor_digits if currency == rules.currency else rules.rate_digits.get(currency, 2)
    return round(exact(money) * units_in_one(digits))


def units_in_one(digits: int) -> int:
    """Return how many minor units make one major unit."""
    return int(10**digits)


def exact(number: str | int | Decimal) -> Fraction:
    """Return a decimal as an exact fraction. TypeError for a float, which is no decimal any more."""
    if isinstance(number, float):
        message = f"money must not pass through a float: {number}"
        raise TypeError(message)
    return Fraction(Decimal(number))


def written_money(minor: int, digits: int) -> str:
    """Write minor units as major units with exactly `digits` decimals; zero has no sign."""
    sign = "-" if minor < 0 else ""
    figures = str(abs(minor)).zfill(digits + 1)
    return f"{sign}{figures}" if digits == 0 else f"{sign}{figures[:-digits]}.{figures[-digits:]}"


def compared_at(facts: Facts, at: datetime, cut_at: datetime | None) -> datetime:
    """Return when to look at what ages: now, or the moment of a population cut, or of a purchase after the cut."""
    if cut_at is None:
        return at
    return max([cut_at, *facts.purchase_times[-1:]])
