"""Gamma-Gamma: what a purchase of a customer brings, between the customer's own past and the population's mean.

Fader, Hardie, Lee, "RFM and CLV: Using iso-value curves for customer base analysis", Journal of Marketing Research 42
(2005); Fader and Hardie, "The Gamma-Gamma Model of Monetary Value" (2013), equation 5.
"""

import numpy as np

from segflow.segments.mbg_nbd import Values
from segflow.segments.parameters import GammaGamma


def expected_money(parameters: GammaGamma, repeats: Values, repeat_money: Values) -> Values:
    """Expected money of one purchase of each of n customers, shape (n,), major units, above zero.

    Args:
        parameters: q > 1.
        repeats: x, distinct purchase days less one.
        repeat_money: net money of all repeat days together. Where it is not above zero, the result is the population's
            mean.
    """
    p, q, gamma = parameters.p, parameters.q, parameters.gamma
    known = (repeats > 0) & (repeat_money > 0)
    x, total = np.where(known, repeats, 0), np.where(known, repeat_money, 0)
    money: Values = p * (gamma + total) / (p * x + q - 1)
    return money
