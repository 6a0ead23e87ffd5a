"""The division of shards among a group's workers: each keeps what it has, and gives up no more than is too much."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """The shards that one worker says it has, when the group is divided anew."""

    generation: int = -1  # the group's, in which it was given its shards; -1: it has none
    held: frozenset[int] = frozenset()


def place(claims: Mapping[str, Claim], shards: int) -> dict[str, list[int]]:
    """Divide shards 0 to `shards` - 1 among workers, so that none has two more than another.

    A worker keeps what it holds, up to its share. What is above the share goes to who has too few.

    Args:
        claims: by member id. Where two hold a shard, the later generation is right: the other was taken for dead.
        shards: how many there are.
    """
    members = sorted(claims)
    holder: dict[int, str] = {}
    for member in sorted(members, key=lambda each: claims[each].generation):
        holder.update({shard: member for shard in claims[member].held if shard < shards})
    held: dict[str, list[int]] = {member: [] for member in members}
    for shard in sorted(holder):
        held[holder[shard]].append(shard)
    least, more = divmod(shards, len(members))
    by_size = sorted(members, key=lambda each: -len(held[each]))
    share = {member: least + (place < more) for place, member in enumerate(by_size)}
    placed = {member: held[member][: share[member]] for member in members}
    kept = {shard for its in placed.values() for shard in its}
    for shard in range(shards):
        if shard not in kept:
            member = min(members, key=lambda each: len(placed[each]) - share[each])  # who lacks most
            placed[member].append(shard)
    return {member: sorted(its) for member, its in placed.items()}
