"""Words for satisfaction."""

from segflow.segments.explain.case import Case, explain, span
from segflow.segments.instant import UNKNOWN, to_text
from segflow.segments.models.satisfaction import Satisfaction


@explain.register
def _(model: Satisfaction, case: Case) -> list[str]:
    if case.fact("feedback_us") == UNKNOWN:
        return ["Never gave feedback: unknown."]
    lines = [f"The latest feedback was {case.fact('score')}, on {to_text(case.fact('feedback_us'))}."]
    if case.label == "unknown":
        age, most = span(case.at_us - case.fact("feedback_us")), span(model.unknown_after_us)
        return [*lines, f"That is {age} ago, {most} (unknown_after) or more: unknown."]
    scale = f"{model.promoter_from} and more are a promoter, {model.passive_from} and more passive, less a detractor"
    return [*lines, f"{scale}: {case.label}."]
