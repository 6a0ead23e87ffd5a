"""The state of the picture: a fold of the changes so far. Pure, so that the same changes give the same picture."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

LATEST: Final = 40
"""Changes kept to show: more than any terminal has lines."""
RATE_OVER_S: Final = 2.0
"""The span over which changes a second are counted: short enough to be current, long enough to be read."""

Change = dict[str, Any]
"""A change as published, decoded; see segflow.schemas.change.Change."""


@dataclass(slots=True, kw_only=True)
class Dashboard:
    """The picture so far.

    Args:
        source: the name of the history, for people.
        total: events of the history.
        labels: each dimension's labels, in the order to show.
    """

    source: str
    total: int
    labels: Mapping[str, Sequence[str]]
    sent: int = 0
    changes: int = 0
    clock: str = ""  # the latest effective_at: the event time reached
    per_second: float = 0.0  # changes
    moved_to: Counter[tuple[str, str]] = field(default_factory=Counter)  # changes by (dimension, label)
    population: Counter[tuple[str, str]] = field(default_factory=Counter)  # customers now, by (dimension, label)
    latest: deque[Change] = field(
        default_factory=lambda: deque(maxlen=LATEST)
    )  # the newest first, each unlike the next
    gone_quiet: deque[Change] = field(default_factory=lambda: deque(maxlen=LATEST))  # to at_risk, the newest first
    ever_at_risk: set[str] = field(default_factory=set)  # customers
    at_risk: dict[str, Change] = field(default_factory=dict)  # customer -> the change that made them so, while they are
    _label_of: dict[tuple[str, str], str] = field(default_factory=dict)  # (customer, dimension)
    _customers: set[str] = field(default_factory=set)
    _marks: deque[tuple[float, int]] = field(default_factory=deque)  # second, changes by then

    @property
    def customers(self) -> int:
        """The number of customers with a change so far."""
        return len(self._customers)

    def add(self, change: Change) -> None:
        """Add the next change."""
        customer_id, dimension, label = change["customer_id"], change["dimension"], str(change["current"])
        before = self._label_of.get((customer_id, dimension))
        if before is not None:
            self.population[dimension, before] -= 1
        self._label_of[customer_id, dimension] = label
        self.population[dimension, label] += 1
        self.moved_to[dimension, label] += 1
        self._customers.add(customer_id)
        self.changes += 1
        self.clock = max(self.clock, change["effective_at"])
        if self.latest and _move(self.latest[0]) == _move(change):
            self.latest.popleft()  # a hundred equal moves at once would hide all others
        self.latest.appendleft(change)
        if dimension == "lifecycle":
            self.at_risk.pop(customer_id, None)
            if label == "at_risk":
                self.at_risk[customer_id] = change
                self.ever_at_risk.add(customer_id)
                self.gone_quiet.appendleft(change)

    def mark(self, now_s: float) -> None:
        """Note the time of a monotonic clock, from which `per_second` follows."""
        self._marks.append((now_s, self.changes))
        while len(self._marks) > 2 and self._marks[1][0] <= now_s - RATE_OVER_S:
            self._marks.popleft()
        first_s, first = self._marks[0]
        self.per_second = (self.changes - first) / (now_s - first_s) if now_s > first_s else 0.0


def _move(change: Change) -> tuple[str, ...]:
    return change["dimension"], str(change["previous"]), str(change["current"])
