"""One customer at one moment, to be explained, and the sentences that models have in common.

Each model explains its labels in its own words: the facts, the thresholds, the arithmetic. The label itself always
comes from the model; the words are chosen to match it.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from segflow.schemas.currency import minor_digits
from segflow.segments.cuts import Cuts
from segflow.segments.facts import Fact, Facts
from segflow.segments.instant import DAY_US, UNKNOWN, to_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One customer. facts: one row. label: the model's at `at_us`. labels: of every dimension, by name."""

    facts: Facts
    at_us: int
    cuts: Cuts
    label: str | None
    labels: dict[str, str | None]
    currency: str

    def fact(self, name: str) -> int:
        """One fact as a whole number."""
        return int(getattr(self.facts, name)[0])

    def own(self, fact: Fact[Any]) -> int:
        """A fact of one model as a whole number."""
        return int(self.facts[fact][0])

    @property
    def idle_us(self) -> int:
        """Time since the latest purchase."""
        return self.at_us - self.fact("last_us")

    def money(self, minor: int) -> str:
        """Money in major units, with its currency."""
        digits = minor_digits(self.currency)
        return f"{Decimal(minor).scaleb(-digits):,.{digits}f} {self.currency}"

    def orders_said(self) -> str:
        """A sentence: the number of orders that count, as purchases less full refunds."""
        purchases, refunds = self.fact("purchases"), self.fact("full_refunds")
        text = f"{_count(self.fact('orders'), 'order')} that count: {_count(purchases, 'purchase')}"
        return f"{text} less {_count(refunds, 'full refund')}." if refunds else f"{text}."

    def idle_said(self) -> str:
        """A sentence: the time of the latest purchase, and the time since."""
        if self.fact("last_us") == UNKNOWN:
            return "Never bought anything."
        return f"The latest purchase was on {to_text(self.fact('last_us'))}: idle for {span(self.idle_us)}."


def span(time_us: int) -> str:
    """A time for a person: days where there are any, else hours, minutes and seconds."""
    days, rest = divmod(abs(time_us), DAY_US)
    sign = "-" if time_us < 0 else ""
    if not rest:
        return f"{sign}{days} d"
    hours = timedelta(microseconds=rest)
    return f"{sign}{days} d {hours}" if days else f"{sign}{hours}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
