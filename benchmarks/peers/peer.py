"""A peer, as the benchmark sees it: a program whose environment says where to read and write."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.peers.published import PeerRecord, Record
from segflow.schemas.settings import Settings

ROOT: Final = Path(__file__).parents[2]
STOP_S: Final = 20.0
"""Within which a program ends when it is asked to."""
LOG_TAIL_LINES: Final = 20


class PeerFailedError(RuntimeError):
    """A program ended or stood still; the message ends with its log's last lines."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The topics, folder and Redis of one run of one peer."""

    settings: Settings  # broker, group, topics, Redis: segflow takes them as they are
    folder: Path  # of its own, empty at first

    @property
    def output(self) -> str:
        """The topic of its changes."""
        return self.settings.kafka.topics.changes

    @property
    def state(self) -> Path:
        """The folder for what it remembers."""
        return self.folder / "state"

    def environment(self) -> dict[str, str]:
        """The environment variables that every program gets."""
        kafka = self.settings.kafka
        return {
            "PEER_BROKER": kafka.address,
            "PEER_INPUT": kafka.topics.purchases,
            "PEER_OUTPUT": self.output,
            "PEER_GROUP": kafka.group,
            "PEER_STATE": str(self.state),
            "PEER_REDIS": self.settings.redis.url,
        }


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One row of the table.

    prepare: makes what the program needs; raises UnavailableError where this machine cannot have it.
    command: the program and its arguments.
    kept: the folder within Place.state whose size is its state; None: what it remembers is in Redis.
    judged: whether its output is held to the answer; not that of the ceiling, which decides nothing.
    """

    name: str
    title: str
    promise: str  # what a read_committed subscriber sees after a crash
    tuned: str  # how, with the source
    prepare: Callable[[Callable[[str], None]], None]
    command: Callable[[Place], list[str]]
    environment: Callable[[], dict[str, str]] = dict
    needs_redis: bool = False
    kept: str | None = None
    record: type[Record] = PeerRecord
    judged: bool = True
    version: Callable[[], str] = str


@dataclass(frozen=True)
class Program:
    """A peer's running process, with those it has started in one process group."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, to it and its children."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def failure(self, what: str) -> PeerFailedError:
        """An error that ends with the log's last lines."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return PeerFailedError("\n".join([what, *lines[-LOG_TAIL_LINES:]]))


@contextmanager
def running(peer: Peer, place: Place) -> Iterator[Program]:
    """The peer's program while the block lasts."""
    place.state.mkdir(exist_ok=True)
    log = place.folder / "program.log"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environment |= place.environment() | peer.environment()
    with log.open("ab") as output:
        process = subprocess.Popen(
            peer.command(place),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=place.folder,
            env=environment,
            start_new_session=True,  # so that its children can be ended with it
        )
    program = Program(process, log)
    try:
        yield program
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                program.kill()


def own_python(module: str) -> list[str]:
    """A module of this project under this very Python."""
    return [sys.executable, "-m", module]
