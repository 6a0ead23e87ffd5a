"""The division of shards among a group's workers: each keeps what it has, and gives up no more than is too much."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """The shards that one worker says it has, when the group is divided anew."""

    generation: int = -1  # the group's, in which it was given its shards; -1: it has none
    held: frozenset[int] = frozenset()  # shards it works, or is acquiring
    leaving: frozenset[int] = frozenset()  # shards it gives up, and whose last commit may be under way


@dataclass(frozen=True, slots=True)
class Placement:
    """The shards of each worker in the next generation, and those that wait until they have been given up."""

    shards: dict[str, list[int]]
    waiting: frozenset[int]


def place(claims: Mapping[str, Claim], shards: int) -> Placement:
    """Divide shards 0 to `shards` - 1 among workers, so that none has two more than another.

    A worker keeps what it holds, up to its share. What is above the share, or is still being given up, waits: nobody
    gets it in this generation, so that two workers never have a shard at once. Once it was given up the group is
    divided again. (Kafka's cooperative protocol, KIP-429, divides so.)

    Args:
        claims: by member id. Where two hold a shard, the later generation is right: the other was taken for dead.
        shards: how many there are.
    """
    members = sorted(claims)
    leaving = {shard for claim in claims.values() for shard in claim.leaving if shard < shards}
    holder: dict[int, str] = {}
    for member in sorted(members, key=lambda each: claims[each].generation):
        holder.update({shard: member for shard in claims[member].held if shard < shards and shard not in leaving})
    held: dict[str, list[int]] = {member: [] for member in members}
    for shard in sorted(holder):
        held[holder[shard]].append(shard)
    least, more = divmod(shards, len(members))
    by_size = sorted(members, key=lambda each: -len(held[each]))
    share = {member: least + (place < more) for place, member in enumerate(by_size)}
    kept = {member: held[member][: share[member]] for member in members}
    given_up = {shard for member in members for shard in held[member][share[member] :]}
    waiting = frozenset(leaving | given_up)
    for shard in range(shards):
        if shard in holder or shard in waiting:
            continue
        member = min(members, key=lambda each: len(kept[each]) - share[each])  # who lacks most
        kept[member].append(shard)
    return Placement({member: sorted(kept[member]) for member in members}, waiting)
