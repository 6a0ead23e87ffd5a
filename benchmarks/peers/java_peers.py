"""The peers written in Java: each a folder with a pom.xml, built with Maven into the user's cache."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from segflow.embedded.kafka_installation import LOWEST_JAVA, Java
from segflow.embedded.options import UnavailableError

HERE: Final = Path(__file__).parent
JOB: Final = HERE / "java_job"
"""The job's classes, which every project compiles."""
BUILD_TIMEOUT_S: Final = 900.0
"""Some 150 MB of jars on a slow line."""
SHOWN_LINES: Final = 5
LOG_WARN: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


@dataclass(frozen=True, slots=True)
class JavaProject:
    """One folder of sources beside this file."""

    name: str

    @property
    def sources(self) -> Path:
        """Its folder."""
        return HERE / self.name

    def built(self) -> Path:
        """The folder of its jars, another one for each state of the sources."""
        content = sha256()
        for folder in (self.sources, JOB):
            for path in sorted(path for path in folder.rglob("*") if path.suffix in {".java", ".xml"}):
                content.update(path.read_bytes())
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "segflow"
        return cache / f"peer-{self.name}-{content.hexdigest()[:12]}"

    def prepare(self, say: Callable[[str], None]) -> None:
        """Build it, unless that was done.

        Raises:
            UnavailableError: no suitable Java or Maven, or the build failed; the message ends with Maven's own words.
        """
        Java.on_the_path()
        if self.built().exists():
            return
        maven = shutil.which("mvn")
        if maven is None or shutil.which("javac") is None:
            raise UnavailableError(f"no mvn or javac on the PATH (Debian: apt install openjdk-{LOWEST_JAVA}-jdk maven)")
        self.built().parent.mkdir(parents=True, exist_ok=True)
        with (self.built().parent / "peers-lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.built().exists():
                say(f"building the peer {self.name} with Maven (once)")
                self._build(maven)

    def _build(self, maven: str) -> None:
        partial = self.built().with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)  # of a build that was ended here
        shutil.copytree(self.sources, partial / self.name)
        shutil.copytree(JOB, partial / JOB.name)
        done = subprocess.run(
            [maven, "-q", "-B", "package"],
            cwd=partial / self.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=BUILD_TIMEOUT_S,
        )
        if done.returncode:
            errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
            raise UnavailableError("Maven could not build it: " + " ".join(errors[:SHOWN_LINES]))
        partial.rename(self.built())

    def run(self, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """The command that runs its class `peer.Main`; `options` are Java's."""
        target = self.built() / self.name / "target"
        classpath = os.pathsep.join([str(target / "peer.jar"), str(target / "lib" / "*")])
        return [Java.on_the_path().program, LOG_WARN, *options, "-cp", classpath, "peer.Main", *arguments]

    def version(self, artifact: str) -> str:
        """The version of one of the libraries it is built with."""
        pom = (self.sources / "pom.xml").read_text(encoding="utf-8")
        found = re.search(rf"<artifactId>{artifact}</artifactId>\s*<version>(.+)</version>", pom)
        assert found is not None
        named = re.fullmatch(r"\$\{(.+)\}", found[1])
        if named is None:
            return found[1]
        value = re.search(rf"<{re.escape(named[1])}>(.+)</", pom)
        assert value is not None
        return value[1]
