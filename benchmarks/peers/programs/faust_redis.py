"""Faust with Redis: an agent that reads and writes Redis at each event."""

from typing import Any

import faust
import orjson
import redis.asyncio

from benchmarks.peers.programs.customer import buy, nobody
from benchmarks.peers.programs.place import BROKER, GROUP, INPUT, OUTPUT, REDIS, SESSION_S, STATE

app = faust.App(
    GROUP,
    broker=f"kafka://{BROKER}",
    store="memory://",
    datadir=STATE,
    topic_partitions=8,
    topic_disable_leader=True,
    broker_session_timeout=SESSION_S,
    broker_heartbeat_interval=2,
)
purchases = app.topic(INPUT, value_serializer="json")
changes = app.topic(OUTPUT, key_serializer="raw", value_serializer="json")
client = redis.asyncio.Redis.from_url(REDIS)


@app.agent(purchases)
async def segment(stream: Any) -> None:
    """Each purchase, one after the other."""
    async for event in stream:
        name = f"{GROUP}:{event['customer_id']}"
        stored = await client.get(name)
        customer = orjson.loads(stored) if stored else nobody()
        change = buy(customer, event)
        await client.set(name, orjson.dumps(customer))
        if change is not None:
            await changes.send(key=event["customer_id"].encode(), value=change)
