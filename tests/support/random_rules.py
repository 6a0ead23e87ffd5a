"""Random settings and the rules they make: odd thresholds, grids that repeat labels, cuts of a population."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from math import log10
from typing import Any

from hypothesis import strategies as st

from segflow.schemas.parameters import MONEY, SHAPES, WEEKS, GammaGamma, MbgNbd, Parameters
from segflow.schemas.rule_dimensions import RuleDimension
from segflow.schemas.settings import BUILT_IN, Settings
from segflow.segments.cuts import Cuts
from segflow.segments.instant import DAY_US, LATEST_US, duration_us
from segflow.segments.models.cadence import Cadence
from segflow.segments.models.churn import Churn, ChurnThresholds
from segflow.segments.models.engagement import Engagement
from segflow.segments.models.lifecycle import Lifecycle
from segflow.segments.models.payment import Payment
from segflow.segments.models.price import Price
from segflow.segments.models.rfm import FixedCuts, Rfm
from segflow.segments.models.satisfaction import Satisfaction
from segflow.segments.models.value import FixedClasses, Value
from segflow.segments.recut import Four
from segflow.segments.rules import Rules, from_settings
from tests.support.expressions import conditions

DIMENSIONS = ("lifecycle", "rfm", "engagement", "price", "cadence", "satisfaction", "value", "churn", "clv", "payment")
RULED = ("tier", "act")
"""Rule dimensions: random rules over attributes, facts and the labels of whatever stands before them."""
MICROSECOND = timedelta(microseconds=1)
LABELS = st.sampled_from(["a", "b", "c", "loyal", "none_such"])

spans = st.one_of(
    st.integers(1, 400).map(lambda days: timedelta(days=days)),
    st.integers(1, 20).map(lambda count: count * MICROSECOND),
    st.timedeltas(MICROSECOND, timedelta(days=3_652_059)),
)
counts = st.integers(1, 12)
monies = st.decimals(-2000, 2000, places=2)
shares = st.decimals(0, 1, places=4)
chances = st.lists(st.decimals("0.0001", "0.9999", places=4), min_size=3, max_size=3, unique=True).map(
    lambda some: dict(zip(("high_from", "medium_from", "low_from"), sorted(some), strict=True))
)
parameters = st.floats(0.001, 20)


def within(low: float, high: float) -> st.SearchStrategy[float]:
    """A number of any magnitude between two, and the two themselves."""
    powers = st.floats(log10(low), log10(high)).map(lambda power: min(max(10**power, low), high))
    return powers | st.sampled_from([low, high, 1.0])


@st.composite
def any_parameters(draw: st.DrawFn) -> Parameters:
    """Parameters of purchase models from all that settings accept."""
    r, a, b, p, q = (draw(within(*SHAPES)) for _ in range(5))
    return Parameters(
        mbg_nbd=MbgNbd(r=r, alpha_weeks=draw(within(*WEEKS)), a=a, b=b),
        gamma_gamma=GammaGamma(p=p, q=min(1 + q, SHAPES[1]), gamma=draw(within(*MONEY))),
    )


def ascending(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Four different values in their order."""
    return st.lists(values, min_size=4, max_size=4, unique=True).map(sorted)


def four(values: Iterable[int]) -> Four:
    """Four numbers as cuts keep them."""
    first, second, third, fourth = values
    return first, second, third, fourth


