"""Counting a shard's customers for a re-cut, page by page of its directory."""

from segflow.segments.parameters import Parameters
from segflow.segments.recut import PopulationHistograms, RecutPolicy
from segflow.state import record
from segflow.state.store import HOLE, Store


def scan(
    policy: RecutPolicy, parameters: Parameters, store: Store, first: int, stop: int, at_us: int
) -> PopulationHistograms:
    """The living customers of pages [first, stop) at the event time `at_us`. Reads only."""
    ids = [customer_id for number in range(first, stop) for customer_id in store.page(number) if customer_id != HOLE]
    wanted = [("window", policy.window_slots > 0), ("clv", policy.clv is not None)]
    facts = record.facts(store.load(ids), [name for name, is_wanted in wanted if is_wanted])
    return PopulationHistograms.of(facts, at_us, policy, parameters)
