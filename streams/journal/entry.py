"""The entry of a commit in the journal."""

import msgspec

from segflow.engine.commit.plan import Plan


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's entry of a commit: the plan, the start of its inputs, and its result."""

    plan: Plan
    topic_ids: tuple[str, ...] = ()
    """Of what a shard reads: a recreated topic has another; the handover's since there is one. Empty where the same
    owner made the commit before: they are as there."""
    purchases_from: int
    interactions_from: int
    handover_from: int = 0
    reset: bool = False  # the positions were moved by hand (`segflow reset`); else they follow from the commit before
    reshard: int = 0  # customers were divided anew, into so many shards: it is no commit of events, nothing replays it
    changes: int
    dead_letters: int
    alerts: int = 0
    handed_over: int = 0
    adopts: int | None  # version of the rules adopted before this commit's events, None where none were
    digest: str  # hash of the changes' content
    engine: int = 0  # the version of what commits give; 0: from before entries kept it
    segflow: str = ""  # the version of segflow that wrote it, for people; empty likewise
