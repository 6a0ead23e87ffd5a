"""The workers of a soak: one that is never killed, others that come and go."""

import time
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Final

import psutil

from segflow.streams.runtime.failpoints import ACQUIRE, COMMIT
from tests.faults.installation import Installation
from tests.faults.worker_process import WorkerProcess

FAILED: Final = 1
"""A worker that ends so is started anew, as a supervisor would; any other end by itself is a finding."""
COMES_S: Final = 12.0
"""Within that a worker comes to a shard, or to its failpoint, where it comes to it at all."""


def _comes_to(worker: WorkerProcess, words: str | None) -> None:
    """Wait until a worker says those words, or ends, or nothing comes of it."""
    stop = time.monotonic() + COMES_S
    while worker.process.poll() is None and time.monotonic() < stop:
        if words is not None and words in worker.said():
            return
        time.sleep(0.05)


class Workers:
    """Starts workers anew when they end, and counts how they ended."""

    def __init__(self, installed: Installation, random: Random, size: int) -> None:
        self._installed, self._random = installed, random
        self.steady = installed.worker()
        self.others = [installed.worker() for _ in range(size - 1)]
        self.kills = 0
        self.at_points: Counter[str] = Counter()  # kills at each failpoint
        self.failures: list[str] = []  # of workers that ended by themselves
        self.memory: list[tuple[float, int]] = []  # of the steady worker: seconds, bytes

    def kill(self, count: int = 1) -> None:
        """SIGKILL for some, at once; new ones in their place."""
        chosen = self._random.sample(range(len(self.others)), min(count, len(self.others)))
        for number in chosen:
            _comes_to(self.others[number], "took shard")
        for number in chosen:
            self.others[number].kill()
            self.kills += 1
        for number in chosen:
            self.others[number] = self._installed.worker()

    def crash(self) -> None:
        """One is replaced by one that dies at a random step of a commit or of acquiring a shard."""
        number = self._random.randrange(len(self.others))
        self.others[number].kill()
        self.kills += 1
        point = self._random.choice(COMMIT * 2 + ACQUIRE)
        nth = self._random.randrange(1, 20) if point in COMMIT else 1
        crashing = self._installed.worker(crash_at=f"{point}:{nth}")
        _comes_to(crashing, None)
        self.at_points[point if crashing.process.poll() is not None else "none: it came to no such step"] += 1
        crashing.kill()
        self.kills += 1
        self.others[number] = self._installed.worker()

    def pause(self, pause_s: float) -> None:
        """SIGSTOP for one, any of them, for a while."""
        chosen = self._random.choice([self.steady, *self.others])
        if chosen.process.poll() is None:
            chosen.pause()
            time.sleep(pause_s)
            chosen.resume()

    def visit(self, stay_s: float) -> None:
        """One more for a while, which then stops cleanly."""
        guest = self._installed.worker()
        _comes_to(guest, "took shard")
        time.sleep(stay_s)
        guest.process.terminate()
        if guest.ends() not in (0, FAILED):  # 1: a stop within the bound was not possible during a fault
            self.failures.append(f"a visitor ended with {guest.process.returncode}: {guest.said()[-2000:]}")

    def look_after(self) -> None:
        """Start anew what ended by itself, and note why; take the steady worker's memory."""
        if self.steady.process.poll() is not None:
            self._note(self.steady)
            self.steady = self._installed.worker()
            self.memory.clear()
        for number, each in enumerate(self.others):
            if each.process.poll() is not None:
                self._note(each)
                self.others[number] = self._installed.worker()
        with suppress(psutil.Error):
            self.memory.append((time.monotonic(), psutil.Process(self.steady.pid).memory_info().rss))

    def end(self) -> None:
        """Stop all."""
        for each in [self.steady, *self.others]:
            each.process.terminate()
        for each in [self.steady, *self.others]:
            each.ends()

    def _note(self, ended: WorkerProcess) -> None:
        self.failures.append(f"a worker ended with {ended.process.returncode}: {ended.said()[-2000:]}")
