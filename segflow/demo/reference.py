"""The reference of the comparison: the same file through `segflow run`, in a process beside the worker."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Final

import msgspec

from segflow.demo.change_digest import ChangeDigest
from segflow.demo.failure import DemoFailedError

END_S: Final = 10.0
"""The longest wait for a killed process and the thread that reads it. They end within milliseconds."""


class Reference:
    """A running `segflow run`, and the changes it has written so far."""

    def __init__(self, history: Path, settings_file: Path, shards: int) -> None:
        command = ["run", str(history), "--settings", str(settings_file), "--shards", str(shards)]
        self.digest = ChangeDigest()
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-m", "segflow", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at the terminal reaches this process only, which then ends the other
        )
        self._reader = Thread(target=self._read, name="reference", daemon=True)
        self._reader.start()

    @property
    def done(self) -> bool:
        """Whether the run has ended and all its changes were read.

        Raises:
            DemoFailedError: it ended with an error.
        """
        if self._reader.is_alive() or self._process.poll() is None:
            return False
        if self._process.returncode != 0:
            assert self._process.stderr is not None
            words = self._process.stderr.read().decode(errors="replace")
            raise DemoFailedError(f"`segflow run` ended with exit code {self._process.returncode}: {words}")
        return True

    def close(self) -> None:
        """Kill the run."""
        self._process.kill()
        self._process.wait(END_S)
        self._reader.join(END_S)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        decoder = msgspec.json.Decoder(dict)
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                return  # killed in mid-line; its exit code says so
            self.digest.add(decoder.decode(line))


@contextmanager
def reference(history: Path, settings_file: Path, shards: int) -> Iterator[Reference]:
    """A reference that runs within the block and is gone after it."""
    started = Reference(history, settings_file, shards)
    try:
        yield started
    finally:
        started.close()
