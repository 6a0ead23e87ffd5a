"""Cadence, the regularity of buying: the number of the latest slots of equal length (28 days) with a purchase."""

from dataclasses import dataclass
from typing import Annotated, Final, Self

import numpy as np
from pydantic import Field, model_validator

from segflow.schemas.section import Section
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case
from segflow.segments.facts import Fact, Facts, Labels, Rows, Times
from segflow.segments.instant import NEVER, after, to_text
from segflow.segments.record_section import Happened, Kept, RecordSection
from segflow.segments.slots import MASK_SLOTS, NO_SLOT, Mask, Slots, united, with_slot

LABELS: Final = ("none", "one_off", "occasional", "regular")
NONE, ONE_OFF, OCCASIONAL, REGULAR = range(len(LABELS))


LATEST_SLOT: Final = Fact("latest_slot", np.int32, NO_SLOT)
SLOT_MASK: Final = Fact("slot_mask", np.uint64)  # see segments/slots.py


class Cadence(Section):
    """The cadence dimension: the number of the latest slots (`slot`, 28 days) with a purchase."""

    regular_slots: Annotated[int, Field(ge=1, le=64, strict=True)] = Field(
        4, description="slots with a purchase from which on a customer is regular"
    )
    of_slots: Annotated[int, Field(ge=1, le=64, strict=True)] = Field(
        6, description="latest slots that are looked at, the present one included; 64 are remembered"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.regular_slots > self.of_slots:
            raise ValueError("regular_slots must not be above of_slots")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class CadenceModel:
    """The model: regular with a purchase in `regular_slots` of the latest `of_slots` slots.

    The slots looked at end with the present one, or with that of the latest purchase where it lies ahead. `none`
    (neutral) is a customer without an order that counts.
    """

    regular_slots: int
    of_slots: int
    slot_us: int  # slot 0 begins at the Unix epoch
    name: str = "cadence"
    labels: tuple[str, ...] = LABELS
    start: int = NONE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        orders = facts.orders
        code = np.where(orders == 1, ONE_OFF, OCCASIONAL)
        code = np.where(at_us < self._regular_until_us(facts), REGULAR, code)
        return np.where(orders == 0, NONE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """The end of the slot with which `regular` ends. No other label ends by silence."""
        return np.where(labels[self.name] == REGULAR, self._regular_until_us(facts), NEVER)

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        lines = [case.orders_said()]
        if case.label == "none":
            return [*lines, "Without an order that counts: none."]
        latest, mask = case.own(LATEST_SLOT), case.own(SLOT_MASK)
        bought = [latest - age for age in range(MASK_SLOTS) if mask >> age & 1]
        present = max(case.at_us // self.slot_us, latest)
        counted = [slot for slot in bought if slot > present - self.of_slots]
        begins = to_text((present - self.of_slots + 1) * self.slot_us)
        lines.append(
            f"Of the latest {self.of_slots} slots of 28 days, which begin on {begins}, {len(counted)} have a purchase."
        )
        if case.label == "regular":
            return [*lines, f"{len(counted)} are {self.regular_slots} (regular_slots) or more: regular."]
        lines.append(f"{len(counted)} are fewer than {self.regular_slots} (regular_slots).")
        return [*lines, "One order: one_off." if case.label == "one_off" else "More than one order: occasional."]

    def _regular_until_us(self, facts: Facts) -> Times:
        """The result of `_crossing`, computed once for the same facts."""
        return facts.once(self, lambda: self._crossing(facts))

    def _crossing(self, facts: Facts) -> Times:
        """The time until which `regular_slots` are left among the latest, shape (n,); int64's minimum without so many.

        With k the age in slots of the `regular_slots`-th latest slot, that is `of_slots` - k slots after the latest.
        """
        mask = facts[SLOT_MASK]
        for _ in range(self.regular_slots - 1):
            mask = mask & (mask - np.uint64(1))  # without its lowest bit; 0 stays 0
        lowest = mask & (~mask + np.uint64(1))
        age = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1  # exact: a power of two
        counts = (mask != 0) & (age < self.of_slots)
        end = np.where(counts, facts[LATEST_SLOT] + (self.of_slots - age), 0)
        return np.where(counts, after(end * self.slot_us, 0), np.iinfo(np.int64).min)


def _apply(kept: Kept, happened: Happened, slot_us: int) -> None:
    bought = happened.purchases
    latest, mask = kept[LATEST_SLOT], kept[SLOT_MASK]
    latest[bought.rows], mask[bought.rows] = with_purchase(
        latest[bought.rows], mask[bought.rows], bought.occurred_us, slot_us
    )


def _merge(kept: Kept, rows: Rows, other: Kept) -> None:
    latest, mask = kept[LATEST_SLOT], kept[SLOT_MASK]
    latest[rows], mask[rows], _ = united(latest[rows], mask[rows], other[LATEST_SLOT], other[SLOT_MASK])


def with_purchase(latest: Slots, mask: Mask, times_us: Times, slot_us: int) -> tuple[Slots, Mask]:
    """The latest slot and the mask of n customers after one purchase of each, at `times_us`, shape (n,)."""
    return with_slot(latest, mask, times_us // slot_us)


def _build(own: Cadence, common: Common) -> CadenceModel:
    return CadenceModel(regular_slots=own.regular_slots, of_slots=own.of_slots, slot_us=common.slot_us)


CADENCE: Final = Declaration(
    name="cadence",
    settings=Cadence,
    labels=LABELS[::-1],
    build=_build,
    fact_settings=("slot",),
    section=RecordSection(bit=1, facts=(LATEST_SLOT, SLOT_MASK), apply=_apply, merge=_merge),
)
