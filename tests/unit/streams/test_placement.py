"""The division of shards among workers: even, and nothing moves that need not."""

from hypothesis import given
from hypothesis import strategies as st

from segflow.streams.consume.placement import Claim, Placement, place

MEMBERS = st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=7, unique=True)


@st.composite
def groups(draw: st.DrawFn) -> tuple[dict[str, Claim], int]:
    """Workers with claims of every kind: overlapping, of shards that are none, of several generations."""
    shards = draw(st.integers(0, 20))
    numbers = st.frozensets(st.integers(0, 24), max_size=20)
    return {
        member: Claim(generation, held - leaving, leaving) if held | leaving else Claim()
        for member in draw(MEMBERS)
        for generation, held, leaving in [(draw(st.integers(0, 9)), draw(numbers), draw(numbers))]
    }, shards


def rounds(claims: dict[str, Claim], shards: int) -> tuple[Placement, int]:
    """Divide until nothing waits, each worker giving up what it must; the last division, and how many there were."""
    for count in range(1, 4):
        found = place(claims, shards)
        if not found.waiting:
            return found, count
        claims = {member: Claim(9 + count, frozenset(its)) for member, its in found.shards.items()}
    raise AssertionError("it does not come to an end")


@given(groups())
def test_nobody_gets_a_shard_that_another_has_and_every_other_shard_has_one_worker(
    group: tuple[dict[str, Claim], int],
) -> None:
    """Whatever is claimed; a shard that waits has none."""
    claims, shards = group
    found = place(claims, shards)
    given_out = [shard for its in found.shards.values() for shard in its]
    assert sorted([*given_out, *found.waiting]) == list(range(shards))
    for member, its in found.shards.items():
        for shard in its:
            others = [each for other, each in claims.items() if other != member and shard in each.held]
            assert all(each.generation <= claims[member].generation for each in others if shard in claims[member].held)
            assert not others or shard in claims[member].held
            assert not any(shard in each.leaving for each in claims.values())


@given(groups())
def test_within_two_more_rounds_all_are_placed_evenly(group: tuple[dict[str, Claim], int]) -> None:
    """The first may leave some waiting, and what was given up is then free."""
    claims, shards = group
    found, _ = rounds(claims, shards)
    sizes = [len(its) for its in found.shards.values()]
    assert sum(sizes) == shards
    assert max(sizes) - min(sizes) <= 1


@given(MEMBERS, st.integers(0, 20))
def test_a_group_that_is_divided_evenly_stays_as_it_is(members: list[str], shards: int) -> None:
    """Divided again, with the same workers, nothing moves and nothing waits."""
    first, _ = rounds({member: Claim() for member in members}, shards)
    again = place({member: Claim(1, frozenset(its)) for member, its in first.shards.items()}, shards)
    assert again == first


@given(MEMBERS.filter(lambda members: len(members) > 1), st.integers(0, 20))
def test_what_another_leaves_behind_is_all_that_moves_when_a_worker_goes(members: list[str], shards: int) -> None:
    """The others keep every shard; none waits."""
    first, _ = rounds({member: Claim() for member in members}, shards)
    claims = {member: Claim(1, frozenset(its)) for member, its in first.shards.items() if member != members[0]}
    after = place(claims, shards)
    assert not after.waiting
    assert all(claims[member].held <= set(its) for member, its in after.shards.items())


@given(MEMBERS, st.integers(0, 20))
def test_a_worker_that_comes_gets_its_share_and_no_more_moves(members: list[str], shards: int) -> None:
    """What waits in the first round is what the newcomer gets in the second, its share at the least."""
    first, _ = rounds({member: Claim() for member in members}, shards)
    claims = {member: Claim(1, frozenset(its)) for member, its in first.shards.items()} | {"new": Claim()}
    between = place(claims, shards)
    assert len(between.waiting) == shards // (len(members) + 1)
    after, count = rounds(claims, shards)
    assert count <= 2
    assert set(after.shards["new"]) == between.waiting
