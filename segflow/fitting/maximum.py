"""The maximum of a likelihood over positive parameters, by L-BFGS-B."""

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.optimize import minimize

from segflow.fitting.sample import FitError
from segflow.segments.mbg_nbd import Values

RANGE: Final = (0.001, 10**6)
"""The range that the settings accept. A likelihood that still grows at its end has no usable maximum."""
EDGE: Final = 1.01
"""A ratio. A maximum closer than this to an end of the range counts as at the end."""
STEPS_MAX: Final = 1000
"""The most steps of a search: far beyond the 20 to 60 that a fit takes."""


def maximum(
    mean_log_likelihood: Callable[[Values], tuple[float, Values]], start: tuple[float, ...], names: tuple[str, ...]
) -> Values:
    """The parameters at which the likelihood is greatest, searched in their logarithms.

    Args:
        mean_log_likelihood: gives, for parameters of shape (k,), the mean log-likelihood over customers and its
            derivative by each parameter, shape (k,). A mean, so that the search ends alike for any number of customers.
        start: the parameters to begin with.
        names: the parameters' names, for messages.

    Returns:
        The parameters, shape (k,).

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
