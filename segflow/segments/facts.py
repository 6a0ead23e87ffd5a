"""The facts of a customer that the models look at, as columns."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt

from segflow.segments.attributes import ENTRY, Attributes
from segflow.segments.instant import UNKNOWN

Times = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Labels = npt.NDArray[np.uint8]
ScalarT = TypeVar("ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Fact(Generic[ScalarT]):
    """A fact that one model keeps of each customer, declared in the model's file."""

    name: str  # in the record; no two models have one of the same name
    kind: type[ScalarT]
    start: float = 0  # before anything is known

    @property
    def stored(self) -> np.dtype[ScalarT]:
        """Little-endian, as records have it."""
        return np.dtype(self.kind).newbyteorder("<")


NO_WINDOW: Final[npt.NDArray[np.void]] = np.zeros(0, dtype=np.void)
"""The window of settings that need none."""
NO_ATTRIBUTES: Final = Attributes((), np.zeros((0, 0), dtype=ENTRY))


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
    own: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)  # by name, those of models (see `Fact`)
    window: npt.NDArray[np.void] = field(default_factory=lambda: NO_WINDOW)  # (n, k): see segments/window.py
    attributes: Attributes = NO_ATTRIBUTES  # of profiles, those that rules look at
    _computed: dict[Hashable, npt.NDArray[np.generic]] = field(default_factory=dict, repr=False, compare=False)

    def __getitem__(self, fact: Fact[ScalarT]) -> npt.NDArray[ScalarT]:
        """A fact of one model.

        Raises:
            KeyError: no dimension that is on needs it.
        """
        return cast("npt.NDArray[ScalarT]", self.own[fact.name])

    def get(self, fact: Fact[ScalarT], default: npt.NDArray[ScalarT]) -> npt.NDArray[ScalarT]:
        """A fact of one model, or `default` where no dimension that is on needs it."""
        return cast("npt.NDArray[ScalarT]", self.own.get(fact.name, default))

    @property
    def orders(self) -> npt.NDArray[np.int64]:
        """Orders that count: purchases less full refunds, never below zero."""
        orders: npt.NDArray[np.int64] = np.maximum(self.purchases - self.full_refunds, 0)
        return orders

    def take(self, rows: npt.NDArray[np.intp]) -> Self:
        """The facts of `rows` only."""
        return type(self)(
            **{name: getattr(self, name)[rows] for name in COLUMNS},
            own={name: column[rows] for name, column in self.own.items()},
            window=self.window if self.window is NO_WINDOW else self.window[rows],
            attributes=self.attributes if self.attributes is NO_ATTRIBUTES else self.attributes[rows],
            _computed={what: each[rows] for what, each in self._computed.items()},
        )

    def once(self, what: Hashable, compute: Callable[[], npt.NDArray[ScalarT]]) -> npt.NDArray[ScalarT]:
        """The result of `compute`, shape (n, …): computed at the first call and then kept, as facts never change.

        Args:
            what: the key under which it is kept. It must hold everything the result depends on besides the facts.
            compute: gives one row for each customer, from that customer's facts alone.
        """
        found = self._computed.get(what)
        if found is None:
            found = self._computed[what] = compute()
        return cast("npt.NDArray[ScalarT]", found)

    def idle_us(self, at_us: Times) -> Times:
        """Time since the latest purchase at `at_us`; 0 without a purchase."""
        idle_us: Times = at_us - np.where(self.last_us == UNKNOWN, at_us, self.last_us)
        return idle_us

    def compared_us(self, at_us: Times, cut_us: int | None) -> Times:
        """The moments at which to look at what ages: `at_us`, or that of a population cut, where there is one.

        Who bought after the cut is looked at as of the latest purchase.
        """
        if cut_us is None:
            return at_us
        moments_us: Times = np.maximum(self.last_us, cut_us)
        return moments_us


COLUMNS: Final = ("first_us", "last_us", "before_last_us", "purchases", "full_refunds", "net_minor")
"""Facts that are kept whatever the settings."""
