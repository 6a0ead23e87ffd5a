"""The plan of a commit, fixed before the commit is executed. The journal keeps it, so that it can be replayed."""

import msgspec

from segflow.engine.advance.erasures import FOR_EVER
from segflow.engine.partitioner import Partitioner
from segflow.schemas.settings import Settings
from segflow.segments.instant import NEVER, UNKNOWN, duration_us
from segflow.state.head import PAGE_CUSTOMERS, Head, Position


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a commit, fixed before the commit is executed. The journal keeps it."""

    sequence: int
    purchases_to: int  # the input read up to here, exclusive
    interactions_to: int
    wall_us: int  # the worker's clock
    future_us: int  # usable events are at or before it
    sweep_us: int  # the sweep goes at least to here; UNKNOWN: to C only
    sweep_limit: int  # customers it may take
    rules: int  # version of the rules to adopt, where no adoption is going on
    pages: int  # directory pages to bring under adopted rules
    live_from_us: int = NEVER  # changes are live from here on; NEVER: none is, all is history
    every_alert: bool = True  # also those of history; commits without it: of a version that gave all
    partitioner: Partitioner | None = None  # a key that it puts on another partition makes a dead letter
    erased_for_us: int = FOR_EVER  # how long something stays of an erased customer
    handover_to: int = 0  # as for the inputs
    nobody: tuple[str, ...] = ()  # ids that make dead letters; commits without it: of a version that had none
    shards: int = 0  # of the installation; commits without it: of a version that made dead letters of aliases
    leader_epochs: tuple[int, ...] = ()  # Kafka's, of the last records read of each input; (): those of the head
    record_max_bytes: int | None = None  # larger records are dead letters; None: as the settings have it
    owner: str = ""  # of the shard, who makes it; with the sequence no other commit has it; empty: from before


def plan_for(
    settings: Settings,
    head: Head,
    *,
    purchases_to: int,
    interactions_to: int,
    wall_us: int,
    rules: int,
    handover_to: int | None = None,
    shards: int = 1,
    leader_epochs: tuple[int, ...] = (),
) -> Plan:
    """A plan that reads up to the given offsets at `wall_us`, sweeping to C and no further."""
    return Plan(
        sequence=head.sequence + 1,
        purchases_to=purchases_to,
        interactions_to=interactions_to,
        wall_us=wall_us,
        future_us=wall_us + duration_us(settings.worker.future_max),
        sweep_us=UNKNOWN,
        sweep_limit=settings.worker.sweep_max_customers,
        rules=rules,
        pages=max(1, settings.worker.sweep_max_customers // PAGE_CUSTOMERS),
        live_from_us=NEVER if settings.clock == "event" else wall_us - duration_us(settings.worker.live_within),
        every_alert=settings.clock == "event",
        erased_for_us=duration_us(settings.erase.remembered_for),
        handover_to=head.handover.offset if handover_to is None else handover_to,
        shards=shards,
        nobody=tuple(settings.nobody),
        leader_epochs=leader_epochs,
        record_max_bytes=settings.worker.record_max_bytes,
        owner=head.owner,
    )


def positions_after(head: Head, plan: Plan) -> dict[str, Position]:
    """The positions of a head once the plan is carried out, by their names in it."""
    ends = (plan.purchases_to, plan.interactions_to, plan.handover_to)
    epochs = plan.leader_epochs or [each.leader_epoch for each in head.positions]
    found = [
        msgspec.structs.replace(position, offset=end, leader_epoch=epoch)
        for position, end, epoch in zip(head.positions, ends, epochs, strict=True)
    ]
    return dict(zip(("purchases", "interactions", "handover"), found, strict=True))
