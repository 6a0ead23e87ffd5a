"""The division of shards among workers: even, and nothing moves that need not."""

from hypothesis import given
from hypothesis import strategies as st

from segflow.streams.consume.placement import Claim, place

MEMBERS = st.lists(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=7, unique=True)


@st.composite
def groups(draw: st.DrawFn) -> tuple[dict[str, Claim], int]:
    """Workers with claims of every kind: overlapping, of shards that are none, of several generations."""
    numbers = st.frozensets(st.integers(0, 24), max_size=20)
    claims = {member: Claim(draw(st.integers(0, 9)), draw(numbers)) for member in draw(MEMBERS)}
    return claims, draw(st.integers(0, 20))


def claimed(placed: dict[str, list[int]]) -> dict[str, Claim]:
    """The claims of workers that were given these."""
    return {member: Claim(10, frozenset(its)) for member, its in placed.items()}


@given(groups())
def test_every_shard_has_one_worker_and_none_has_two_more_than_another(group: tuple[dict[str, Claim], int]) -> None:
    """Whatever is claimed."""
    claims, shards = group
    placed = place(claims, shards)
    assert sorted(shard for its in placed.values() for shard in its) == list(range(shards))
    sizes = [len(its) for its in placed.values()]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 9), st.integers(0, 9))
def test_of_two_that_claim_a_shard_the_later_generation_keeps_it(one: int, other: int) -> None:
    """The other was taken for dead meanwhile."""
    claims = {"one": Claim(one, frozenset({0})), "other": Claim(other, frozenset({0}))}
    placed = place(claims, 1)
    assert placed["one"] + placed["other"] == [0]
    if one != other:
        assert placed["one" if one > other else "other"] == [0]


@given(MEMBERS, st.integers(0, 20))
def test_a_group_that_is_divided_evenly_stays_as_it_is(members: list[str], shards: int) -> None:
    """Divided again, with the same workers, nothing moves."""
    first = place({member: Claim() for member in members}, shards)
    assert place(claimed(first), shards) == first


@given(MEMBERS.filter(lambda members: len(members) > 1), st.integers(0, 20))
def test_what_another_leaves_behind_is_all_that_moves_when_a_worker_goes(members: list[str], shards: int) -> None:
    """The others keep every shard."""
    first = place({member: Claim() for member in members}, shards)
    left = {member: claim for member, claim in claimed(first).items() if member != members[0]}
    after = place(left, shards)
    assert all(claim.held <= set(after[member]) for member, claim in left.items())


@given(MEMBERS, st.integers(0, 20))
def test_a_worker_that_comes_gets_its_share_and_no_more_moves(members: list[str], shards: int) -> None:
    """Every other worker keeps what it is left with."""
    first = place({member: Claim() for member in members}, shards)
    after = place(claimed(first) | {"new": Claim()}, shards)
    assert len(after["new"]) == shards // (len(members) + 1)
    assert all(set(after[member]) <= set(first[member]) for member in members)
