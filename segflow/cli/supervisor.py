"""Several worker processes under one parent, which restarts one that fails and passes signals on."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from segflow.streams.runtime.backoff import Backoff

log = logging.getLogger(__name__)

USAGE_EXIT: Final = 2
"""A process that ends so cannot work with these settings, and its successor could not either."""
PAUSE_S: Final = (1.0, 30.0)
"""First and longest pause before a failed process is restarted."""
STEADY_S: Final = 60.0
"""A process that worked so long failed for a new reason: the pause starts small again."""
POLL_S: Final = 0.1
STOP_S: Final = 15.0
"""A worker stops within 10 s of SIGTERM; one that has not by now is killed."""


@dataclass(slots=True)
class _Place:
    """The place of one process: the first one, or the one that replaced it."""

    number: int
    process: "subprocess.Popen[bytes]"
    started_s: float
    due_s: float | None = None  # when it is restarted, while none runs
    backoff: Backoff = field(default_factory=lambda: Backoff(*PAUSE_S, steady_s=STEADY_S))


class Supervisor:
    """Runs `segflow ARGUMENTS` for each of `arguments` until SIGTERM or SIGINT.

    Args:
        arguments: a command line a process.
        first: what is added to each the first time.
        again: what is added to one that is restarted.
    """

    def __init__(self, arguments: Sequence[Sequence[str]], *, first: Sequence[str] = (), again: Sequence[str]) -> None:
        self._commands = [[sys.executable, "-m", "segflow", *each] for each in arguments]
        self._first = first
        self._again = again
        self._places: list[_Place] = []
        self._stopping = False

    def run(self) -> int:
        """The exit code: 0 after a clean stop, 2 where a process cannot work at all."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        self._places = [
            _Place(number, _started([*command, *self._first]), time.monotonic())
            for number, command in enumerate(self._commands)
        ]
        while not self._stopping:
            time.sleep(POLL_S)
            for place in self._places:
                if self._tend(place) == USAGE_EXIT and not self._stopping:
                    self._end()
                    return USAGE_EXIT
        self._end()
        return 0

    def _tend(self, place: _Place) -> int | None:
        """Restart a process that has ended, after a pause; returns its exit code when it is seen to have ended."""
        now_s = time.monotonic()
        if place.due_s is not None:
            if now_s >= place.due_s and not self._stopping:
                place.process = _started([*self._commands[place.number], *self._again])
                place.started_s, place.due_s = now_s, None
            return None
        code = place.process.poll()
        if code not in (None, USAGE_EXIT) and not self._stopping:
            pause_s = place.backoff.next_s(after_s=now_s - place.started_s)
            place.due_s = now_s + pause_s
            log.warning("worker %d ended with exit code %d; restarted in %.1f s", place.number, code, pause_s)
        return code

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def _end(self) -> None:
        processes = [place.process for place in self._places]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        until_s = time.monotonic() + STOP_S
        for process in processes:
            try:
                process.wait(max(0.0, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def end_with_supervisor() -> None:
    """In a process under a supervisor: stop, as by SIGTERM, when the supervisor is gone, even killed.

    It holds the other end of standard input, which then ends. Without this, the workers of a killed supervisor would go
    on beside those of its successor, with nobody to restart or to stop them.
    """
    threading.Thread(target=_wait_for_end, name="supervised", daemon=True).start()


def _wait_for_end() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _started(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - our own command line
