"""A dimension for segflow in a package of its own: customers who buy on weekends."""

from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np

from segflow.segments.customer_model import (
    DAY_US,
    NEVER,
    Common,
    Count,
    CustomerModel,
    Event,
    Fact,
    Section,
    Wait,
    after,
    duration_us,
)

LABELS = ("unknown", "weekdays", "mixed", "weekends")
UNKNOWN, WEEKDAYS, MIXED, WEEKENDS = range(len(LABELS))


class WeekendBuyer(Section):
    """The section `weekend_buyer` of segflow.yaml."""

    min_purchases: Count = 3
    lasts: Wait = timedelta(days=90)


class Own(NamedTuple):
    """The same as numbers."""

    min_purchases: int
    lasts_us: int


def own(section: WeekendBuyer, _common: Common) -> Own:
    return Own(section.min_purchases, duration_us(section.lasts))


def apply(kept: Any, event: Event) -> Any:
    weekend = (event.occurred_us // DAY_US + 3) % 7 >= 5  # day 0 was a Thursday
    return kept._replace(on_weekends=kept.on_weekends + (event.type == "purchase" and weekend))


def merge(kept: Any, other: Any) -> Any:
    return kept._replace(on_weekends=kept.on_weekends + other.on_weekends)


def classify(own: Own, facts: Any, at_us: int) -> int:
    if facts.purchases < own.min_purchases or at_us >= after(facts.last_us, own.lasts_us):
        return UNKNOWN
    share = facts.on_weekends / facts.purchases
    return WEEKENDS if share >= 0.75 else MIXED if share > 0.25 else WEEKDAYS


def deadline(own: Own, facts: Any, _at_us: int, label: int) -> int:
    return NEVER if label == UNKNOWN else after(facts.last_us, own.lasts_us)


def explain(_own: Own, facts: Any, _at_us: int, _label: str) -> list[str]:
    return [f"{facts.on_weekends} of {facts.purchases} purchases were made on weekends."]


MODEL = CustomerModel(
    name="weekend_buyer",
    version="1",
    settings=WeekendBuyer,
    labels=LABELS,
    own=own,
    facts=(Fact("on_weekends", np.uint32),),
    apply=apply,
    merge=merge,
    classify=classify,
    deadline=deadline,
    explain=explain,
)
