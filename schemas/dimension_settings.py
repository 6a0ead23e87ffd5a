"""Thresholds, cuts and weights of the dimensions that are built in: sections of the settings."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from segflow.schemas.duration import Duration
from segflow.schemas.rule_dimensions import Label
from segflow.schemas.section import (
    Chance,
    Count,
    EventName,
    Money,
    Parameter,
    Score,
    Section,
    Share,
    Threshold,
    Wait,
    Weight,
)

Dimension = Literal[
    "lifecycle", "rfm", "engagement", "price", "cadence", "satisfaction", "value", "churn", "clv", "payment"
]
FiveLabels = tuple[Label, Label, Label, Label, Label]


class Lifecycle(Section):
    """Thresholds of the lifecycle dimension."""

    at_risk_after: Duration = timedelta(days=60)
    churned_after: Duration = timedelta(days=180)
    loyal_orders: Count = 5
    reactivated_for: Duration = timedelta(days=30)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not timedelta(0) < self.at_risk_after < self.churned_after:
            raise ValueError("at_risk_after must be above zero and below churned_after")
        if self.reactivated_for <= timedelta(0):
            raise ValueError("reactivated_for must be above zero")
        return self


class FixedCuts(Section):
    """A value at or above a threshold has crossed it; four thresholds make five scores."""

    recency: tuple[Duration, Duration, Duration, Duration] = (
        timedelta(days=30),
        timedelta(days=60),
        timedelta(days=120),
        timedelta(days=240),
    )
    frequency: tuple[Count, Count, Count, Count] = (2, 3, 5, 10)
    monetary: tuple[Money, Money, Money, Money] = (Decimal(50), Decimal(100), Decimal(250), Decimal(1000))

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for name in ("recency", "frequency", "monetary"):
            thresholds = list(getattr(self, name))
            if thresholds != sorted(set(thresholds)):
                raise ValueError(f"{name} must be four ascending thresholds")
        if self.recency[0] <= timedelta(0):
            raise ValueError("recency must be above zero")
        return self


GRID: Final[tuple[FiveLabels, FiveLabels, FiveLabels, FiveLabels, FiveLabels]] = (
    ("new", "potential_loyalist", "potential_loyalist", "champion", "champion"),
    ("promising", "potential_loyalist", "potential_loyalist", "loyal", "loyal"),
    ("about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"),
    ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"),
    ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"),
)


class Rfm(Section):
    """The RFM dimension: where its cut points come from, and the grid that names its cells."""

    cuts: Literal["fixed", "quantile"] = "fixed"
    fixed: FixedCuts = FixedCuts()
    window: Duration | None = Field(
        None,
        description="orders and money of so much of the past, in whole slots; null: of all of it. A fact setting",
    )
    grid: tuple[FiveLabels, FiveLabels, FiveLabels, FiveLabels, FiveLabels] = Field(
        GRID, description="rows R 5 to R 1, columns FM 1 to FM 5"
    )

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if any(label == "none" for row in self.grid for label in row):
            raise ValueError("grid must not use the label none: it is for customers without an order")
        return self


class FixedClasses(Section):
    """Net money from which on a customer is in a class of value; below both it is c."""

    a_from: Money = Decimal(1000)
    b_from: Money = Decimal(250)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.b_from >= self.a_from:
            raise ValueError("b_from must be below a_from")
        return self


class Value(Section):
    """The value dimension (ABC): whose money makes up most of all money."""

    cuts: Literal["share", "fixed"] = Field(
        "share", description="share: of the living customers' money, made anew on the schedule of `recut`"
    )
    a_up_to: Share = Field(Decimal("0.7"), description="share of all money that the most valuable bring together: a")
    b_up_to: Share = Field(Decimal("0.9"), description="share that those after them bring it to: b; the rest is c")
    fixed: FixedClasses = FixedClasses()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < self.a_up_to < self.b_up_to:
            raise ValueError("a_up_to must be above zero and below b_up_to")
        return self


class Price(Section):
    """The price dimension: the share of purchases that had a discount."""

    min_purchases: Count = Field(3, description="with fewer a customer is unknown; refunds aside")
    sensitive_from: Share = Field(Decimal("0.6"), description="share of purchases with a discount")
    full_price_up_to: Share = Field(Decimal("0.2"), description="share of purchases with a discount")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.full_price_up_to >= self.sensitive_from:
            raise ValueError("full_price_up_to must be below sensitive_from")
        return self


class Cadence(Section):
    """The cadence dimension: in how many of the latest 28-day slots something was bought."""

    regular_slots: Annotated[int, Field(ge=1, le=64, strict=True)] = Field(4, description="slots with a purchase")
    of_slots: Annotated[int, Field(ge=1, le=64, strict=True)] = Field(
        6, description="of so many of the latest slots, the present one included; 64 are remembered"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.regular_slots > self.of_slots:
            raise ValueError("regular_slots must not be above of_slots")
        return self


class Satisfaction(Section):
    """The satisfaction dimension: the score of the latest feedback."""

    promoter_from: Score = 9
    passive_from: Score = 7
    unknown_after: Wait = Field(timedelta(days=180), description="an older feedback says nothing any more")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.passive_from >= self.promoter_from:
            raise ValueError("passive_from must be below promoter_from")
        return self


class Payment(Section):
    """The payment dimension: open invoices, and the share of late ones among the settled."""

    slow_above: Share = Field(
        Decimal("0.3"), description="share of settled invoices that were paid after they were due"
    )


WEIGHTS: Final[dict[str, float]] = {
    "visit": 1.0,
    "view": 1.0,
    "search": 1.0,
    "click": 1.0,
    "open": 0.5,
    "cart": 3.0,
    "wishlist": 3.0,
    "share": 4.0,
    "review": 5.0,
    "purchase": 10.0,
}


class Engagement(Section):
    """The engagement dimension: weights of interactions and purchases, halved with each half-life."""

    core_from: Threshold = 20.0
    active_from: Threshold = 5.0
    visitor_from: Threshold = 0.5
    half_life: Duration = Field(
        timedelta(days=14), description="a fact setting: it is in what is remembered, and cannot change afterwards"
    )
    weights: dict[EventName, Weight] = Field(
        WEIGHTS, description="by an interaction's kind, and of a purchase; a fact setting"
    )
    other_weight: Weight = Field(1.0, description="of kinds that have no weight of their own; a fact setting")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.visitor_from < self.active_from < self.core_from:
            raise ValueError("visitor_from must be below active_from, and that below core_from")
        if self.half_life < timedelta(seconds=1):
            raise ValueError("half_life must be a second or more")
        return self


class ChurnThresholds(Section):
    """From which chance to be still a customer on the risk is low, medium, high; below it the customer is lost."""

    low_from: Chance = Decimal("0.7")
    medium_from: Chance = Decimal("0.4")
    high_from: Chance = Decimal("0.1")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.high_from < self.medium_from < self.low_from:
            raise ValueError("high_from must be below medium_from, and that below low_from")
        return self


class Churn(ChurnThresholds):
    """The churn dimension: the chance to be still a customer, by each customer's own rhythm of buying."""

    one_time: ChurnThresholds | None = Field(
        None, description="of customers of a single purchase day, who are a special case; null: as above"
    )


