"""What the changes so far say: pure, so that any list of changes gives the same picture."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

LATEST: Final = 40
"""Changes kept to show: more than any terminal has lines for."""
RATE_OVER_S: Final = 2.0
"""Changes a second are counted over so long: short enough to be of now, long enough to be read."""

Change = dict[str, Any]
"""A change as published, decoded; see segflow.schemas.change.Change."""


@dataclass(slots=True, kw_only=True)
class Dashboard:
    """The picture so far.

    Args:
        source: what is sent, for people.
        total: events there are.
        labels: each dimension's labels, in the order to show.
    """

    source: str
    total: int
    labels: Mapping[str, Sequence[str]]
    sent: int = 0
    changes: int = 0
    clock: str = ""  # the latest effective_at: how far event time has got
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
        """Customers of whom a change was seen."""
        return len(self._customers)

    def add(self, change: Change) -> None:
        """The next change."""
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
            self.latest.popleft()  # a hundred who go the same way at once would hide all others
        self.latest.appendleft(change)
        if dimension == "lifecycle":
            self.at_risk.pop(customer_id, None)
            if label == "at_risk":
                self.at_risk[customer_id] = change
                self.ever_at_risk.add(customer_id)
                self.gone_quiet.appendleft(change)

    def mark(self, now_s: float) -> None:
        """Note the time, for `per_second`."""
        self._marks.append((now_s, self.changes))
        while len(self._marks) > 2 and self._marks[1][0] <= now_s - RATE_OVER_S:
            self._marks.popleft()
        first_s, first = self._marks[0]
        self.per_second = (self.changes - first) / (now_s - first_s) if now_s > first_s else 0.0


def _move(change: Change) -> tuple[str, ...]:
    return change["dimension"], str(change["previous"]), str(change["current"])
