"""One worker as a process of its own that a test hurts."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from segflow.streams.runtime.failpoints import ENVIRONMENT
from tests.support.earlier_version import EarlierVersion
from tests.support.service import STOP_S, Service
from tests.support.until import PATIENCE_S, until


class WorkerProcess:
    """`segflow worker` with a log of its own; killed in the end if it is still there.

    Args:
        installed: whose settings it takes.
        crash_at: see segflow.streams.runtime.failpoints.
        processes: more than one puts a supervisor above them.
        http_port: of its pages; 0: none.
        module: what is run as segflow.
        earlier: the version that is run, with its own settings; None: this one.
    """

    _count = 0

    def __init__(
        self,
        installed: Service,
        crash_at: str | None = None,
        processes: int = 1,
        http_port: int = 0,
        module: str = "segflow",
        earlier: EarlierVersion | None = None,
    ) -> None:
        WorkerProcess._count += 1
        self.log = Path(installed.file.parent) / f"worker-{WorkerProcess._count}.log"
        environment = os.environ | ({ENVIRONMENT: crash_at} if crash_at else {})
        settings, folder = (installed.file, None) if earlier is None else (earlier.settings, earlier.folder)
        command = [sys.executable, "-m", module, "worker", "--settings", str(settings)]
        command += ["--processes", str(processes), "--http-port", str(http_port)]
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(command, stdout=said, stderr=said, env=environment, cwd=folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                child.kill()
            self.process.kill()
            self.process.wait()
        if kind is not None:
            sys.stdout.write(f"--- {self.log.name}\n{self.said()}\n")  # pytest shows it with the failure

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def says(self, text: str, times: int = 1) -> None:
        """Wait until its log has `text` that often."""
        until(lambda: self.said().count(text) >= times, lambda: f"{text!r} is not in its log:\n{self.said()}")

    def ends(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        return self.process.wait(PATIENCE_S)

    def is_killed(self) -> None:
        """Wait for its end, which must be by SIGKILL at its failpoint."""
        assert self.ends() == -signal.SIGKILL, self.said()

    def is_stopped(self) -> None:
        """Wait until it has halted itself at its failpoint."""
        until(self._halted, lambda: f"it did not halt:\n{self.said()}")

    def stop(self) -> None:
        """SIGTERM, which must end it cleanly; not before it hears it: one that is only starting ends by the signal."""
        until(lambda: self.process.poll() is not None or self._hears(signal.SIGTERM), self.said)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_S) == 0, self.said()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)
        self.is_stopped()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def _hears(self, number: signal.Signals) -> bool:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1]
        return bool(int(caught, 16) >> (number - 1) & 1)

    def _halted(self) -> bool:
        assert self.process.poll() is None, self.said()
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
