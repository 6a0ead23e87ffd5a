"""Gamma-Gamma, the model of the money of a customer's purchase, by maximum likelihood.

Fader, Hardie, Lee, "RFM and CLV: Using iso-value curves for customer base analysis", Journal of Marketing Research 42
(2005); Fader and Hardie, "The Gamma-Gamma Model of Monetary Value" (2013), equation 1a.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from scipy.special import digamma, gammaln

from segflow.fitting.maximum import Sought, maximum
from segflow.fitting.mbg_nbd import REPEATERS_MIN
from segflow.fitting.sample import FitError, Sample
from segflow.schemas.parameters import MONEY
from segflow.segments.mbg_nbd import Values
from segflow.segments.parameters import GammaGamma

NAMES: Final = ("p", "q", "gamma")
Q_MIN: Final = 1.00001
"""The least above 1 that the six digits can write which settings get."""


def fit(sample: Sample) -> GammaGamma:
    """The parameters of maximum likelihood, from the customers with money of repeat days.

    Raises:
        FitError: too few such customers, no maximum, or parameters without a mean.
    """
    paying = paid(sample)
    if len(paying) < REPEATERS_MIN:
        raise FitError(
            f"{len(paying):,} customers spent money on days after the first: {REPEATERS_MIN} at least are needed"
        )
    unit = float(np.mean(paying.repeat_money / paying.repeats))  # an amount as it is usual here, in this currency
    own = replace(paying, repeat_money=paying.repeat_money / unit)
    sought = (Sought.shape("p", 1.0), Sought.shape("q", 2.0), Sought.scale("gamma", unit, MONEY))
    found = maximum(lambda each: mean_log_likelihood(each, own), sought)
    parameters = GammaGamma(**dict(zip(NAMES, found.tolist(), strict=True)))
    if parameters.q < Q_MIN:
        raise FitError(f"q = {parameters.q:.6g} is not above 1, so the money of a purchase would have no mean")
    return parameters


def paid(sample: Sample) -> Sample:
    """The customers whose money of repeat days is known and above zero."""
    return sample.take((sample.repeats > 0) & (sample.repeat_money > 0))


def log_likelihood(parameters: GammaGamma, sample: Sample) -> float:
    """The log-likelihood of the customers with money of repeat days together."""
    paying = paid(sample)
    return mean_log_likelihood(np.array([getattr(parameters, name) for name in NAMES]), paying)[0] * len(paying)


def mean_log_likelihood(parameters: Values, sample: Sample) -> tuple[float, Values]:
    """The mean log-likelihood, and its derivative by p, q and gamma.

    Args:
        parameters: p, q, gamma.
        sample: customers of x >= 1 repeat days with the mean money m > 0 each.

    Returns:
        The mean over the customers; the derivatives, shape (3,).
    """
    p, q, gamma = parameters
    x, total = sample.repeats, sample.repeat_money
    m = total / x
    reached = np.log(gamma + total)
    value = (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(gamma)
        + (p * x - 1) * np.log(m)
        + p * x * np.log(x)
        - (p * x + q) * reached
    )
    grown = digamma(p * x + q)
    slopes = (
        x * (grown - digamma(p * x) + np.log(total) - reached),
        grown - digamma(q) + np.log(gamma) - reached,
        q / gamma - (p * x + q) / (gamma + total),
    )
    return float(value.mean()), np.array([each.mean() for each in slopes])
