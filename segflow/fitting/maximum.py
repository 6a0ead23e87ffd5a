"""The maximum of a likelihood over parameters that are all above zero."""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.optimize import minimize

from segflow.fitting.sample import FitError
from segflow.segments.mbg_nbd import Values

RANGE: Final = (0.001, 10**6)
"""Where the settings take parameters. A likelihood that still grows there has no maximum worth the name."""
EDGE: Final = 1.01
"""A maximum so close to an end of the range, as a ratio, is at it."""
STEPS_MAX: Final = 1000
"""Far beyond the 20 to 60 that a fit takes."""


def maximum(
    mean_log_likelihood: Callable[[Values], tuple[float, Values]], start: tuple[float, ...], names: tuple[str, ...]
) -> Values:
    """The parameters at which the likelihood is greatest.

    Searched in their logarithms, by L-BFGS-B. `mean_log_likelihood` gives the mean over customers (so that the search
    ends where it should, however many they are) and its derivative by each parameter.

    Raises:
        FitError: there is no such maximum within RANGE.
    """

    def descending(logs: Values) -> tuple[float, Values]:
        parameters = np.exp(logs)
        value, slopes = mean_log_likelihood(parameters)
        return -value, -slopes * parameters

    ends = np.log(RANGE)
    found = minimize(
        descending,
        np.log(start),
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(ends)] * len(start),
        options={"maxiter": STEPS_MAX, "ftol": 1e-14, "gtol": 1e-8},
    )
    parameters: Values = np.exp(found.x)
    low, high = RANGE
    at_the_edge = [
        f"{name} = {value:.3g}"
        for name, value in zip(names, parameters.tolist(), strict=True)
        if value < low * EDGE or value > high / EDGE
    ]
    if at_the_edge:
        raise FitError(
            f"the likelihood has no maximum: it grows with {', '.join(at_the_edge)} and beyond. The customers are too "
            "few, or too much alike, or buy otherwise than the model says"
        )
    if not found.success and np.abs(found.jac).max() > 1e-4:
        raise FitError(f"the search for the greatest likelihood did not end: {found.message}")
    return parameters
