"""What silence will bring, as `segflow show` tells it."""

import numpy as np

from segflow.engine.advance.forecast import forecast, next_changes
from segflow.schemas.settings import Settings
from segflow.segments.facts import Facts
from segflow.segments.instant import DAY_US
from segflow.segments.rules import from_settings


def test_the_forecast_is_the_whole_way_to_the_end_of_silence() -> None:
    """One order at time 0: every later label of both dimensions, in order; the first is what a change calls next."""
    rules = from_settings(Settings())
    zero = np.array([0], dtype=np.int64)
    unknown = np.array([np.iinfo(np.int64).min])
    facts = Facts(
        first_us=zero,
        last_us=zero,
        before_last_us=unknown,
        purchases=zero + 1,
        full_refunds=zero,
        net_minor=zero + 1000,
    )
    codes = rules.classify(facts, zero)
    changes = forecast(rules, facts, 0, codes)
    assert [(each.at_us // DAY_US, each.dimension, each.label) for each in changes] == [
        (30, "rfm", "promising"),
        (60, "lifecycle", "at_risk"),
        (60, "rfm", "about_to_sleep"),
        (120, "rfm", "hibernating"),
        (180, "lifecycle", "churned"),
    ]
    first = next_changes(rules, facts, zero, codes)
    assert changes[0].at_us == first.at_us[0]
    assert changes[0].label == rules.models[first.dimensions[0]].labels[first.labels[0]]
