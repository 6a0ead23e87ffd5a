"""The purchases and refunds of a log as columns, and the population at any moment of the log."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from segflow.fitting.sample import Sample
from segflow.segments.facts import Times
from segflow.segments.instant import DAY_US
from segflow.segments.mbg_nbd import WEEK_US, Values


@dataclass(frozen=True, kw_only=True, slots=True)
class PurchaseLog:
    """n purchases and refunds, sorted by customer, then by time; columns of shape (n,)."""

    customers: npt.NDArray[np.int64]  # numbered from 0
    times_us: Times
    money: Values  # major units; of refunds below zero
    buys: npt.NDArray[np.bool_]  # a purchase, not a refund
    names: tuple[str, ...]  # customer ids, by number

    @classmethod
    def of(cls, customer_ids: list[str], times_us: Times, money: Values, buys: npt.NDArray[np.bool_]) -> Self:
        """The log of n events in any order; columns of shape (n,)."""
        numbers: dict[str, int] = {}
        customers = np.array([numbers.setdefault(each, len(numbers)) for each in customer_ids], dtype=np.int64)
        order = np.lexsort((times_us, customers))
        return cls(
            customers=customers[order],
            times_us=times_us[order],
            money=money[order],
            buys=buys[order],
            names=tuple(numbers),
        )

    def at(self, until_us: int) -> "Population":
        """The customers who bought by `until_us`, as they were at that moment."""
        seen = self.times_us <= until_us
        bought = seen & self.buys
        count = len(self.names)
        first_us = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first_us, self.customers[bought], self.times_us[bought])
        last_us = np.full(count, np.iinfo(np.int64).min)
        np.maximum.at(last_us, self.customers[bought], self.times_us[bought])
        days = self._days(bought)
        on_first_day = bought & (self.times_us // DAY_US == first_us[self.customers] // DAY_US)
        money = self._sum(seen) - self._sum(on_first_day)
        rows = np.flatnonzero(days)
        repeats = days[rows].astype(np.float64) - 1
        return Population(
            rows=rows,
            last_us=last_us[rows],
            sample=Sample(
                repeats=repeats,
                recency_weeks=(last_us[rows] - first_us[rows]) / WEEK_US,
                age_weeks=(until_us - first_us[rows]) / WEEK_US,
                repeat_money=np.where(repeats > 0, money[rows], 0.0),
            ),
        )

    def days_between(self, after_us: int, until_us: int) -> Values:
        """Distinct purchase days of each customer in (after_us, until_us], shape (customers,) by number."""
        return self._days(self.buys & (self.times_us > after_us) & (self.times_us <= until_us)).astype(np.float64)

    def _days(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Distinct days of the chosen purchases, by customer number. `chosen`: shape (n,)."""
        customers, days = self.customers[chosen], self.times_us[chosen] // DAY_US
        fresh = np.ones(len(days), dtype=np.bool_)
        fresh[1:] = (customers[1:] != customers[:-1]) | (days[1:] != days[:-1])
        return np.bincount(customers[fresh], minlength=len(self.names))

    def _sum(self, chosen: npt.NDArray[np.bool_]) -> Values:
        total = np.bincount(self.customers[chosen], self.money[chosen], minlength=len(self.names))
        return total.astype(np.float64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """n customers as they were at one moment; columns of shape (n,)."""

    rows: npt.NDArray[np.intp]  # their numbers in the log
    last_us: Times  # the latest purchase
    sample: Sample
