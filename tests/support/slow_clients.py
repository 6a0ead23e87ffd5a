"""Clients that hold their connections: some say nothing, some a byte at a time, some do not read their answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

EVERY_S: Final = 0.2
HEADERS: Final = b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 4000
ASKED: Final = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


class SlowClient:
    """One of them; it connects again when its connection is ended."""

    def __init__(self, port: int, number: int) -> None:
        self._port = port
        self._kind = number % 3
        self._said = 0
        self._socket: socket.socket | None = None

    def go_on(self) -> None:
        """Connect, or stay as slow as it is."""
        try:
            if self._socket is None:
                self._said = 0
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=0.2)
                self._socket.setblocking(False)
                if self._kind == 2:
                    self._socket.send(ASKED)
            elif self._kind == 1:
                self._said += self._socket.send(HEADERS[self._said : self._said + 1])
            if self._kind < 2 and self._is_ended():
                self.close()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _is_ended(self) -> bool:
        assert self._socket is not None
        try:
            return not self._socket.recv(1)
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Let go."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


@contextmanager
def slow_clients(port: int, count: int) -> Iterator[None]:
    """So many of them, for as long as it lasts; all have connected once when it begins."""
    clients = [SlowClient(port, number) for number in range(count)]
    ended, begun = threading.Event(), threading.Event()

    def hold() -> None:
        while not ended.is_set():
            for client in clients:
                client.go_on()
            begun.set()
            ended.wait(EVERY_S)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        begun.wait()
        yield
    finally:
        ended.set()
        thread.join()
        for client in clients:
            client.close()
