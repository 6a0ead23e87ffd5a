"""Words for cadence."""

from segflow.segments.explain.case import Case, explain
from segflow.segments.instant import to_text
from segflow.segments.models.cadence import Cadence
from segflow.segments.slots import MASK_SLOTS


@explain.register
def _(model: Cadence, case: Case) -> list[str]:
    lines = [case.orders_said()]
    if case.label == "none":
        return [*lines, "Without an order that counts: none."]
    latest, mask = case.fact("latest_slot"), case.fact("slot_mask")
    bought = [latest - age for age in range(MASK_SLOTS) if mask >> age & 1]
    present = max(case.at_us // model.slot_us, latest)
    counted = [slot for slot in bought if slot > present - model.of_slots]
    begins = to_text((present - model.of_slots + 1) * model.slot_us)
    lines.append(
        f"Of the latest {model.of_slots} slots of 28 days, which begin on {begins}, {len(counted)} have a purchase."
    )
    if case.label == "regular":
        return [*lines, f"{len(counted)} are {model.regular_slots} (regular_slots) or more: regular."]
    lines.append(f"{len(counted)} are fewer than {model.regular_slots} (regular_slots).")
    return [*lines, "One order: one_off." if case.label == "one_off" else "More than one order: occasional."]