class ClvCuts(Section):
    """What a customer is worth from a class on, in `currency`."""

    high_from: Money = Decimal(100)
    medium_from: Money = Decimal(25)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < self.medium_from < self.high_from:
            raise ValueError("medium_from must be above zero and below high_from")
        return self


class Clv(Section):
    """The clv dimension: what a customer is still worth, expected purchases times expected money."""

    horizon: Wait = Field(timedelta(weeks=26), description="how far ahead purchases are counted")
    cuts: Literal["fixed", "terciles"] = Field(
        "fixed", description="terciles: of the living, made anew as `recut` says"
    )
    fixed: ClvCuts = ClvCuts()


class MbgNbd(Section):
    """Parameters of the MBG/NBD model: how often customers buy, and how they are lost."""

    r: Parameter = 0.525
    alpha_weeks: Parameter = 6.183
    a: Parameter = 0.891
    b: Parameter = 1.614


class GammaGamma(Section):
    """Parameters of the Gamma-Gamma model: what a purchase of a customer brings."""

    p: Parameter = 6.25
    q: Annotated[float, Field(gt=1, le=10**6, strict=True)] = Field(3.74, description="at 1 money has no mean")
    gamma: Parameter = Field(15.45, description="in major units of `currency`")


class Parameters(Section):
    """Parameters of the purchase models, which `segflow fit` finds; CDNOW's customers by default."""

    mbg_nbd: MbgNbd = MbgNbd()
    gamma_gamma: GammaGamma = GammaGamma()
