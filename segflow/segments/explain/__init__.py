"""Why a customer has a label, in plain words: the facts, the thresholds, the arithmetic. One model a file.

The label itself is always the model's own; words are chosen to go with it. A model without words of its own has its
label only.
"""

from segflow.segments.explain import (
    cadence,
    churn,
    clv,
    engagement,
    lifecycle,
    payment,
    price,
    rfm,
    rule_dimension,
    satisfaction,
    value,
)
from segflow.segments.explain.case import Case, explain

__all__ = ["WORDS", "Case", "explain"]

WORDS = (cadence, churn, clv, engagement, lifecycle, payment, price, rfm, rule_dimension, satisfaction, value)
"""Each registers its model's words when it is imported."""
