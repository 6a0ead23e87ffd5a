"""The Python of the peers: a virtual environment of its own, made once for each state of the files that name packages.

Their libraries pin clients that segflow does not want (Bytewax holds confluent-kafka back), and what is measured must
not depend on what segflow happens to bring.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from segflow.embedded.options import UnavailableError

HERE: Final = Path(__file__).parent
REQUIREMENTS: Final = HERE / "requirements.txt"
CONSTRAINTS: Final = HERE / "constraints.txt"
INSTALL_TIMEOUT_S: Final = 900.0
"""Some 100 MB of wheels on a slow line."""


def folder() -> Path:
    """Its folder: in the user's cache, another one for each Python and each state of the files."""
    named = REQUIREMENTS.read_bytes() + CONSTRAINTS.read_bytes() + sys.version.encode()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segflow"
    return cache / f"peers-python-{sha256(named).hexdigest()[:12]}"


def python() -> str:
    """Its program."""
    return str(folder() / "bin" / "python")


def prepare(say: Callable[[str], None]) -> None:
    """Make it, unless it is there.

    Raises:
        UnavailableError: a package cannot be had for this Python; the message ends with pip's own words.
    """
    if (folder() / "ready").exists():
        return
    folder().parent.mkdir(parents=True, exist_ok=True)
    with (folder().parent / "peers-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder() / "ready").exists():
            return
        say("installing the Python peers' packages (once)")
        shutil.rmtree(folder(), ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder())])
        install = [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        _run([*install, "-c", str(CONSTRAINTS), "-r", str(REQUIREMENTS)])
        (folder() / "ready").touch()


def version_of(package: str) -> str:
    """Of one of its packages; empty where it is not installed."""
    for found in distributions(path=[str(path) for path in folder().glob("lib/python*/site-packages")]):
        if found.metadata["Name"].lower() == package:
            return found.version
    return ""


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:]
        raise UnavailableError(f"its packages cannot be installed for Python {sys.version.split()[0]}: {said}")
