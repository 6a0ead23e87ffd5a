"""Value (ABC), the part of a customer in all money: classes by net money."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from segflow.schemas.section import Money, Section, Share
from segflow.segments.cuts import Cuts, crossed
from segflow.segments.declaration import Common, Declaration
from segflow.segments.explain import Case
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER
from segflow.segments.record_section import RecordSection

LABELS: Final = ("none", "c", "b", "a")
NONE, C, B, A = range(len(LABELS))


class FixedClasses(Section):
    """Net money from which on a customer is in class a and in class b. Below both it is c."""

    a_from: Money = Decimal(1000)
    b_from: Money = Decimal(250)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.b_from >= self.a_from:
            raise ValueError("b_from must be below a_from")
        return self


class Value(Section):
    """The value dimension (ABC): classes of customers by their net money."""

    cuts: Literal["share", "fixed"] = Field(
        "share", description="share: by running shares of the living customers' money, on the schedule of `recut`"
    )
    a_up_to: Share = Field(Decimal("0.7"), description="share of all money that class a brings together")
    b_up_to: Share = Field(Decimal("0.9"), description="share of all money that a and b bring together; the rest is c")
    fixed: FixedClasses = FixedClasses()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < self.a_up_to < self.b_up_to:
            raise ValueError("a_up_to must be above zero and below b_up_to")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueModel:
    """The model: by net money and its two cuts. `none` (neutral) is a customer without an order that counts.

    Cuts of the population are made in segments/recut.py.
    """

    name: str = "value"
    labels: tuple[str, ...] = LABELS
    start: int = NONE

    def classify(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Labels:  # noqa: ARG002 - the Model's signature
        """Codes into LABELS, shape (n,)."""
        code = C + crossed(facts.net_minor, cuts.value_minor)
        return np.where(facts.orders == 0, NONE, code).astype(np.uint8)

    def deadline(self, facts: Facts, at_us: Times, cuts: Cuts, labels: dict[str, Labels]) -> Times:  # noqa: ARG002 - the Model's signature
        """Never: silence brings no money and takes none."""
        return np.full(len(at_us), NEVER, dtype=np.int64)

    def explain(self, case: Case) -> list[str]:
        """The reasons of the label, in sentences that end in it."""
        if case.label == "none":
            return [case.orders_said(), "Without an order that counts: none."]
        b_from, a_from = map(case.money, case.cuts.value_minor)
        origin = f"version {case.cuts.version}" if case.cuts.version else "fixed"
        money = f"Net money is {case.money(case.fact('net_minor'))}"
        return [
            case.orders_said(),
            f"{money}; b begins at {b_from}, a at {a_from} (cuts {origin}): {case.label}.",
        ]


def _build(_own: Value, _common: Common) -> ValueModel:
    return ValueModel()


VALUE: Final = Declaration(
    name="value", settings=Value, labels=LABELS[::-1], build=_build, cuts=("value_minor",), section=RecordSection(bit=4)
)
