"""The differences of one shard's outputs as findings: counts, and texts for a person."""

import json

import msgspec

from segflow.operations.repair.comparison import Comparison, Differences, Item
from segflow.operations.repair.findings import ShardAudit
from segflow.operations.repair.published_records import CHANGE


def judge_changes(found: ShardAudit, comparison: Comparison, differences: Differences, *, whole: bool) -> None:
    """Findings about the changes; `whole`: every commit was replayed."""
    found.changes = comparison.published
    if not comparison.expected and not whole:
        return
    altered = list(differences.altered)
    lost, foreign = _paired(differences.lost, differences.foreign, altered)
    found.lost, found.foreign = max(found.lost, len(lost)), max(found.foreign, len(foreign))
    found.repeated = len(differences.repeated)
    found.altered, found.reordered = len(altered), differences.reordered
    for name, items in (("lost", lost), ("repeated", differences.repeated), ("altered", altered)):
        found.report(f"{name}: {_described(item)}" for item in items)
    found.report(f"foreign: {_described(item)}: no commit of the journal gives it" for item in foreign)
    if found.reordered:
        found.problems.append(f"reordered: {found.reordered} changes stand behind one that was to come later")


def judge_others(
    found: ShardAudit, name: str, comparison: Comparison, differences: Differences, *, whole: bool
) -> None:
    """Findings about dead letters or alerts, `name` being the field that counts them."""
    noun = name.removesuffix("s").replace("_", " ")
    setattr(found, name, comparison.published)
    if not comparison.expected and not whole:
        return
    kinds = (
        ("lost", differences.lost),
        ("repeated", differences.repeated),
        ("foreign", [*differences.foreign, *differences.altered]),
    )
    for kind, items in kinds:
        setattr(found, f"{name}_{kind}", len(items))
        found.report(f"{noun} {kind}: of {item.identity.decode(errors='replace')} ({item.where})" for item in items)


def _paired(lost: list[Item], foreign: list[Item], altered: list[Item]) -> tuple[list[Item], list[Item]]:
    """Lost and foreign changes of the same customer and version are one that was altered; what remains of both."""
    slots = {slot for item in lost if (slot := _slot(item)) is not None}
    paired: set[tuple[str, int]] = set()
    rest = []
    for item in foreign:
        slot = _slot(item)
        if slot in slots and slot is not None and slot not in paired:
            paired.add(slot)
            altered.append(item)
        else:
            rest.append(item)
    return [item for item in lost if _slot(item) not in paired], rest


def _slot(item: Item) -> tuple[str, int] | None:
    """The customer and the version of a change; None: it cannot be decoded."""
    try:
        change = CHANGE.decode(item.value or b"")
    except msgspec.MsgspecError:
        return None
    return change.customer_id, change.version


def _described(item: Item) -> str:
    """A change for a person."""
    if item.value is None:
        return item.where
    try:
        change = CHANGE.decode(item.value)
    except msgspec.MsgspecError:
        return f"{item.where}: {json.dumps(item.value[:80].decode(errors='replace'))}"
    return (
        f"customer {change.customer_id!r}, version {change.version}, {change.dimension} "
        f"{change.previous} → {change.current} ({item.where})"
    )
