"""An HTTP server in a thread of its own, which no client can make large: so many connections, each for so long.

A worker's descriptors are for Kafka and Redis. What clients of the pages hold of them is bounded, whatever they do: say
nothing, say a byte a second, or do not read their answer.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

OPEN_MAX: Final = 64
"""Connections at a time. A scraper, a few probes and people need a few, and where a thousand come in a second, one
lives long enough to be answered. With BACKLOG the most descriptors there can be."""
BACKLOG: Final = 32
"""Connections that wait to be accepted; as many are accepted at a time, before the first of them is counted."""
LIFE_S: Final = 10.0
"""A connection's, from its first byte to the last of its answer, which is some 50 kB at most; Prometheus waits as long
by default."""
END_S: Final = 5.0
"""For the thread's end: it takes 0.3 s, and a worker's stop must not wait for strangers."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""


class PageServer:
    """Serves `app` on a listening socket, from `start` to `end`. Messages are logged under `uvicorn`.

    `app` is to close each connection after its answer (`Connection: close`).
    """

    def __init__(self, app: App, listening: socket.socket) -> None:
        config = Config(
            app,
            http=_BoundedProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            backlog=BACKLOG,
            log_config=None,  # the process has its own
            access_log=False,  # requests are nobody's news
            proxy_headers=False,
            server_header=False,
        )
        self._server = Server(config)
        self._listening = listening
        self._thread = threading.Thread(target=self._run, name="pages", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def end(self) -> None:
        """Answer no more; who waits for an answer gets none."""
        self._server.should_exit = True
        self._thread.join(END_S)

    def _run(self) -> None:
        # asyncio's own event loop: uvloop would accept without a bound.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._server.serve(sockets=[self._listening]))


class _BoundedProtocol(H11Protocol):
    """One connection. It lives LIFE_S at most, and less where others come and there are OPEN_MAX: the oldest goes.

    The oldest rather than the newest: who asks at once is answered at once, however many slow ones there are.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as its base class
        """Count it, and make room for it."""
        super().connection_made(transport)
        self.opened_s = self.loop.time()
        self._over = self.loop.call_later(LIFE_S, transport.abort)
        if len(self.connections) > OPEN_MAX:
            oldest = min(self.connections, key=_opened_s)
            self.connections.discard(oldest)  # now: many are accepted before the loop comes to end this one
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self._over.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends."""
        self.transport.abort()


def _opened_s(connection: Any) -> float:
    opened_s: float = connection.opened_s
    return opened_s
