"""Customers who stand in two shards."""

from hypothesis import given
from hypothesis import strategies as st

from segflow.operations.repair.residents import Residents


@given(st.lists(st.lists(st.text(max_size=3), unique=True), max_size=5))
def test_whoever_stands_in_two_shards_is_found_with_each_earlier_one(shards: list[list[str]]) -> None:
    """As comparing the names themselves would find."""
    residents = Residents()
    for shard, customers in enumerate(shards):
        expected = [(name, other) for other in range(shard) for name in customers if name in shards[other]]
        assert residents.add(shard, customers) == expected
