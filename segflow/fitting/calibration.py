"""The calibration of a fit: purchases of a held-out period as predicted from before it, and as they came."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.fitting.sample import Sample
from segflow.segments.mbg_nbd import Values, expected_purchases
from segflow.segments.parameters import MbgNbd

FREQUENCIES: Final = 7
"""The last row by repeats is 7 or more, after 0 to 6, as in Fader and Hardie's figures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row: the customers with `repeats` repeat days before the held-out period."""

    repeats: str
    customers: int
    predicted: float  # mean of a customer's purchase days in the held-out period
    actual: float  # as `predicted`


def calibration(parameters: MbgNbd, before: Sample, later_days: Values, held_out_weeks: float) -> list[Row]:
    """Predicted and actual purchase days of the held-out period, by repeats before it. The last row is of everybody.

    Args:
        parameters: fitted on `before`.
        before: the n customers at the start of the period.
        later_days: distinct purchase days of each of them in the period, shape (n,).
        held_out_weeks: length of the period.
    """
    expected = expected_purchases(parameters, before.history, before.age_weeks, held_out_weeks)
    group = np.minimum(before.repeats, FREQUENCIES)
    rows = [
        _row(str(number) if number < FREQUENCIES else f"{number}+", group == number, expected, later_days)
        for number in range(FREQUENCIES + 1)
    ]
    return [row for row in rows if row.customers] + [_row("all", group >= 0, expected, later_days)]


def _row(repeats: str, mine: npt.NDArray[np.bool_], expected: Values, actual: Values) -> Row:
    customers = int(np.count_nonzero(mine))
    if not customers:
        return Row(repeats=repeats, customers=0, predicted=0.0, actual=0.0)
    return Row(
        repeats=repeats,
        customers=customers,
        predicted=float(expected[mine].mean()),
        actual=float(actual[mine].mean()),
    )
