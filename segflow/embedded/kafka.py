"""Apache Kafka as one node (KRaft), under this machine's Java."""

import contextlib
import os
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from segflow.embedded.broker_answer import cluster_id_at
from segflow.embedded.kafka_installation import KAFKA_VERSION, NODE_ID, KafkaInstallation, installed
from segflow.embedded.options import UnavailableError
from segflow.embedded.server_process import ServerProcess

# Seconds. A start takes 2 to 5; a busy small machine may need several times that.
START_TIMEOUT_S = 60.0

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": str(NODE_ID),
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # One node can hold one copy.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    # Their default of 50 each is for clusters; creating them would delay the first group and the first transaction.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    # A group starts with its first member, not 3 s later.
    "group.initial.rebalance.delay.ms": "0",
    # A killed broker's session must run out before it may come back: that makes 2.4 s from a kill to an answer, where
    # the default makes 11. On two cores with twelve busy processes beside it the broker never missed a session.
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "250",
    # A topic is made by whoever needs it, with the right partitions, or the mistake shows.
    "auto.create.topics.enable": "false",
    # Room for 1.2 M keys a cleaning; the default reserves 128 MB of the heap at the start.
    "log.cleaner.dedupe.buffer.size": str(32 << 20),
    # Nobody reads its metrics.
    "metric.reporters": "",
}


FIRST_COMPILER_ONLY = "-XX:TieredStopAtLevel=1"
"""An option of Java. A broker that lives for minutes spends more on its second compiler than that gives back: a start
and 900 transactions take 15 s of processor time, and 34 s with it."""


class ApacheKafka(ServerProcess):
    """One broker with its data in a temporary folder.

    Args:
        memory_mb: the Java heap.
        optimised: Java compiles twice what runs often. It pays off under minutes of full load, as in a benchmark.
        properties: broker settings that are added to SETTINGS or replace some of them.
        announce: called with a line about what takes long (the one download of the jars).
        start_timeout_s: the longest wait for the first answer.
        class_sharing: Java's options about archived classes. By default this user's archive, made if there is none.
    """

    name = "Apache Kafka"
    port_count = 2  # clients, controller

    def __init__(
        self,
        *,
        memory_mb: int = 512,
        optimised: bool = False,
        properties: Mapping[str, str] | None = None,
        announce: Callable[[str], None] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        class_sharing: Sequence[str] | None = None,
    ) -> None:
        super().__init__(start_timeout_s=start_timeout_s)
        self.memory_mb = memory_mb
        self.optimised = optimised
        self.properties = dict(properties or {})
        self.announce = announce
        self.class_sharing = class_sharing
        self.cluster_id = urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode()
        self._installation: KafkaInstallation | None = None

    @property
    def installation(self) -> KafkaInstallation:
        """Java and the jars. The first access fetches the jars if this user has none.

        Raises:
            UnavailableError: there is no suitable Java, or the jars cannot be fetched.
        """
        if self._installation is None:
            self._installation = installed(self.announce)
        return self._installation

    @property
    def address(self) -> str:
        """The address for clients, `host:port`."""
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def description(self) -> str:
        """The server's name and version, for people."""
        return f"Apache Kafka {KAFKA_VERSION} (embedded, Java {self.installation.java.major})"

    def start(self) -> None:
        """Start the broker. The first start on a machine also fetches the jars and archives the classes."""
        if self.class_sharing is None:
            self.class_sharing = _archived_classes(self.installation)
        super().start()

    def _command(self) -> list[str]:
        data = self.folder / "data"
        if not data.exists():
            self._format(data)
        client_port, controller_port = self.ports
        settings = SETTINGS | {
            "listeners": f"PLAINTEXT://127.0.0.1:{client_port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client_port}",
            "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
            "log.dirs": str(data),
        }
        lines = [f"{key}={value}\n" for key, value in (settings | self.properties).items()]
        properties = self.folder / "kafka.properties"
        properties.write_text("".join(lines), encoding="utf-8")
        return [
            self.installation.java.program,
            f"-Xmx{self.memory_mb}m",
            *(() if self.optimised else (FIRST_COMPILER_ONLY,)),
            *(self.class_sharing or ()),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            self.installation.classpath,
            "kafka.Kafka",
            str(properties),
        ]

    def _format(self, data: Path) -> None:
        data.mkdir()
        shutil.copy(self.installation.first_metadata, data)
        meta = f"version=1\nnode.id={NODE_ID}\ncluster.id={self.cluster_id}\n"
        (data / "meta.properties").write_text(meta, encoding="utf-8")

    def _answers(self) -> bool:
        return cluster_id_at(self.address) == self.cluster_id


def _archived_classes(installation: KafkaInstallation) -> list[str]:
    """Java's option to take the broker's classes from an archive, which halves a start's time and processor time.

    Java writes such an archive when it ends, so the first call runs a broker for it. If this Java cannot write one, an
    empty file notes that, and the list is empty.
    """
    archive = installation.class_archive
    if not archive.exists():
        partial = archive.with_suffix(f".{os.getpid()}")
        trained = ApacheKafka(class_sharing=[f"-XX:ArchiveClassesAtExit={partial}"])
        with contextlib.suppress(UnavailableError), trained:
            if not trained.stop(timeout_s=START_TIMEOUT_S):
                partial.unlink(missing_ok=True)
        try:
            partial.touch()
            partial.replace(archive)
        except OSError:  # the cache is another's: slower, no harm
            return []
    return [f"-XX:SharedArchiveFile={archive}"] if archive.stat().st_size else []
