"""The maximum of a likelihood over positive parameters, by L-BFGS-B."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Final, Self

import numpy as np
from scipy.optimize import minimize

from segflow.fitting.sample import FitError
from segflow.schemas.parameters import SHAPES
from segflow.segments.mbg_nbd import Values

SCALES: Final = (1e-6, 1e6)
"""Of a scale, in the data's own unit: as far as this from it, the data says nothing of it any more."""
EDGE: Final = 1.01
"""A ratio. A maximum closer than this to an end of the range counts as at the end."""
STEPS_MAX: Final = 1000
"""The most steps of a search: far beyond the 20 to 60 that a fit takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sought:
    """A parameter and where it is looked for."""

    name: str
    start: float
    low: float
    high: float
    unit: float = 1.0  # what one of the others is in the data's own unit; the result is in weeks or money again

    @classmethod
    def shape(cls, name: str, start: float) -> Self:
        """One that knows no unit, within what settings take."""
        return cls(name=name, start=start, low=SHAPES[0], high=SHAPES[1])

    @classmethod
    def scale(cls, name: str, unit: float, taken: tuple[float, float]) -> Self:
        """One of times or amounts, about the data's own `unit`, and within what settings take.

        So the same amounts in another currency fit as well, with another scale.
        """
        low, high = (end / unit for end in taken)
        return cls(name=name, start=1.0, low=max(SCALES[0], low), high=min(SCALES[1], high), unit=unit)


def maximum(mean_log_likelihood: Callable[[Values], tuple[float, Values]], sought: Sequence[Sought]) -> Values:
    """The parameters at which the likelihood is greatest.

    Searched in their logarithms, by L-BFGS-B. `mean_log_likelihood` gives the mean over customers (so that the search
    ends where it should, however many they are) and its derivative by each parameter; both in the data's own units.

    Raises:
        FitError: there is no such maximum where parameters are looked for.
    """

    def descending(logs: Values) -> tuple[float, Values]:
        parameters = np.exp(logs)
        value, slopes = mean_log_likelihood(parameters)
        return -value, -slopes * parameters

    found = minimize(
        descending,
        np.log([each.start for each in sought]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(log(each.low), log(each.high)) for each in sought],
        options={"maxiter": STEPS_MAX, "ftol": 1e-14, "gtol": 1e-8},
    )
    parameters: Values = np.exp(found.x)
    if not (np.isfinite(found.fun) and np.isfinite(parameters).all()):
        raise FitError("the likelihood of what these customers did cannot be computed: it is not a number")
    at_the_edge = [
        f"{each.name} = {value * each.unit:.3g}"
        for each, value in zip(sought, parameters.tolist(), strict=True)
        if value < each.low * EDGE or value > each.high / EDGE
    ]
    if at_the_edge:
        raise FitError(
            f"the likelihood has no maximum: it grows with {', '.join(at_the_edge)} and beyond. The customers are too "
            "few, or too much alike, or buy otherwise than the model says"
        )
    if not found.success and np.abs(found.jac).max() > 1e-4:
        raise FitError(f"the search for the greatest likelihood did not end: {found.message}")
    in_real_units: Values = parameters * np.array([each.unit for each in sought])
    return in_real_units
