"""Values taken from the population: thresholds of RFM's scores, of value's and clv's classes; parameters of models.

Population cuts compare everybody at one moment, that of the cut. A quantity that ages is measured as of that moment,
not as of the moment at which a label is asked for. So silence moves nobody between two versions of such cuts.
"""

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

    Recency is cut by idle time where cuts are fixed, and by instants where they are of the population. An idle time
    grows while a customer is silent, the latest purchase stays.
    """

    version: int
    recency_us: tuple[int, int, int, int]  # idle time from which on R is 4, 3, 2, 1; where there are no instants
    frequency: tuple[int, int, int, int]  # orders that count
    monetary_minor: tuple[int, int, int, int]  # net money, minor units
    value_minor: tuple[int, int]  # net money from which on a customer is b, and a
    clv_minor: tuple[int, int] = (2500, 10_000)  # worth from which on a customer is medium, and high
    parameters: Parameters = CDNOW  # of the purchase models
    recency_from_us: tuple[int, int, int, int] | None = None  # latest purchase from which on R is 2, 3, 4, 5
    window_at_us: int | None = None  # the cut's moment, as of which RFM's window is looked at; None: as of now
    clv_at_us: int | None = None  # likewise of the worth


CUT_FIELDS: Final = frozenset(field.name for field in fields(Cuts)) - {"version"}
"""The fields of Cuts that a model may look at."""


def crossed(values: npt.NDArray[np.int64], thresholds: tuple[int, ...]) -> Score:
    """The number of ascending `thresholds` that each value has reached, in the shape of `values`."""
    return np.searchsorted(np.asarray(thresholds, dtype=np.int64), values, side="right").astype(np.int64)
