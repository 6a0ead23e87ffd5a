"""Parameters of the purchase models: of the whole population, not of a customer. `segflow fit` finds them.

The defaults are those of CDNOW's sample of 2,357 customers to 30 September 1997, so that a shop without a fit of its
own begins with a real one.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class MbgNbd:
    """Parameters of the MBG/NBD model: how often customers buy, and how they are lost (segments/mbg_nbd.py)."""

    r: float = 0.525  # shape of the purchase rate's gamma distribution
    alpha_weeks: float = 6.183  # its rate
    a: float = 0.891  # of the beta distribution of the chance to be lost after a purchase
    b: float = 1.614


@dataclass(frozen=True, kw_only=True, slots=True)
class GammaGamma:
    """Parameters of the gamma-gamma model: the money of a customer's purchase (segments/gamma_gamma.py)."""

    p: float = 6.25  # shape of the money of one purchase
    q: float = 3.74  # shape of its scale's gamma distribution; above 1, else money has no mean
    gamma: float = 15.45  # its rate, in major units of the settings' currency


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """The parameters that `segflow fit` finds. Versioned like cuts."""

    mbg_nbd: MbgNbd = MbgNbd()
    gamma_gamma: GammaGamma = GammaGamma()


CDNOW: Final = Parameters()
"""The defaults."""
