"""Price, the sensitivity to discounts: the share of purchases with a discount."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

import numpy as np
from pydantic import Field, model_validator

from segflow.schemas.section import Count, Section, Share
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case
from segflow.segments.facts import Fact, Facts, Labels, Rows, Times
from segflow.segments.instant import NEVER
from segflow.segments.record_section import Happened, Kept, RecordSection
from segflow.segments.share import SHARES_PER_ONE, of_one

LABELS: Final = ("unknown", "sensitive", "mixed", "full_price")
UNKNOWN_PRICE, SENSITIVE, MIXED, FULL_PRICE = range(len(LABELS))


DISCOUNTED: Final = Fact("discounted", np.uint32)  # purchases that had a discount


class Price(Section):
    """The price dimension: the share of purchases that had a discount."""

    min_purchases: Count = Field(3, description="fewest purchases, refunds aside; with fewer a customer is unknown")
    sensitive_from: Share = Field(Decimal("0.6"), description="share with a discount from which on: sensitive")
    full_price_up_to: Share = Field(Decimal("0.2"), description="share with a discount up to which: full_price")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.full_price_up_to >= self.sensitive_from:
            raise ValueError("full_price_up_to must be below sensitive_from")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceModel:
    """The model: by the share of purchases with a discount. `unknown` (neutral) is a customer with too few purchases.

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
        share = facts[DISCOUNTED].astype(np.int64) * SHARES_PER_ONE  # times the purchases
        code = np.where(share <= self.full_price_up_to * facts.purchases, FULL_PRICE, MIXED)
        code = np.where(share >= self.sensitive_from * facts.purchases, SENSITIVE, code)
        return np.where(facts.purchases < self.min_purchases, UNKNOWN_PRICE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """Never: silence changes no share."""
        return np.full(len(at_us), NEVER, dtype=np.int64)

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        purchases, discounted = case.fact("purchases"), case.own(DISCOUNTED)
        lines = [f"{purchases} purchases, {discounted} of them with a discount (refunds aside)."]
        if case.label == "unknown":
            return [*lines, f"Fewer than {self.min_purchases} (min_purchases) say too little: unknown."]
        share = f"{100 * discounted / purchases:.4g} %"
        sensitive, full = (
            f"{100 * each / SHARES_PER_ONE:g} %" for each in (self.sensitive_from, self.full_price_up_to)
        )
        reason = {
            "sensitive": f"{share} is {sensitive} (sensitive_from) or more: sensitive.",
            "full_price": f"{share} is {full} (full_price_up_to) or less: full_price.",
            "mixed": (
                f"{share} is more than {full} (full_price_up_to), and less than {sensitive} (sensitive_from): mixed."
            ),
        }
        return [*lines, reason[str(case.label)]]


def _build(own: Price, _common: Common) -> PriceModel:
    return PriceModel(
        min_purchases=own.min_purchases,
        sensitive_from=of_one(own.sensitive_from),
        full_price_up_to=of_one(own.full_price_up_to),
    )


def _apply(kept: Kept, happened: Happened, _slot_us: int) -> None:
    bought = happened.purchases
    discounted = kept[DISCOUNTED]
    discounted[bought.rows] += bought.of(bought.more["discounted"])


def _merge(kept: Kept, rows: Rows, other: Kept) -> None:
    mine, theirs = kept[DISCOUNTED], other[DISCOUNTED]
    mine[rows] += theirs


PRICE: Final = Declaration(
    name="price",
    settings=Price,
    labels=("sensitive", "mixed", "full_price", "unknown"),
    build=_build,
    section=RecordSection(bit=0, facts=(DISCOUNTED,), columns=("discounted",), apply=_apply, merge=_merge),
)
