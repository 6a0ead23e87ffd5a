"""Apache Kafka's jars, fetched once with Maven into the user's cache, and the Java that runs them."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Self

from segflow.embedded.options import UnavailableError

POM = files("segflow.embedded").joinpath("pom.xml").read_text(encoding="utf-8")
KAFKA_VERSION = re.findall(r"<kafka\.version>(.+)</kafka\.version>", POM)[0]
# Kafka 4's own demand of a broker's Java.
LOWEST_JAVA = 17
# Seconds for some 45 MB of jars, and Maven's own plug-ins, on a slow line.
FETCH_TIMEOUT_S = 900
# Seconds for one short Java program (it takes one or two).
JAVA_TIMEOUT_S = 60
# The one node of the cluster.
NODE_ID = 1
REMEDY = f"Install Java {LOWEST_JAVA} or later and Maven (Debian: apt install openjdk-17-jre-headless maven)"


@dataclass(frozen=True, kw_only=True)
class Java:
    """The machine's Java."""

    program: str
    version: str
    """All it says of itself: tells one build from another."""
    major: int

    @classmethod
    def on_the_path(cls) -> Self:
        """The `java` on the PATH; raises UnavailableError."""
        program = shutil.which("java")
        if program is None:
            raise UnavailableError(f"no java on the PATH. {REMEDY}")
        try:
            command = [program, "-version"]
            asked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=JAVA_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise UnavailableError(f"{program} -version fails: {error}. {REMEDY}") from error
        found = re.search(r'version "(?:1\.)?(\d+)', asked.stderr)
        if not found:
            raise UnavailableError(f"{program} -version names no version. {REMEDY}")
        if int(found[1]) < LOWEST_JAVA:
            raise UnavailableError(f"{program} is Java {found[1]}, too old. {REMEDY}")
        return cls(program=program, version=asked.stderr, major=int(found[1]))


@dataclass(frozen=True, kw_only=True)
class KafkaInstallation:
    """What is needed to start a broker."""

    java: Java
    folder: Path

    @property
    def classpath(self) -> str:
        """Every jar, always in one order: the class archive is bound to it."""
        return os.pathsep.join(str(jar) for jar in sorted((self.folder / "jars").glob("*.jar")))

    @property
    def first_metadata(self) -> Path:
        """The feature levels a new cluster starts with, as Kafka's `format` writes them; the same for every cluster."""
        return self.folder / "formatted" / "bootstrap.checkpoint"

    @property
    def class_archive(self) -> Path:
        """Where this very Java keeps the broker's classes loaded and checked (class data sharing)."""
        return self.folder / f"classes-{sha256(self.java.version.encode()).hexdigest()[:12]}.jsa"


def installed(announce: Callable[[str], None] | None = None) -> KafkaInstallation:
    """The installation, made now if this user has none yet; two processes at once make one.

    Raises:
        UnavailableError: no suitable Java, or no Maven, or it could not fetch.
    """
    java = Java.on_the_path()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segflow"
    installation = KafkaInstallation(java=java, folder=cache / f"kafka-{KAFKA_VERSION}")
    if installation.folder.exists():
        return installation
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError(f"no mvn on the PATH to fetch its jars with. {REMEDY}")
    try:
        with _locked(cache / "lock"):
            if not installation.folder.exists():
                if announce is not None:
                    announce(f"fetching Apache Kafka {KAFKA_VERSION} with Maven (45 MB, once)")
                _install(maven, java, installation.folder)
    except OSError as error:
        raise UnavailableError(f"its jars cannot be kept in {cache}: {error}. Make it writable") from error
    return installation


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, also by a process's death
        yield


def _install(maven: str, java: Java, folder: Path) -> None:
    """Make the folder; it appears only when complete."""
    partial = KafkaInstallation(java=java, folder=folder.with_name(f"{folder.name}.partial"))
    shutil.rmtree(partial.folder, ignore_errors=True)  # of a process that was killed here
    partial.folder.mkdir()
    _fetch_jars(maven, partial)
    _format(partial)
    partial.folder.rename(folder)


def _fetch_jars(maven: str, installation: KafkaInstallation) -> None:
    (installation.folder / "pom.xml").write_text(POM, encoding="utf-8")
    target = f"-DoutputDirectory={installation.folder / 'jars'}"
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime"]
    _run([maven, "-q", "-B", *goal, target], installation, "Maven could not fetch the jars", FETCH_TIMEOUT_S)


def _format(installation: KafkaInstallation) -> None:
    """Have Kafka write a new cluster's first metadata once, as doing so at each start would take a second more."""
    properties = installation.folder / "format.properties"
    properties.write_text(
        f"process.roles=broker,controller\nnode.id={NODE_ID}\nlog.dirs={installation.folder / 'formatted'}\n"
        f"controller.quorum.voters={NODE_ID}@127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n"
        "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n",
        encoding="utf-8",
    )
    tool = [installation.java.program, "-cp", installation.classpath, "kafka.tools.StorageTool"]
    command = [*tool, "format", "--config", str(properties), "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA"]
    _run(command, installation, "Kafka could not write its first metadata", JAVA_TIMEOUT_S)


def _run(command: list[str], installation: KafkaInstallation, failure: str, timeout_s: float) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=installation.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{failure}: not done after {timeout_s:.0f} s") from error
    if done.returncode:
        said = "".join(f"\n    {line}" for line in done.stdout.splitlines()[:10])
        raise UnavailableError(f"{failure}:{said}")
