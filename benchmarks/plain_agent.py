"""A plain Faust agent, as Faust's users write one: an event at a time, a Redis read and a Redis write each."""

import asyncio
import contextlib
import json
import tempfile
import time
from typing import Any, Final

import faust
import redis.asyncio

from segflow.schemas.settings import Settings

SAMPLE: Final = 50_000
"""Events after which its rate is known."""
START_S: Final = 60.0
"""Within which its first event must come."""


def rate(settings: Settings, limit_s: float) -> float:
    """Events a second over the purchases topic, from its first event, for SAMPLE events or `limit_s` seconds."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with tempfile.TemporaryDirectory() as folder:
        return loop.run_until_complete(_rate(settings, limit_s, folder))


async def _rate(settings: Settings, limit_s: float, folder: str) -> float:
    prefix = f"{settings.redis.prefix}:agent:"
    client = redis.asyncio.Redis.from_url(
        settings.redis.url,
        username=settings.redis.username,
        password=settings.redis.password and settings.redis.password.get_secret_value(),
    )
    app = faust.App(
        f"{settings.kafka.group}-agent",
        broker=f"kafka://{settings.kafka.address.split(',')[0]}",
        store="memory://",
        datadir=folder,  # which Faust makes, tables or not
        web_enabled=False,
        topic_disable_leader=True,
        loop=asyncio.get_running_loop(),
    )
    count = 0
    started = 0.0
    first, last = asyncio.Event(), asyncio.Event()
    names: list[str] = []

    @app.agent(app.topic(settings.kafka.topics.purchases, value_serializer="json"))  # type: ignore[untyped-decorator]
    async def remember(stream: Any) -> None:
        nonlocal count, started
        async for event in stream:
            if not count:
                started = time.perf_counter()
                first.set()
            name = prefix + event["customer_id"]
            stored = await client.get(name)
            known = json.loads(stored) if stored else {"orders": 0, "money": 0.0}
            known["orders"] += 1
            known["money"] += float(event["amount"])
            known["last"] = event["occurred_at"]
            await client.set(name, json.dumps(known))
            names.append(name)
            count += 1
            if count >= SAMPLE:
                last.set()

    await app.start()
    try:
        await asyncio.wait_for(first.wait(), START_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(last.wait(), limit_s)
        return count / (time.perf_counter() - started)
    finally:
        await app.stop()
        for start in range(0, len(names), 1000):
            await client.unlink(*names[start : start + 1000])
        await client.aclose()
