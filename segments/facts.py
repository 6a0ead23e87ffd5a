"""The facts of a customer that the models look at, as columns."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from segments.instant import UNKNOWN

Times = npt.NDArray[np.int64]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Facts of n customers, each a column of shape (n,).

    They are sums, counts and extremes, so the order in which events arrive leaves them the same.
    """

    first_us: Times  # first purchase, UNKNOWN without one
    last_us: Times  # latest purchase, UNKNOWN without one
    before_last_us: Times  # the purchase before the latest, UNKNOWN with fewer than two
    purchases: npt.NDArray[np.int64]
    full_refunds: npt.NDArray[np.int64]
    net_minor: npt.NDArray[np.int64]  # purchases less refunds, minor units, may be negative

    @property
    def orders(self) -> npt.NDArray[np.int64]:
        """Orders that count: purchases less full refunds, never below zero."""
        orders: npt.NDArray[np.int64] = np.maximum(self.purchases - self.full_refunds, 0)
        return orders

    def take(self, rows: npt.NDArray[np.intp]) -> Self:
        """The facts of `rows` only."""
        return type(self)(**{name: getattr(self, name)[rows] for name in self.__slots__})

    def idle_us(self, at_us: Times) -> Times:
        """Time since the latest purchase at `at_us`; 0 without a purchase."""
        idle_us: Times = at_us - np.where(self.last_us == UNKNOWN, at_us, self.last_us)
        return idle_us
