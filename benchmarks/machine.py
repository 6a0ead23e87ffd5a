"""The machine on which the figures were measured, and what processes cost it."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = ("aiokafka", "confluent-kafka", "faust-streaming", "hiredis", "msgspec", "numpy", "redis")
"""The packages whose versions bear on speed."""
STAT_CPU_FIELDS: Final = slice(11, 13)  # utime and stime of /proc/PID/stat, counted after the name in brackets


def describe() -> dict[str, Any]:
    """The machine, now."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def cpu_s(pid: int | None) -> float:
    """Processor seconds a process has used so far; NaN where this system (or an unknown pid) does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return sum(map(int, fields[STAT_CPU_FIELDS])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int | None) -> float:
    """The most memory a process has had so far, in MB of 1,000,000 bytes; NaN where this system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), float("nan"))


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
