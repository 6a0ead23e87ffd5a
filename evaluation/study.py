"""The figures of rules and scores: customers as the engine held them at the cut-off, and their purchases after it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from evaluation.measures import Estimate, Flags, Values, auc, roc
from evaluation.replay import Alarms, Replay
from segflow.fitting.purchase_log import PurchaseLog
from segflow.segments.cuts import crossed
from segflow.segments.instant import DAY_US, NEVER, SECOND_US
from segflow.segments.mbg_nbd import WEEK_US, History, expected_purchases, p_alive
from segflow.segments.models.rfm import SCORES
from segflow.segments.purchase_days import PURCHASE_DAYS

IDLE, ALIVE, GRID, EXPECTED = "idle days", "P(alive)", "grid, R then FM", "expected purchases"
SECONDS_BITS: Final = 40  # of a key, for its second: until the year 36812
POINTS: Final = 101
"""Points of a curve in the results: more than the eye can tell apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """n customers, columns of shape (n,) in the order of `seen.ids`."""

    seen: Replay
    weeks: int  # of the period after the cut-off, and after each alarm
    lost: Flags  # no purchase in the weeks after the cut-off
    days: npt.NDArray[np.int64]  # distinct purchase days
    scores: dict[str, Values]  # at the cut-off; higher: likelier lost
    purchases: npt.NDArray[np.int64]  # `_keys` of all, those after the cut-off too; ascending, each once

    @classmethod
    def of(cls, seen: Replay, log: PurchaseLog, weeks: int) -> Self:
        """The study of what the engine held at the cut-off, and what the log has of the `weeks` after."""
        facts, cuts, at_us = seen.facts, seen.rules.cuts, seen.at_us
        number_of = {name: number for number, name in enumerate(log.names)}
        order = np.array([number_of[each] for each in seen.ids], dtype=np.int64)
        row_of = np.full(len(log.names), -1, dtype=np.int64)
        row_of[order] = np.arange(len(order))
        known = log.buys & (row_of[log.customers] >= 0)
        history, age_weeks = History.of(facts), (at_us - facts.first_us) / WEEK_US
        idle_us = facts.idle_us(np.full(len(order), at_us))
        worth = 2 + crossed(facts.orders, cuts.frequency) + crossed(facts.net_minor, cuts.monetary_minor)  # F + M
        grid = crossed(idle_us, cuts.recency_us) * (SCORES + 1) - (worth + 1) // 2
        model = cuts.parameters.mbg_nbd
        return cls(
            seen=seen,
            weeks=weeks,
            lost=log.days_between(at_us, at_us + weeks * WEEK_US)[order] == 0,
            days=facts[PURCHASE_DAYS].astype(np.int64),
            scores={
                IDLE: idle_us / DAY_US,
                ALIVE: -p_alive(model, history, age_weeks),
                GRID: grid.astype(np.float64),
                EXPECTED: -expected_purchases(model, history, age_weeks, float(weeks)),
            },
            purchases=np.unique(_keys(row_of[log.customers[known]], log.times_us[known])),
        )

    def rule(self, alarms: Alarms, days: int) -> dict[str, Any]:
        """The figures of a rule's alarms, of customers with at least `days` purchase days.

        Of the alarms in force at the cut-off: the share that is of lost customers (precision), the share of the lost
        that has one (recall), the age in days of the right ones (lead), and its mean over all the lost, none counting 0
        (warning). Of all alarms raised: their number, and the number of false ones, after which the customer bought
        again within `weeks`.
        """
        chosen = self.days >= days
        raised_us = alarms.in_force_us(len(self.lost))
        held_days = np.where(
            raised_us == NEVER, 0.0, (self.seen.at_us - np.minimum(raised_us, self.seen.at_us)) / DAY_US
        )
        held = chosen & (raised_us != NEVER)
        gone = chosen & self.lost
        right = held & gone
        false, raised = self._raised(alarms, days)
        return {
            "alarms": int(held.sum()),
            "precision": asdict(Estimate.of_share(int(right.sum()), int(held.sum()))),
            "recall": asdict(Estimate.of_share(int(right.sum()), int(gone.sum()))),
            "of_others": float((held & ~gone).sum() / (chosen & ~self.lost).sum()),
            "lead_days": dict(
                zip(("quarter", "median", "three_quarters"), np.percentile(held_days[right], (25, 50, 75)), strict=True)
            ),
            "warning_days": float(held_days[gone].mean()),
            "raised": raised,
            "false": false,
        }

    def _raised(self, alarms: Alarms, days: int) -> tuple[int, int]:
        """The number of false alarms, and of all raised, of customers with `days` purchase days at the alarm."""
        keys = _keys(alarms.customers, alarms.raised_us)
        following = np.searchsorted(self.purchases, keys)
        such = following - np.searchsorted(self.purchases, alarms.customers << SECONDS_BITS) >= days
        then = np.append(self.purchases, NEVER)[following]
        came_back = then <= keys + self.weeks * (WEEK_US // SECOND_US)
        return int((such & came_back).sum()), int(such.sum())

    def areas(self, days: int) -> dict[str, Any]:
        """The area under each score's ROC curve, and its excess over that of idle days.

        Of customers with at least `days` purchase days.
        """
        chosen = self.days >= days
        found = {name: auc(values[chosen], self.lost[chosen]) for name, values in self.scores.items()}
        return {
            name: {"auc": asdict(each.estimate), "more_than_idle": asdict(each.less(found[IDLE]))}
            for name, each in found.items()
        }

    def band(self, low: int, high: int | None) -> dict[str, Any]:
        """The areas among the customers with `low` to `high` purchase days; None: without an upper end."""
        chosen = (self.days >= low) & (self.days <= (high or self.days.max()))
        lost = self.lost[chosen]
        return {
            "days": f"{low}" if high == low else f"{low} or more" if high is None else f"{low} to {high}",
            "customers": int(chosen.sum()),
            "lost": float(lost.mean()),
            "p_alive": float(-self.scores[ALIVE][chosen].mean()),
            "auc": {name: auc(values[chosen], lost).value for name, values in self.scores.items()},
        }

    def roc(self, days: int) -> dict[str, dict[str, list[float]]]:
        """The ROC curve of each score, thinned to POINTS, of customers with at least `days` purchase days."""
        chosen = self.days >= days
        lines = {}
        for name, values in self.scores.items():
            others, gone = roc(values[chosen], self.lost[chosen])
            kept = np.unique(np.searchsorted(others, np.linspace(0, 1, POINTS)).clip(max=len(others) - 1))
            lines[name] = {"others": others[kept].tolist(), "lost": gone[kept].tolist()}
        return lines

    def as_precise(self, precision: float, days: int) -> int:
        """The fewest days of silence whose alarm is at least as precise at the cut-off as `precision`.

        Raises:
            ValueError: no number of days is.
        """
        chosen = self.days >= days
        idle_days, lost = self.scores[IDLE][chosen], self.lost[chosen]
        for wait in range(1, int(idle_days.max()) + 1):
            if lost[idle_days >= wait].mean() >= precision:
                return wait
        raise ValueError("no fixed number of days is as precise")


def crossing(points: Sequence[dict[str, Any]], name: str, at: str, where: float) -> float:
    """The value of `name` where `at` equals `where`, by linear interpolation between the points of a sweep."""
    ordered = sorted(points, key=lambda point: float(point[at]))
    return float(np.interp(where, [point[at] for point in ordered], [point[name] for point in ordered]))


def _keys(rows: npt.NDArray[np.int64], times_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Customer and second in one number, which sorts by customer, then by time."""
    return (rows << SECONDS_BITS) + times_us // SECOND_US
