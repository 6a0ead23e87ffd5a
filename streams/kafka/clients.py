"""Kafka clients: the connection options of each library, and the members of the workers' group."""

import ssl
from typing import Any, Final

from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError

from segflow.schemas.connection_settings import Kafka
from segflow.streams.kafka.decompression import bound_decompression

BOOTSTRAP_TIMEOUT_MS: Final = 5000
"""Kafka answers in milliseconds where it is there; kafka-python's own 30 s would look like a hang."""

bound_decompression()  # here, as no client is made without one of the options below


def security_protocol(kafka: Kafka) -> str:
    """Kafka's name for the combination of TLS and SASL."""
    if kafka.sasl == "none":
        return "SSL" if kafka.tls else "PLAINTEXT"
    return "SASL_SSL" if kafka.tls else "SASL_PLAINTEXT"


def tls_context(kafka: Kafka) -> ssl.SSLContext | None:
    """The TLS context of the settings, None without TLS.

    Raises:
        OSError: a certificate file cannot be read.
        ssl.SSLError: it holds no certificate.
    """
    if not kafka.tls:
        return None
    context = ssl.create_default_context(cafile=kafka.tls_ca)
    if kafka.tls_certificate is not None:
        context.load_cert_chain(kafka.tls_certificate, kafka.tls_key)
    return context


def aiokafka_options(kafka: Kafka) -> dict[str, Any]:
    """Connection arguments of aiokafka's producer and consumer."""
    options = _common(kafka) | {"bootstrap_servers": kafka.address}
    context = tls_context(kafka)
    return options | ({"ssl_context": context} if context is not None else {})


def kafka_python_options(kafka: Kafka) -> dict[str, Any]:
    """Connection arguments of kafka-python's admin, producer and consumer."""
    options = _common(kafka) | {"bootstrap_servers": kafka.address.split(",")}
    context = tls_context(kafka)
    return options | ({"ssl_context": context} if context is not None else {})


def committed_reader(kafka: Kafka, **more: Any) -> KafkaConsumer:
    """kafka-python's consumer of what was committed, in no consumer group; `more`: options of it."""
    options = {
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
    }
    return KafkaConsumer(**kafka_python_options(kafka) | options | more)


def group_members(client: KafkaAdminClient, group: str) -> int:
    """Worker processes in the consumer group; one that died stays until `worker.session_timeout` has passed.

    Raises:
        kafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    try:
        return len(client.describe_groups([group])[group]["members"])
    except CoordinatorNotAvailableError:  # no group ever was on this Kafka: it makes the place for them when one comes
        return 0


def _common(kafka: Kafka) -> dict[str, Any]:
    options: dict[str, Any] = {"security_protocol": security_protocol(kafka)}
    if kafka.sasl != "none":
        assert kafka.password is not None  # the settings refuse a user without one
        options |= {
            "sasl_mechanism": kafka.sasl,
            "sasl_plain_username": kafka.username,
            "sasl_plain_password": kafka.password.get_secret_value(),
        }
    return options
