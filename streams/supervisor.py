"""Several worker processes under one parent, which starts one anew when it fails and passes signals on."""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

log = logging.getLogger(__name__)

USAGE_EXIT: Final = 2
"""A process that ends so cannot work with these settings, and its successor could not either."""
PAUSE_S: Final = (0.5, 30.0)
"""First and longest pause before a failed process is started anew."""
STEADY_S: Final = 60.0
"""A process that worked so long failed for a new reason: the pause starts small again."""
POLL_S: Final = 0.1
STOP_S: Final = 15.0
"""A worker stops within 10 s of SIGTERM; one that has not by now is killed."""


class Supervisor:
    """Runs `segflow ARGUMENTS` in `count` processes until SIGTERM or SIGINT."""

    def __init__(self, arguments: Sequence[Sequence[str]]) -> None:
        self._commands = [[sys.executable, "-m", "streams", *each] for each in arguments]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def run(self) -> int:
        """The exit code: 0 after a clean stop, 2 where a process cannot work at all."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)
        self._processes = [subprocess.Popen(command) for command in self._commands]  # noqa: S603 - our own command line
        started = [time.monotonic()] * len(self._commands)
        pauses = [PAUSE_S[0]] * len(self._commands)
        while not self._stopping:
            time.sleep(POLL_S)
            for number, process in enumerate(self._processes):
                code = process.poll()
                if code is None or self._stopping:
                    continue
                if code == USAGE_EXIT:
                    self._end()
                    return USAGE_EXIT
                lived_s = time.monotonic() - started[number]
                pauses[number] = PAUSE_S[0] if lived_s > STEADY_S else min(PAUSE_S[1], pauses[number] * 2)
                log.warning("worker %d ended with exit code %d; started anew in %.1f s", number, code, pauses[number])
                self._wait(pauses[number])
                if not self._stopping:
                    self._processes[number] = subprocess.Popen(self._commands[number])  # noqa: S603 - as above
                    started[number] = time.monotonic()
        self._end()
        return 0

    def _stop(self, *_: Any) -> None:
        self._stopping = True

    def _wait(self, pause_s: float) -> None:
        until = time.monotonic() + pause_s
        while time.monotonic() < until and not self._stopping:
            time.sleep(POLL_S)

    def _end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
