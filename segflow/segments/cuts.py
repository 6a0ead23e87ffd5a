"""What is found in the population: the thresholds of RFM's scores and of value's classes; parameters of models."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from segflow.segments.parameters import CDNOW, Parameters

Score = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuts:
    """Ascending thresholds, four a score and two of value; a value crosses a threshold when value >= threshold.

    Quantile cuts count the cuts *strictly below* a value; on integers that is value >= cut + 1, so both
    kinds are kept in this one form. `version` is 0 for fixed cuts, else the control record's offset.
    """

    version: int
    recency_us: tuple[int, int, int, int]  # idle time, microseconds
    frequency: tuple[int, int, int, int]  # orders that count
    monetary_minor: tuple[int, int, int, int]  # net money, minor units
    value_minor: tuple[int, int]  # net money from which on a customer is b, and a
    clv_minor: tuple[int, int] = (2500, 10_000)  # worth from which on a customer is medium, and high
    parameters: Parameters = CDNOW  # of the purchase models


CUT_FIELDS: Final = frozenset(field.name for field in fields(Cuts)) - {"version"}
"""What a model may look at."""


def crossed(values: npt.NDArray[np.int64], thresholds: tuple[int, ...]) -> Score:
    """How many of the ascending `thresholds` each value has reached, shape kept."""
    return np.searchsorted(np.asarray(thresholds, dtype=np.int64), values, side="right").astype(np.int64)
