"""The workers of a soak: one that is never killed, others that come and go."""

import time
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Final

import psutil

from segflow.embedded.free_port import free_ports
from segflow.streams.runtime.failpoints import ACQUIRE, COMMIT
from tests.faults.installation import Installation
from tests.faults.worker_process import WorkerProcess

FAILED: Final = 1
"""A worker that ends so is started anew, as a supervisor would; any other end by itself is a finding."""
COMES_S: Final = 40.0
"""Within that a worker comes to a shard, or to its failpoint, where it comes to it at all; a busy machine takes 20 s to
start one."""
POINTS: Final = (*COMMIT, *ACQUIRE)
BEHIND: Final = "acquire:one-copied"
"""Reached only by who acquires a shard whose last commit is published and not stored."""


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
        self.ports = free_ports(size)  # of their pages; the steady one's first
        self.steady = installed.worker(http_port=self.ports[0])
        self.others = [installed.worker(http_port=port) for port in self.ports[1:]]
        self.kills = 0
        self.at_points: Counter[str] = Counter()  # kills at each failpoint
        self.failures: list[str] = []  # of workers that ended by themselves
        self.memory: list[tuple[float, int]] = []  # of the steady worker: seconds, bytes

    def kill(self, count: int = 1) -> None:
        """SIGKILL for some, at once; new ones in their place."""
        chosen = self._random.sample(range(len(self.others)), min(count, len(self.others)))
        for number in chosen:
            _comes_to(self.others[number], "acquired shard")
        for number in chosen:
            self.others[number].kill()
            self.kills += 1
        for number in chosen:
            self._replace(number)

    def crash(self) -> None:
        """One is replaced by one that dies at a step of a commit or of acquiring a shard: the least reached so far."""
        fewest = min(self.at_points[point] for point in POINTS)
        point = self._random.choice([point for point in POINTS if self.at_points[point] == fewest])
        if point == BEHIND:
            self._leave_shards_behind()
        number = self._random.randrange(len(self.others))
        self.others[number].kill()
        self.kills += 1
        nth = self._random.randrange(1, 20) if point in COMMIT else 1
        crashing = self._installed.worker(crash_at=f"{point}:{nth}")
        _comes_to(crashing, None)
        if crashing.process.poll() is not None:
            self.at_points[point] += 1
        crashing.kill()
        self.kills += 1
        for place, each in enumerate(self.others):
            if each.process.poll() is not None:
                self._replace(place)

    def _replace(self, number: int) -> None:
        self.others[number] = self._installed.worker(http_port=self.ports[1 + number])

    def _leave_shards_behind(self) -> None:
        """All but the steady one die between a commit's transaction and its write to Redis."""
        for each in self.others:
            each.kill()
        self.others = [self._installed.worker(crash_at="commit:published:1") for _ in self.others]
        for each in self.others:
            _comes_to(each, None)
            each.kill()
        self.kills += 2 * len(self.others)

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
        _comes_to(guest, "acquired shard")
        time.sleep(stay_s)
        guest.process.terminate()
        if guest.ends() not in (0, FAILED):  # 1: a stop within the bound was not possible during a fault
            self.failures.append(f"a visitor ended with {guest.process.returncode}: {guest.said()[-2000:]}")

    def look_after(self) -> None:
        """Start anew what ended by itself, and note why; take the steady worker's memory."""
        if self.steady.process.poll() is not None:
            self._note(self.steady)
            self.steady = self._installed.worker(http_port=self.ports[0])
            self.memory.clear()
        for number, each in enumerate(self.others):
            if each.process.poll() is not None:
                self._note(each)
                self._replace(number)
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
