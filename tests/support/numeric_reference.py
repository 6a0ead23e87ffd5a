"""What the purchase models expect, by quadrature in 30 digits: another way than the product's and the oracle's."""

from mpmath import MPContext, mpf

mp = MPContext()
mp.dps = 30
NATS = 60
"""What is smaller than the largest by a factor of exp(60) changes none of 20 digits."""
LEAST_NATS = 45
PANEL_MOST = 2.0
"""Width of a panel in the logit, in which 24 nodes of Gauss and Legendre are exact."""


def purchases_if_alive(rate: float, a: float, beta: float, w: float) -> mpf:
    """Return E[(1 - (1 + p w)^-rate) / p] of a p that is beta distributed (a, beta).

    Over the logit of p, panel by panel, with the density's own norm; beyond the last panel to the left it is
    rate w p^a, whose integral is known.
    """
    shape, other, reach, count = mp.mpf(a), mp.mpf(beta), mp.mpf(w), mp.mpf(rate)
    total, mode = shape + other, mp.log(shape / other)
    top = shape * mp.log(shape / total) + other * mp.log(other / total)

    def density(logit: mpf) -> mpf:
        return mp.exp(shape * logit - total * mp.log1p(mp.exp(logit)) - top)

    def term(logit: mpf) -> mpf:
        p = 1 / (1 + mp.exp(-logit))
        return density(logit) * -mp.expm1(-count * mp.log1p(p * reach)) / p

    width = min(mp.mpf(PANEL_MOST), 2 * mp.sqrt(1 / shape + 1 / other))
    nothing = mp.exp(-NATS)
    right = mode
    while density(right) > nothing:
        right += width
    left, least = mode, -mp.log(max((count + 1) * reach, other)) - LEAST_NATS
    while term(left) > nothing * term(mode) and left > least:
        left -= width
    panels = int((right - left) / width) + 1
    edges = [left + (right - left) * panel / panels for panel in range(panels + 1)]
    found = mp.quad(term, edges, method="gauss-legendre", maxdegree=4)
    if left <= least:
        found += count * reach * mp.exp(shape * left - top) / shape
    norm = mp.exp(mp.loggamma(shape) + mp.loggamma(other) - mp.loggamma(total) - top)
    return found / norm
