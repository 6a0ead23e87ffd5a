"""Words for engagement."""

from math import isinf

from segflow.segments.explain.case import Case, explain, span
from segflow.segments.models.engagement import Engagement


@explain.register
def _(model: Engagement, case: Case) -> list[str]:
    level = float(case.facts.level_log2[0])
    if isinf(level):
        return ["Nothing that weighs was ever seen: dormant."]
    score = 2 ** min(level - case.at_us / model.half_life_us, 1000.0)
    return [
        f"What was done, weighed and halved every {span(model.half_life_us)} since, adds up to S = {score:.4g} now.",
        (
            f"core from {model.core_from:g}, active from {model.active_from:g}, visitor from {model.visitor_from:g}, "
            f"held to the whole second after S falls below: {case.label}."
        ),
    ]
