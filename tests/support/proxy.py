"""Faults on the wire: a TCP proxy on 127.0.0.1 that loses, delays, silences, cuts or refuses."""

import asyncio
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

CHUNK: Final = 1 << 16
START_S: Final = 60.0
"""Starting and every order to the proxy take a millisecond; a busy machine may need more."""
FETCH: Final = 1
PRODUCE: Final = 0
HEARTBEAT: Final = 12
SYNC_GROUP: Final = 14
INIT_PRODUCER_ID: Final = 22
END_TXN: Final = 26
"""Keys in the header of Kafka's requests."""

Matcher = Callable[[bytes], bool]


class Proxy:
    """Passes connections on to `target` until told otherwise; runs in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.target = target  # the port behind it; a new one counts for new connections
        self.port = 0  # its own, once it runs
        self.dropped = 0  # replies that did not arrive
        self.delayed = 0  # pieces of replies that were held back
        self.delay_s = 0.0  # before each piece of a reply
        self.lost = 0  # requests that did not arrive
        self.altered = 0  # replies that arrived otherwise
        self._drop_after: Matcher | None = None
        self._lose: Matcher | None = None
        self._delay_after: tuple[Matcher, float] | None = None
        self._alter_after: tuple[Matcher, bytes] | None = None
        self._silent = False
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.pass_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def pass_on(self) -> None:
        """The server is there. Connections that were silenced are cut, as those of a server that was restarted."""
        self._do(self._pass_on())

    def refuse(self) -> None:
        """The server is gone: connections break, and new ones are refused."""
        self._do(self._refuse())

    def cut(self) -> None:
        """End all connections."""
        self._do(self._cut())

    def silence(self) -> None:
        """The server hangs: connections stay and new ones are accepted, and nothing comes of them."""
        self._do(self._hold(silent=True))

    def resume(self) -> None:
        """The server goes on: what was held back arrives."""
        self._do(self._hold(silent=False))

    def silence_fetches(self) -> int:
        """Connections over which Kafka was asked for records hang from now on, others do not; how many there are."""
        return int(self._do(self._silence_fetches()))

    def drop_reply_to(self, request: Matcher) -> None:
        """The next request that matches is passed on and carried out; its reply is lost and the connection ends."""
        self._drop_after = request

    def lose_request(self, request: Matcher) -> None:
        """The connection ends before the next request that matches is passed on."""
        self._lose = request

    def delay_reply_to(self, request: Matcher, delay_s: float) -> None:
        """The reply to the next request that matches comes late."""
        self._delay_after = (request, delay_s)

    def alter_reply_to(self, request: Matcher, end: bytes) -> None:
        """The next request that matches is carried out; its reply ends with `end` in place of its own last bytes."""
        self._alter_after = (request, end)

    def _do(self, action: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(START_S)

    async def _pass_on(self) -> None:
        await self._refuse()
        self._silent = False
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _stop(self) -> None:
        await self._refuse()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for link in self._links:
            link.abort()

    async def _hold(self, *, silent: bool) -> None:
        self._silent = silent
        for link in self._links:
            link.hold(silent=silent)

    async def _silence_fetches(self) -> int:
        fetching = [link for link in self._links if link.fetches]
        for link in fetching:
            link.hold(silent=True)
        return len(fetching)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, behind_writer)
        link.hold(silent=self._silent)
        self._links.add(link)
        both = [
            asyncio.create_task(self._requests(reader, behind_writer, link)),
            asyncio.create_task(self._replies(behind_reader, writer, link)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            self._links.discard(link)
            link.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: "_Link") -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                link.look(data)
                await link.flowing.wait()
                if self._lose is not None and self._lose(data):
                    self._lose = None
                    self.lost += 1
                    return
                if self._drop_after is not None and self._drop_after(data):
                    self._drop_after, link.drops = None, True
                if self._delay_after is not None and self._delay_after[0](data):
                    link.delay_s, self._delay_after = self._delay_after[1], None
                if self._alter_after is not None and self._alter_after[0](data):
                    link.end, self._alter_after = self._alter_after[1], None
                writer.write(data)
                await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: "_Link") -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if link.drops:
                    self.dropped += 1
                    return
                if link.end:
                    data, link.end = data[: -len(link.end)] + link.end, b""
                    self.altered += 1
                delay_s, link.delay_s = max(self.delay_s, link.delay_s), 0.0
                if delay_s:
                    self.delayed += 1
                    await asyncio.sleep(delay_s)
                await link.flowing.wait()
                writer.write(data)
                await writer.drain()


class _Link:
    """One client's connection, and the one to the server that answers it."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self.flowing = asyncio.Event()
        self.fetches = False  # it has carried a Fetch
        self.drops = False  # its next reply
        self.delay_s = 0.0  # before its next reply
        self.end = b""  # of its next reply, where that is altered
        self._ends = ends
        self._unread = b""
        self._skip = 0  # bytes before the next request begins

    def hold(self, *, silent: bool) -> None:
        """Let nothing through, or all again."""
        if silent:
            self.flowing.clear()
        else:
            self.flowing.set()

    def abort(self) -> None:
        """End both connections."""
        for end in self._ends:
            end.transport.abort()

    def look(self, data: bytes) -> None:
        """Notice a Fetch among Kafka's requests: a length of 4 bytes, a key of 2, the rest."""
        if self.fetches:
            return
        data = self._unread + data
        while len(data) >= self._skip + 6:
            length, key = struct.unpack(">ih", data[self._skip : self._skip + 6])
            self.fetches = self.fetches or key == FETCH
            data, self._skip = data[self._skip :], 4 + length
        short = self._skip - len(data)
        self._unread, self._skip = (b"", short) if short > 0 else (data[self._skip :], 0)


def redis_exec(data: bytes) -> bool:
    """A commit's EXEC."""
    return b"EXEC\r\n" in data


def kafka_request(api_key: int) -> Matcher:
    """A Kafka request of that kind: 4 bytes of size, then 2 of its api key."""
    return lambda data: data[4:6] == api_key.to_bytes(2, "big")
