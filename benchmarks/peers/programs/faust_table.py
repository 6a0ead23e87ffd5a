"""Faust with a Table: its own way to remember, kept in RocksDB and in a changelog topic."""

from typing import Any

import faust

from benchmarks.peers.programs.customer import buy, nobody
from benchmarks.peers.programs.place import BROKER, GROUP, INPUT, OUTPUT, SESSION_S, STATE

app = faust.App(
    GROUP,
    broker=f"kafka://{BROKER}",
    store="rocksdb://?driver=rocksdict",
    datadir=STATE,
    topic_partitions=8,
    topic_replication_factor=1,
    topic_disable_leader=True,
    broker_session_timeout=SESSION_S,
    broker_heartbeat_interval=2,
)
purchases = app.topic(INPUT, value_serializer="json")
changes = app.topic(OUTPUT, key_serializer="raw", value_serializer="json")
customers = app.Table("customers", partitions=8)


@app.agent(purchases)
async def segment(stream: Any) -> None:
    """Each purchase, one after the other."""
    async for event in stream:
        who = event["customer_id"]
        customer = customers.get(who) or nobody()
        change = buy(customer, event)
        customers[who] = customer
        if change is not None:
            await changes.send(key=who.encode(), value=change)
