"""What an analyst may set, with the contract's defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

# Copied row by row from the contract's table: R 5 down to R 1, each from FM 1 to FM 5.
_GRID_ROWS = {
    5: ("new", "potential_loyalist", "potential_loyalist", "champion", "champion"),
    4: ("promising", "potential_loyalist", "potential_loyalist", "loyal", "loyal"),
    3: ("about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"),
    2: ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"),
    1: ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"),
}
DEFAULT_GRID: Mapping[tuple[int, int], str] = {
    (r, fm): label for r, row in _GRID_ROWS.items() for fm, label in enumerate(row, start=1)
}
DEFAULT_WEIGHTS: Mapping[str, Fraction] = {
    "visit": Fraction(1),
    "view": Fraction(1),
    "search": Fraction(1),
    "click": Fraction(1),
    "open": Fraction(1, 2),
    "cart": Fraction(3),
    "wishlist": Fraction(3),
    "share": Fraction(4),
    "review": Fraction(5),
    "purchase": Fraction(10),
}

# r, alpha (in weeks), a, b: the contract gives those of CDNOW's sample.
DEFAULT_MBG_NBD = (Fraction("0.525"), Fraction("6.183"), Fraction("0.891"), Fraction("1.614"))

# p, q, gamma, of the same sample.
DEFAULT_GAMMA_GAMMA = (Fraction("6.25"), Fraction("3.74"), Fraction("15.45"))


@dataclass(frozen=True, kw_only=True)
class RuleDimension:
    """(label, expression) in order, and the label where none holds."""

    rules: tuple[tuple[str, str], ...]
    otherwise: str


@dataclass(frozen=True, kw_only=True)
class OracleRules:
    """One version of the settings.

    A value crosses a cut when it is at or above it (`value >= cut`), for all three kinds of cuts; a quantile re-cut,
    which says "strictly above", is written here with the next larger value.

    Population cuts compare everybody at the moment of the cut. `recency_instants` then take the place of
    `recency_cuts`: a latest purchase before one of them costs a point of R. `window_cut_at` and `clv_cut_at` are the
    moments of the cuts of rfm over a window and of clv's terciles. Each is None where cuts are fixed.

    `monetary_cuts`, `value_cuts` (of A and B, falling) and `clv_cuts` (of high and medium, falling) are in major units
    of `currency`, the last two without defaults in the contract; `rates` give the units of `currency` for one unit of
    another one, `rate_digits` the minor-unit digits of the others (2 where not given); `grid` maps (R, FM) to a label.

    `mbg_nbd` are r, alpha (in weeks), a and b; `gamma_gamma` are p, q and gamma.

    `dimensions` names also the rule dimensions that are to be seen.

    Shares are fractions of one; `engagement_thresholds` are those of core, active and visitor, above zero and falling;
    weights are zero or more.
    """

    at_risk_after: timedelta = timedelta(days=60)
    churned_after: timedelta = timedelta(days=180)
    loyal_orders: int = 5
    reactivated_for: timedelta = timedelta(days=30)
    recency_cuts: tuple[timedelta, ...] = (
        timedelta(days=30),
        timedelta(days=60),
        timedelta(days=120),
        timedelta(days=240),
    )
    recency_instants: tuple[datetime, ...] | None = None
    window_cut_at: datetime | None = None
    frequency_cuts: tuple[int, ...] = (2, 3, 5, 10)
    monetary_cuts: tuple[Decimal, ...] = (Decimal(50), Decimal(100), Decimal(250), Decimal(1000))
    grid: Mapping[tuple[int, int], str] = field(default_factory=lambda: DEFAULT_GRID)
    rfm_window: timedelta | None = None
    price_purchases: int = 3
    sensitive_share: Fraction = Fraction(60, 100)
    full_price_share: Fraction = Fraction(20, 100)
    slot: timedelta = timedelta(days=28)
    regular_window: int = 6
    regular_slots: int = 4
    promoter_from: int = 9
    passive_from: int = 7
    feedback_lasts: timedelta = timedelta(days=180)
    kind_weights: Mapping[str, Fraction] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    other_weight: Fraction = Fraction(1)
    half_life: timedelta = timedelta(days=14)
    engagement_thresholds: tuple[Fraction, Fraction, Fraction] = (Fraction(20), Fraction(5), Fraction(1, 2))
    value_cuts: tuple[Decimal, Decimal] = (Decimal(1000), Decimal(250))
    value_shares: tuple[Fraction, Fraction] = (Fraction(70, 100), Fraction(90, 100))
    churn_thresholds: tuple[Fraction, Fraction, Fraction] = (Fraction(7, 10), Fraction(4, 10), Fraction(1, 10))
    churn_one_time_thresholds: tuple[Fraction, Fraction, Fraction] | None = None
    mbg_nbd: tuple[Fraction, Fraction, Fraction, Fraction] = DEFAULT_MBG_NBD
    gamma_gamma: tuple[Fraction, Fraction, Fraction] = DEFAULT_GAMMA_GAMMA
    clv_horizon: timedelta = timedelta(weeks=26)
    clv_cuts: tuple[Decimal, Decimal] = (Decimal(100), Decimal(25))
    clv_cut_at: datetime | None = None
    slow_share: Fraction = Fraction(30, 100)
    keeps_invoices: bool = True
    erase_remembered_for: timedelta = timedelta(days=730)
    rule_dimensions: Mapping[str, RuleDimension] = field(default_factory=dict)
    dimensions: tuple[str, ...] = ("lifecycle", "rfm")
    currency: str = "EUR"
    minor_digits: int = 2
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    rate_digits: Mapping[str, int] = field(default_factory=dict)
    definition: int = 0
    cuts: int = 0
