"""Shares, as settings have them: with up to four decimals, and so exact in whole numbers."""

from decimal import Decimal
from typing import Final

SHARES_PER_ONE: Final = 10_000
"""Shares are whole numbers of this: nothing stands on either side of a share by rounding."""


def of_one(share: Decimal) -> int:
    """A share of 0 to 1 as so many of SHARES_PER_ONE."""
    return int(share * SHARES_PER_ONE)
