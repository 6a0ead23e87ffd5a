"""The cost of a run while it runs: processor seconds and resident memory of the peer, Redis and the broker."""

import contextlib
import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import psutil

MEBIBYTE: Final = 1 << 20
PARTS: Final = ("peer", "redis", "broker")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One look."""

    at_s: float  # since the epoch
    cpu_s: dict[str, float]  # so far, by part
    resident_bytes: dict[str, int]


@dataclass(slots=True)
class Meter:
    """Looks at the processes of each part of PARTS, the peer's with its children. pid None: not there, or not ours."""

    pids: dict[str, int | None]
    samples: list[Sample] = field(default_factory=list)
    _used_s: dict[str, dict[int, float]] = field(default_factory=dict)  # by part and process, as last seen

    def look(self) -> None:
        """Take a sample."""
        cpu_s, resident = {}, {}
        for part, pid in self.pids.items():
            resident[part] = self._resident(part, pid) if pid else 0
            cpu_s[part] = sum(self._used_s.get(part, {}).values())
        self.samples.append(Sample(at_s=time.time(), cpu_s=cpu_s, resident_bytes=resident))

    def _resident(self, part: str, pid: int) -> int:
        """The bytes a process and its children hold; notes what processor time each has used."""
        used_s = self._used_s.setdefault(part, {})
        held = 0
        with contextlib.suppress(psutil.NoSuchProcess):  # what has ended keeps what it had used when last seen
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    used_s[process.pid] = times.user + times.system
                    held += process.memory_info().rss
        return held

    def cpu_between(self, part: str, begin_s: float, end_s: float) -> float:
        """Processor seconds a part used between two moments, samples joined by straight lines."""
        at = np.array([sample.at_s for sample in self.samples])
        used = np.array([sample.cpu_s[part] for sample in self.samples])
        begin, end = np.interp([begin_s, end_s], at, used)
        return float(end - begin)

    def resident_most(self, part: str) -> float:
        """The most memory a part held, MiB."""
        return max(sample.resident_bytes[part] for sample in self.samples) / MEBIBYTE
