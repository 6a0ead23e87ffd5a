"""Who is in the workers' group."""

from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError


def members(client: KafkaAdminClient, group: str) -> int:
    """Worker processes in the group; one that died stays until `worker.session_timeout` has passed.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    try:
        return len(client.describe_groups([group])[group]["members"])
    except CoordinatorNotAvailableError:  # no group ever was on this Kafka: it makes the place for them when one comes
        return 0
