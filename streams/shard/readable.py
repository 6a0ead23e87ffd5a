"""Waiting for a socket without holding up the event loop."""

import asyncio


async def readable(fileno: int) -> None:
    """Until there is something to read, or the other side has closed it."""
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    loop.add_reader(fileno, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(fileno)