@st.composite
def some_settings(draw: st.DrawFn) -> Settings:
    """Settings with odd thresholds, and grids that repeat labels."""
    at_risk, churned = sorted(draw(st.lists(spans, min_size=2, max_size=2, unique=True)))
    grid = draw(st.lists(st.lists(LABELS, min_size=5, max_size=5).map(tuple), min_size=5, max_size=5).map(tuple))
    fixed = {"recency": ascending(spans), "frequency": ascending(counts), "monetary": ascending(monies)}
    full_price, sensitive = sorted(draw(st.lists(shares, min_size=2, max_size=2, unique=True)))
    passive, promoter = sorted(draw(st.lists(st.integers(1, 10), min_size=2, max_size=2, unique=True)))
    visitor, active, core = sorted(draw(st.lists(st.floats(0.01, 1000), min_size=3, max_size=3, unique=True)))
    b_from, a_from = sorted(draw(st.lists(monies, min_size=2, max_size=2, unique=True)))
    of_slots = draw(st.sampled_from([1, 6, 13, 64]))
    slot = draw(st.sampled_from([timedelta(days=28), timedelta(days=1), timedelta(days=30, hours=7)]))
    window = draw(st.sampled_from([None, 1, 2, 13, 40]))
    return Settings(
        currency=draw(st.sampled_from(["EUR", "JPY", "KWD"])),
        dimensions=tuple(draw(st.permutations(DIMENSIONS))),
        lifecycle=Lifecycle(
            at_risk_after=at_risk, churned_after=churned, loyal_orders=draw(counts), reactivated_for=draw(spans)
        ),
        rfm=Rfm(
            grid=grid,
            fixed=FixedCuts.model_validate({name: draw(some) for name, some in fixed.items()}),
            window=None if window is None else window * slot + timedelta(hours=1),
        ),
        slot=slot,
        price=Price(min_purchases=draw(counts), sensitive_from=sensitive, full_price_up_to=full_price),
        cadence=Cadence(regular_slots=draw(st.integers(1, of_slots)), of_slots=of_slots),
        payment=Payment(slow_above=draw(shares)),
        satisfaction=Satisfaction(promoter_from=promoter, passive_from=passive, unknown_after=draw(spans)),
        value=Value(fixed=FixedClasses(b_from=b_from, a_from=a_from)),
        engagement=Engagement(
            core_from=core,
            active_from=active,
            visitor_from=visitor,
            half_life=draw(spans.filter(lambda span: span >= timedelta(seconds=1))),
        ),
        churn=Churn(
            **draw(chances), one_time=draw(st.none() | st.builds(lambda some: ChurnThresholds(**some), chances))
        ),
        parameters=Parameters(
            mbg_nbd=MbgNbd(r=draw(parameters), alpha_weeks=draw(parameters), a=draw(parameters), b=draw(parameters))
        ),
    )


@st.composite
def ruled_settings(draw: st.DrawFn) -> Settings:
    """Settings by default with two rule dimensions behind some others, at whose labels they look."""
    order = draw(st.lists(st.sampled_from(DIMENSIONS), max_size=4, unique=True))
    before = {name: BUILT_IN[name].labels for name in order}
    rules = {}
    for name in RULED:
        labels = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
        each = [{"label": label, "when": draw(conditions(before))} for label in labels]
        rules[name] = RuleDimension.model_validate({"rules": each, "otherwise": draw(st.sampled_from("abd"))})
        before[name] = rules[name].labels
    return Settings(dimensions=(*order, *RULED), rule_dimensions=rules)


@st.composite
def of_population(draw: st.DrawFn, cuts: Cuts) -> Cuts:
    """The cuts as those of a population, at some moment, and fitting for random facts."""
    instants = st.integers(-2000 * DAY_US, 20_000 * DAY_US)
    at_us = draw(instants | st.integers(LATEST_US - 500 * DAY_US, LATEST_US))
    from_us = four(sorted(draw(st.lists(instants, min_size=4, max_size=4))))
    return replace(cuts, recency_from_us=from_us, window_at_us=at_us, clv_at_us=at_us)


@st.composite
def some_rules(draw: st.DrawFn) -> tuple[Rules, Settings]:
    """The rules of such settings, some with other cuts, which may be equal to each other or be of a population."""
    product = draw(some_settings())
    rules = from_settings(product)
    if draw(st.booleans()):
        recency = sorted(draw(st.lists(spans.map(duration_us), min_size=4, max_size=4)))
        recency = [draw(st.sampled_from(recency)) for _ in recency] if draw(st.booleans()) else recency
        few = sorted(draw(st.lists(st.integers(1, 4), min_size=4, max_size=4)))
        money = sorted(draw(st.lists(st.integers(-500, 500), min_size=4, max_size=4)))
        cuts = Cuts(
            version=9,
            recency_us=four(sorted(recency)),
            frequency=four(few),
            monetary_minor=four(money),
            value_minor=(money[1], money[2]),
        )
        if draw(st.booleans()):
            cuts = draw(of_population(cuts))
        rules = rules.with_cuts(cuts)
    return rules, product
