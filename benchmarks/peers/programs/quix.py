"""Quix Streams: a StreamingDataFrame with its state in RocksDB and a changelog topic."""

from typing import Any

from quixstreams import Application, State

from benchmarks.peers.programs.customer import buy, nobody
from benchmarks.peers.programs.place import BROKER, GROUP, INPUT, OUTPUT, SESSION_S, STATE

app = Application(
    broker_address=BROKER,
    consumer_group=GROUP,
    auto_offset_reset="earliest",
    state_dir=STATE,
    commit_interval=1.0,  # its default of 5 s may leave a short run without a single checkpoint
    consumer_extra_config={"session.timeout.ms": SESSION_S * 1000},
    loglevel="WARNING",
)
purchases = app.topic(INPUT, value_deserializer="json")
changes = app.topic(OUTPUT, value_serializer="json")


def segment(event: dict[str, Any], state: State) -> dict[str, Any] | None:
    """One purchase."""
    customer = state.get("customer") or nobody()
    change = buy(customer, event)
    state.set("customer", customer)
    return change


stream = app.dataframe(purchases)
stream = stream.apply(segment, stateful=True)
stream = stream.filter(lambda change: change is not None)
stream = stream.to_topic(changes)

if __name__ == "__main__":
    app.run()
