"""A population in the variables of the purchase models."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from segflow.segments.facts import Facts
from segflow.segments.mbg_nbd import WEEK_US, History, Values
from segflow.segments.purchase_days import FIRST_DAY_MINOR


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """n customers with a purchase, as columns of shape (n,): weeks, and major units of the settings' currency."""

    repeats: Values  # x: distinct purchase days less one
    recency_weeks: Values  # t_x: first to last purchase
    age_weeks: Values  # T: first purchase to the time of the sample
    repeat_money: Values  # net money of the repeat days together; 0 without one

    def __len__(self) -> int:
        return len(self.repeats)

    @property
    def history(self) -> History:
        """The variables of MBG/NBD but for the age."""
        return History(repeats=self.repeats, recency_weeks=self.recency_weeks)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Self:
        """The customers of `rows`."""
        return type(self)(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @classmethod
    def of(cls, facts: Facts, at_us: int, minor_per_major: int) -> Self:
        """The sample of customers with a purchase, at `at_us`.

        `repeat_money` is 0 where the facts lack the money of the first day.
        """
        history = History.of(facts)
        first_day_minor = facts.get(FIRST_DAY_MINOR, facts.net_minor)
        repeat_minor = np.subtract(facts.net_minor, first_day_minor, dtype=np.float64)  # it may be beyond 64 bits
        return cls(
            repeats=history.repeats,
            recency_weeks=history.recency_weeks,
            age_weeks=np.maximum((at_us - facts.first_us) / WEEK_US, history.recency_weeks),
            repeat_money=np.where(history.repeats > 0, repeat_minor / minor_per_major, 0),
        )

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The customers of all parts."""
        return cls(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)})


class FitError(Exception):
    """A population that gives no parameters. The message says why."""
