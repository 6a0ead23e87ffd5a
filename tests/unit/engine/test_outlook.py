"""What silence will bring, as `segflow show` tells it."""

import numpy as np

from segflow.engine.advance.forecast import outlook
from segflow.engine.advance.next_change import upcoming
from segflow.schemas.settings import Settings
from segflow.segments.facts import Facts
from segflow.segments.instant import DAY_US
from segflow.segments.rules import from_settings


def test_the_outlook_is_the_whole_way_to_the_end_of_silence() -> None:
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
    turns = outlook(rules, facts, 0, codes)
    assert [(turn.at_us // DAY_US, turn.dimension, turn.label) for turn in turns] == [
        (30, "rfm", "promising"),
        (60, "lifecycle", "at_risk"),
        (60, "rfm", "about_to_sleep"),
        (120, "rfm", "hibernating"),
        (180, "lifecycle", "churned"),
    ]
    dimension, label, when_us = upcoming(rules, facts, zero, codes)
    assert turns[0].at_us == when_us[0]
    assert turns[0].label == rules.models[dimension[0]].labels[label[0]]
