"""The oracle: what the contract says happens to customers, simulated one customer and one event at a time."""

from tests.oracle.rules import DEFAULT_GRID, OracleRules
from tests.oracle.simulation import Adopt, Change, Event, Shard, Sweep, final, simulate

__all__ = ["DEFAULT_GRID", "Adopt", "Change", "Event", "OracleRules", "Shard", "Sweep", "final", "simulate"]
