"""A TCP proxy between a worker and a server: what goes through it can be refused, silenced, or silenced in part."""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from embedded.free_port import free_ports

FETCH: Final = 1
"""The key of Kafka's Fetch in every request's header."""


class _Link:
    """One client's connection and the one to the server that answers it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ends = (client, server)
        self.open = threading.Event()  # what comes is passed on
        self.open.set()
        self.fetches = False  # it has carried a Fetch

    def start(self) -> None:
        client, server = self.ends
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def close(self) -> None:
        for end in self.ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.open.set()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        head = b""
        skip = 0
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if source is self.ends[0] and not self.fetches:
                    head, skip = self._look(head + data, skip)
                self.open.wait()
                target.sendall(data)
        self.close()

    def _look(self, data: bytes, skip: int) -> tuple[bytes, int]:
        """Notice a Fetch among Kafka's requests: a length of 4 bytes, a key of 2, the rest.

        Returns:
            What was not looked at yet, and how many bytes after it belong to a request that was.
        """
        while len(data) >= skip + 6:
            length, key = struct.unpack(">ih", data[skip : skip + 6])
            self.fetches = self.fetches or key == FETCH
            data, skip = data[skip:], 4 + length
        return (b"", skip - len(data)) if len(data) < skip else (data[skip:], 0)


class Proxy:
    """Listens on 127.0.0.1:`port`, passes on to `target`; as a context manager."""

    def __init__(self, target: int, port: int | None = None) -> None:
        self.target = target
        self.port = port or free_ports(1)[0]
        self._links: list[_Link] = []
        self._listener: socket.socket | None = None
        self._silent = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.pass_on()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.refuse()

    def pass_on(self) -> None:
        """The server is there. Connections that were silenced are cut, as those of a server that was restarted."""
        self.refuse()
        self._silent = False
        self._listener = listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """The server is gone: connections break, and new ones are refused."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def silence(self) -> None:
        """The server hangs: connections stay and new ones are accepted, and nothing comes of them."""
        self._silent = True
        with self._lock:
            for link in self._links:
                link.open.clear()

    def silence_fetches(self) -> int:
        """Connections over which Kafka was asked for records hang from now on, others do not; how many there are."""
        with self._lock:
            fetching = [link for link in self._links if link.fetches]
        for link in fetching:
            link.open.clear()
        return len(fetching)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            link = _Link(client, server)
            if self._silent:
                link.open.clear()
            with self._lock:
                self._links.append(link)
            link.start()
