"""The base class of embedded servers: one process under a guard, with a folder that is removed with it."""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self, TypeVar

from segflow.embedded import guard
from segflow.embedded.free_port import accepts_connections, free_ports, is_free
from segflow.embedded.options import UnavailableError

# Seconds between two checks of a starting server: small beside the fastest start (Redis, some 20 ms).
POLL_EVERY_S = 0.005
# Seconds in which a killed process must be gone; the kernel needs milliseconds.
KILL_TIMEOUT_S = 10.0
# Lines of the server's log shown when it does not start.
LOG_TAIL_LINES = 20


class ServerProcess(ABC):
    """A server on 127.0.0.1 that can be stopped, killed, paused and started again on its port and data.

    As a context manager it runs inside the block, and is gone after it, data included. It ends with this process, also
    when this process is killed (see guard.py).
    """

    name: str
    port_count = 1

    def __init__(self, *, start_timeout_s: float) -> None:
        self.start_timeout_s = start_timeout_s
        self.passed_over: tuple[str, ...] = ()
        prefix = f"segflow-{type(self).__name__.lower()}-"
        self._temporary = TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.log = self.folder / "server.log"
        self.ports: list[int] = []
        self._guard: subprocess.Popen[str] | None = None
        self._pid = 0

    @property
    @abstractmethod
    def description(self) -> str:
        """The server's name and version, for people."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The command line. The method may write files that it needs into the folder."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether this server, and not another on its port, answers a real request. The port accepts connections."""

    @property
    def running(self) -> bool:
        """Whether the process exists. It may be paused."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            RuntimeError: it is not running.
        """
        if not self.running:
            raise RuntimeError(f"{self.name} is not running")
        return self._pid

    def start(self) -> None:
        """Start, or start again on the same port and data. Returns once the server answers.

        Raises:
            RuntimeError: it is running already.
            UnavailableError: it did not answer within `start_timeout_s`. The message ends with its log's last lines.
        """
        if self.running:
            raise RuntimeError(f"{self.name} is already running")
        deadline = time.monotonic() + self.start_timeout_s
        new_here = not self.ports
        while True:
            if new_here:
                self.ports = free_ports(self.port_count)
            self._spawn()
            if self._wait_until_it_answers(deadline):
                return
            self.kill()
            port_lost = not all(is_free(port) for port in self.ports)
            if not port_lost or time.monotonic() > deadline:
                raise UnavailableError(self._why_it_did_not_start())

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Ask the server to end (SIGTERM), and kill it after `timeout_s` if it has not ended. The data stays.

        Returns:
            Whether it ended by itself.
        """
        if not self.running or self._guard is None:
            return True
        self.resume()
        os.kill(self._pid, signal.SIGTERM)
        try:
            self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        return True

    def kill(self) -> None:
        """Kill the server at once (SIGKILL). The data stays as it is on disk."""
        if self.running and self._guard is not None:
            os.kill(self._pid, signal.SIGKILL)
            self._guard.wait(KILL_TIMEOUT_S)

    def pause(self) -> None:
        """Halt the server (SIGSTOP). Its connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a paused server (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kill the server and remove its data."""
        self.kill()
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return started(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _spawn(self) -> None:
        command = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(self.folder), *self._command()]
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                text=True,
                start_new_session=True,  # Ctrl-C at the terminal reaches this process only, which then ends the server
            )
        assert self._guard.stdout is not None
        with self._guard.stdout as answer:
            pid = answer.readline()
        if not pid:  # the command could not be run; the guard's error is in the log
            self._guard.wait(KILL_TIMEOUT_S)
            raise UnavailableError(self._why_it_did_not_start())
        self._pid = int(pid)

    def _wait_until_it_answers(self, deadline: float) -> bool:
        while self.running and time.monotonic() < deadline:
            if accepts_connections(self.ports[0]) and self._answers():
                return self.running
            time.sleep(POLL_EVERY_S)
        return False

    def _why_it_did_not_start(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
        last = "".join(f"\n    {line}" for line in lines) or " (empty)"
        return f"{self.name} did not start within {self.start_timeout_s:.0f} s; the end of its log:{last}"


ServerT = TypeVar("ServerT", bound=ServerProcess)


def started(server: ServerT) -> ServerT:
    """Start the server and return it.

    Raises:
        UnavailableError: it did not start. Nothing of it is left.
    """
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server
