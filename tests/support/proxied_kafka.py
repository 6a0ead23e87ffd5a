"""Apache Kafka with a second listener that is reached through a proxy only: workers take it, tests the first."""

from segflow.embedded.free_port import free_ports
from segflow.embedded.kafka import ApacheKafka
from tests.support.proxy import Proxy

QUICK = {
    # A dead worker's place is free after the two seconds the tests' settings say; Kafka's own lower bound is six.
    "group.min.session.timeout.ms": "500",
    # A dead worker's open transaction is looked for every second, not every ten.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # Compaction looks every half second for what is closed, not every 15.
    "log.cleaner.backoff.ms": "500",
    # Deleted topics' files go at once.
    "file.delete.delay.ms": "100",
}


class ProxiedKafka(ApacheKafka):
    """One broker, two ways in."""

    def __init__(self, wire: Proxy, memory_mb: int = 512) -> None:
        super().__init__(memory_mb=memory_mb, properties=QUICK)
        self.wire = wire
        (wire.target,) = free_ports(1)

    @property
    def proxied_address(self) -> str:
        """Where clients connect that are to meet faults."""
        return f"127.0.0.1:{self.wire.port}"

    def _command(self) -> list[str]:
        direct, controller = self.ports
        own = {
            "listeners": f"PLAINTEXT://127.0.0.1:{direct},CONTROLLER://127.0.0.1:{controller},"
            f"PROXIED://127.0.0.1:{self.wire.target}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{direct},PROXIED://{self.proxied_address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
        }
        self.properties |= own
        return super()._command()
