"""The identity of a running broker: its cluster id."""

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

# Milliseconds one question may take; a broker that accepts connections answers in a few.
QUESTION_TIMEOUT_MS = 2_000


def cluster_id_at(address: str) -> str | None:
    """The id of the cluster that answers a metadata request at `host:port`; None while none does."""
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=address, bootstrap_timeout_ms=QUESTION_TIMEOUT_MS, request_timeout_ms=QUESTION_TIMEOUT_MS
        )
        try:
            return str(admin.describe_cluster()["cluster_id"])
        finally:
            admin.close()
    except KafkaError:
        return None
