"""Price: who buys on discount only, and who at any price."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.segments.cuts import Cuts
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER
from segflow.segments.share import SHARES_PER_ONE

LABELS: Final = ("unknown", "sensitive", "mixed", "full_price")
UNKNOWN_PRICE, SENSITIVE, MIXED, FULL_PRICE = range(len(LABELS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """By the share of purchases with a discount. `unknown` (neutral) is a customer with too few of them.

    Refunds change nothing: what was bought at a discount and sent back was bought at a discount.
    """

    min_purchases: int
    sensitive_from: int  # share, in SHARES_PER_ONE
    full_price_up_to: int  # share, in SHARES_PER_ONE
    name: str = "price"
    labels: tuple[str, ...] = LABELS
    start: int = UNKNOWN_PRICE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        share = facts.discounted.astype(np.int64) * SHARES_PER_ONE  # times the purchases
        code = np.where(share <= self.full_price_up_to * facts.purchases, FULL_PRICE, MIXED)
        code = np.where(share >= self.sensitive_from * facts.purchases, SENSITIVE, code)
        return np.where(facts.purchases < self.min_purchases, UNKNOWN_PRICE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """Never: silence changes no share."""
        return np.full(len(at_us), NEVER, dtype=np.int64)
