"""MBG/NBD, the model of a customer's purchases, by maximum likelihood.

Batislam, Denizel, Filiztekin (2007), as corrected by Wagner and Hoppe, "Erratum on the MBG/NBD model", International
Journal of Research in Marketing 25 (2008).
"""

from dataclasses import replace
from typing import Final

import numpy as np
from scipy.special import digamma, expit, gammaln

from segflow.fitting.maximum import Sought, maximum
from segflow.fitting.sample import FitError, Sample
from segflow.schemas.parameters import WEEKS
from segflow.segments.mbg_nbd import Values
from segflow.segments.parameters import MbgNbd

NAMES: Final = ("r", "alpha_weeks", "a", "b")
REPEATERS_MIN: Final = 30
"""The fewest customers with a repeat day. With fewer, four parameters are noise."""


def fit(sample: Sample) -> MbgNbd:
    """The parameters of maximum likelihood.

    Raises:
        FitError: too few customers came again, or there is no maximum.
    """
    repeaters = int(np.count_nonzero(sample.repeats))
    if repeaters < REPEATERS_MIN:
        raise FitError(
            f"{len(sample):,} customers, of whom {repeaters:,} bought on more than one day: {REPEATERS_MIN} of "
            "those at least are needed"
        )
    unit_weeks = float(sample.age_weeks.sum() / sample.repeats.sum())  # the population's own time
    own = replace(sample, recency_weeks=sample.recency_weeks / unit_weeks, age_weeks=sample.age_weeks / unit_weeks)
    r, a, b = (Sought.shape(name, 1.0) for name in ("r", "a", "b"))
    alpha = Sought.scale("alpha_weeks", unit_weeks, WEEKS)
    found = maximum(lambda each: mean_log_likelihood(each, own), (r, alpha, a, b))
    return MbgNbd(**dict(zip(NAMES, found.tolist(), strict=True)))


def log_likelihood(parameters: MbgNbd, sample: Sample) -> float:
    """The log-likelihood of all customers together."""
    return mean_log_likelihood(np.array([getattr(parameters, name) for name in NAMES]), sample)[0] * len(sample)


def mean_log_likelihood(parameters: Values, sample: Sample) -> tuple[float, Values]:
    """The mean log-likelihood, and its derivative by r, alpha, a and b.

    Args:
        parameters: r, alpha in weeks, a, b.
        sample: the customers.

    Returns:
        The mean over the customers; the derivatives, shape (4,).
    """
    r, alpha, a, b = parameters
    x = sample.repeats
    now, last = np.log(alpha + sample.age_weeks), np.log(alpha + sample.recency_weeks)
    lost = np.log(a) - np.log(b + x) + (r + x) * (now - last)  # log of the odds that the customer is lost
    value = (
        gammaln(r + x)
        - gammaln(r)
        + r * np.log(alpha)
        + gammaln(a + b)
        + gammaln(b + x + 1)
        - gammaln(b)
        - gammaln(a + b + x + 1)
        - (r + x) * now
        + np.logaddexp(lost, 0)
    )
    share = expit(lost)
    both = digamma(a + b) - digamma(a + b + x + 1)
    slopes = (
        digamma(r + x) - digamma(r) + np.log(alpha) - now + share * (now - last),
        r / alpha - (r + x) * ((1 - share) / (alpha + sample.age_weeks) + share / (alpha + sample.recency_weeks)),
        both + share / a,
        both + digamma(b + x + 1) - digamma(b) - share / (b + x),
    )
    return float(value.mean()), np.array([each.mean() for each in slopes])
