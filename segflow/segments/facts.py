"""The facts of a customer that the models look at, as columns."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt

from segflow.segments.attributes import ENTRY, Attributes
from segflow.segments.instant import UNKNOWN

Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Labels = npt.NDArray[np.uint8]
ScalarT = TypeVar("ScalarT", bound=np.generic)

NOT_KEPT: Final[npt.NDArray[np.generic]] = np.zeros(0)
"""In the place of a column that no dimension of the settings needs."""


NO_ATTRIBUTES: Final = Attributes((), np.zeros((0, 0), dtype=ENTRY))


def _not_kept() -> npt.NDArray[ScalarT]:
    return cast("npt.NDArray[ScalarT]", NOT_KEPT)  # of every type, as it has no row


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Facts of n customers, each a column of shape (n,), or NOT_KEPT where the settings' dimensions do not need it.

    They are sums, counts and extremes, so the order in which events arrive leaves them the same.
    """

    first_us: Times  # first purchase, UNKNOWN without one
    last_us: Times  # latest purchase, UNKNOWN without one
    before_last_us: Times  # the purchase before the latest, UNKNOWN with fewer than two
    purchases: npt.NDArray[np.int64]
    full_refunds: npt.NDArray[np.int64]
    net_minor: npt.NDArray[np.int64]  # purchases less refunds, minor units, may be negative
    discounted: npt.NDArray[np.uint32] = field(default_factory=_not_kept)  # price: purchases that had a discount
    latest_slot: npt.NDArray[np.int32] = field(default_factory=_not_kept)  # cadence: see segments/models/cadence.py
    slot_mask: npt.NDArray[np.uint64] = field(default_factory=_not_kept)
    feedback_us: Times = field(default_factory=_not_kept)  # satisfaction: the latest feedback, UNKNOWN without one
    score: npt.NDArray[np.uint8] = field(default_factory=_not_kept)  # its score, 0 to 10
    latest_day: npt.NDArray[np.int32] = field(default_factory=_not_kept)  # churn: see segments/purchase_days.py
    day_mask: npt.NDArray[np.uint64] = field(default_factory=_not_kept)
    purchase_days: npt.NDArray[np.uint32] = field(default_factory=_not_kept)  # distinct days with a purchase
    first_day_minor: npt.NDArray[np.int64] = field(default_factory=_not_kept)  # clv: paid on the first purchase day
    level_log2: npt.NDArray[np.float64] = field(
        default_factory=_not_kept
    )  # engagement: see segments/models/engagement.py
    settled_invoices: npt.NDArray[np.uint32] = field(default_factory=_not_kept)  # payment: invoices paid, ever
    late_invoices: npt.NDArray[np.uint32] = field(default_factory=_not_kept)  # those of them paid after they were due
    next_due_us: Times = field(default_factory=_not_kept)  # the first due date of open invoices, NEVER without one
    window: npt.NDArray[np.void] = field(default_factory=_not_kept)  # (n, k): see segments/window.py
    attributes: Attributes = NO_ATTRIBUTES  # of profiles, those that rules look at
    _computed: dict[Hashable, npt.NDArray[np.generic]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def orders(self) -> npt.NDArray[np.int64]:
        """Orders that count: purchases less full refunds, never below zero."""
        orders: npt.NDArray[np.int64] = np.maximum(self.purchases - self.full_refunds, 0)
        return orders

    def take(self, rows: npt.NDArray[np.intp]) -> Self:
        """The facts of `rows` only."""
        columns: dict[str, Any] = {name: getattr(self, name) for name in COLUMNS}
        absent = (NOT_KEPT, NO_ATTRIBUTES)
        taken = {name: each if any(each is one for one in absent) else each[rows] for name, each in columns.items()}
        return type(self)(**taken, _computed={what: each[rows] for what, each in self._computed.items()})

    def once(self, what: Hashable, compute: Callable[[], npt.NDArray[ScalarT]]) -> npt.NDArray[ScalarT]:
        """What `compute` makes of these facts, shape (n, …), computed when first asked for; facts are never written to.

        Args:
            what: names it: all that it depends on beside the facts.
            compute: gives a row a customer, each by that customer's facts alone.
        """
        found = self._computed.get(what)
        if found is None:
            found = self._computed[what] = compute()
        return cast("npt.NDArray[ScalarT]", found)

    def idle_us(self, at_us: Times) -> Times:
        """Time since the latest purchase at `at_us`; 0 without a purchase."""
        idle_us: Times = at_us - np.where(self.last_us == UNKNOWN, at_us, self.last_us)
        return idle_us


COLUMNS: Final = tuple(name for name in Facts.__slots__ if not name.startswith("_"))
