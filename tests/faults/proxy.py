"""A wire that can be hurt: a TCP proxy on 127.0.0.1 that drops a reply, delays, stalls or cuts."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

CHUNK: Final = 1 << 16
START_S: Final = 10.0
"""Starting and every order to the proxy take a millisecond; a busy machine may need more."""

Matcher = Callable[[bytes], bool]


class Proxy:
    """Passes connections on to `target` until told otherwise; runs in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.target = target  # the port behind it; a new one counts for new connections
        self.port = 0
        self.dropped = 0  # replies that did not arrive
        self.delayed = 0  # pieces of replies that were held back
        self.delay_s = 0.0  # before each piece of a reply
        self.lost = 0  # requests that did not arrive
        self._drop_after: Matcher | None = None
        self._lose: Matcher | None = None
        self._delay_after: tuple[Matcher, float] | None = None
        self._refusing = False
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing: asyncio.Event
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """End all connections."""
        self._do(self._cut())

    def refuse(self, *, refusing: bool) -> None:
        """End all connections and every new one, or take new ones again."""
        self._refusing = refusing
        self.cut()

    def stall(self, *, stalled: bool) -> None:
        """Hold everything back, connections stay open; or let it flow again."""
        self._do(self._stall(stalled=stalled))

    def drop_reply_to(self, request: Matcher) -> None:
        """The next request that matches is passed on and carried out; its reply is lost and the connection ends."""
        self._drop_after = request

    def lose_request(self, request: Matcher) -> None:
        """The connection ends before the next request that matches is passed on."""
        self._lose = request

    def delay_reply_to(self, request: Matcher, delay_s: float) -> None:
        """The reply to the next request that matches comes late."""
        self._delay_after = (request, delay_s)

    def _do(self, action: Any) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(START_S)

    async def _start(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        self._flowing.set()
        await self._cut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _stall(self, *, stalled: bool) -> None:
        if stalled:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, behind_writer}
        self._open |= ends
        pending: dict[str, Any] = {"drop": False, "delay_s": 0.0}
        both = [
            asyncio.create_task(self._requests(reader, behind_writer, pending)),
            asyncio.create_task(self._replies(behind_reader, writer, pending)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pending: dict[str, Any]
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                if self._lose is not None and self._lose(data):
                    self._lose = None
                    self.lost += 1
                    return
                if self._drop_after is not None and self._drop_after(data):
                    self._drop_after, pending["drop"] = None, True
                if self._delay_after is not None and self._delay_after[0](data):
                    pending["delay_s"], self._delay_after = self._delay_after[1], None
                writer.write(data)
                await writer.drain()

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pending: dict[str, Any]
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if pending["drop"]:
                    self.dropped += 1
                    return
                delay_s, pending["delay_s"] = max(self.delay_s, pending["delay_s"]), 0.0
                if delay_s:
                    self.delayed += 1
                    await asyncio.sleep(delay_s)
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()


def redis_exec(data: bytes) -> bool:
    """A commit's EXEC."""
    return b"EXEC\r\n" in data


def kafka_request(api_key: int) -> Matcher:
    """A Kafka request of that kind: 4 bytes of size, then 2 of its api key."""
    return lambda data: data[4:6] == api_key.to_bytes(2, "big")


END_TXN: Final = 26
INIT_PRODUCER_ID: Final = 22
PRODUCE: Final = 0
