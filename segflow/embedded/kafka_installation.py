"""The installation of Apache Kafka: its jars, fetched once with Maven into the user's cache, and the machine's Java."""

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
# The lowest Java that a Kafka 4 broker runs on.
LOWEST_JAVA = 17
# Seconds that fetching some 45 MB of jars and Maven's plug-ins may take on a slow line.
FETCH_TIMEOUT_S = 900
# Seconds that one short Java program may take. It takes one or two.
JAVA_TIMEOUT_S = 60
# The id of the cluster's one node.
NODE_ID = 1
REMEDY = f"Install Java {LOWEST_JAVA} or later and Maven (Debian: apt install openjdk-17-jre-headless maven)"


@dataclass(frozen=True, kw_only=True)
class Java:
    """The machine's Java."""

    program: str
    version: str
    """The whole output of `java -version`, which tells one build from another."""
    major: int

    @classmethod
    def on_the_path(cls) -> Self:
        """The `java` on the PATH.

        Raises:
            UnavailableError: there is none, or it is older than LOWEST_JAVA.
        """
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
    """The Java and the folder of files from which a broker starts."""

    java: Java
    folder: Path

    @property
    def classpath(self) -> str:
        """Every jar, in a fixed order, as the class archive is bound to that order."""
        return os.pathsep.join(str(jar) for jar in sorted((self.folder / "jars").glob("*.jar")))

    @property
    def first_metadata(self) -> Path:
        """The first metadata of a new cluster, as Kafka's `format` writes it: feature levels, equal for all."""
        return self.folder / "formatted" / "bootstrap.checkpoint"

    @property
    def class_archive(self) -> Path:
        """The archive of the broker's loaded and checked classes (class data sharing), one for each build of Java."""
        return self.folder / f"classes-{sha256(self.java.version.encode()).hexdigest()[:12]}.jsa"


def installed(announce: Callable[[str], None] | None = None) -> KafkaInstallation:
    """The installation of this user, made now if there is none. Two processes at once make one.

    Args:
        announce: called with a line before the download.

    Raises:
        UnavailableError: there is no suitable Java or no Maven, or the jars could not be fetched or kept.
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
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by the death of the process
        yield


def _install(maven: str, java: Java, folder: Path) -> None:
    """Make the folder. It appears under its name only when it is complete."""
    partial = KafkaInstallation(java=java, folder=folder.with_name(f"{folder.name}.partial"))
    shutil.rmtree(partial.folder, ignore_errors=True)  # left by a process that was killed at this point
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
    """Write a new cluster's first metadata once with Kafka's tool. At each start it would take a second more."""
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
