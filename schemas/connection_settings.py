"""Sections of the settings: the addresses of Kafka and Redis, and the access to them."""

import re
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from segflow.schemas.duration import Duration
from segflow.schemas.redis_url import checked
from segflow.schemas.section import Count, Section, Wait


def _broker(address: str) -> str:
    if "@" in address or "//" in address:  # not quoted: a password may stand in it
        raise ValueError("must be host:port without a user or a scheme: see kafka.username, kafka.password, kafka.tls")
    if re.fullmatch(r"[^\s,]+:\d{1,5}(,[^\s,]+:\d{1,5})*", address) is None:
        raise ValueError("must be host:port such as 127.0.0.1:9092, several with commas")
    return address


JOURNAL_LEAST: Final = timedelta(hours=1)
"""Of the retention of the journal. Kafka looks every few minutes for what is too old; in less than an hour nobody who
is called could look at what happened."""


def _retention(span: timedelta) -> timedelta:
    if span < JOURNAL_LEAST:
        raise ValueError("must be 1h at least; null is for ever")
    return span


Topic = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]  # what Kafka allows


class KafkaTopics(Section):
    """The name of every topic that segflow reads or writes."""

    purchases: Topic = "commerce.purchases"
    interactions: Topic = "commerce.interactions"
    changes: Topic = "segments.changes"
    current: Topic = "segments.current"
    alerts: Topic = "segments.alerts"
    dead_letters: Topic = "segments.dead-letters"
    journal: Topic = "segments.journal"
    control: Topic = "segments.control"
    handover: Topic = "segments.handover"
    state: Topic = "segments.state"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = list(self.model_dump().values())
        if len(set(names)) != len(names):
            raise ValueError("every topic needs a name of its own")
        return self


class Kafka(Section):
    """The address of Kafka and the access to it."""

    address: Annotated[str, AfterValidator(_broker)] = Field(
        "127.0.0.1:9092", description="host:port, several with commas"
    )
    group: Annotated[str, StringConstraints(min_length=1)] = Field(
        "segflow", description="consumer group; also the prefix of the shards' transactional ids"
    )
    topics: KafkaTopics = KafkaTopics()
    partitioner: Literal["murmur2", "crc32"] = Field(
        "murmur2", description="how the producers of both inputs place keys: murmur2 (Java) or crc32 (librdkafka)"
    )
    tls: bool = False
    tls_ca: str | None = Field(None, description="file with the certificate authority; null: the system's")
    tls_certificate: str | None = Field(None, description="file with the client's certificate")
    tls_key: str | None = Field(None, description="file with the client's key")
    sasl: Literal["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "none"
    username: str | None = None
    password: SecretStr | None = None
    compression: Literal["lz4", "none"] = Field(
        "lz4", description="compression of what segflow publishes; none: for subscribers whose client cannot read lz4"
    )
    replication: Count = Field(1, description="replicas of the topics that `segflow topics --create` makes")
    journal_retention: Annotated[Duration, AfterValidator(_retention)] | None = Field(
        timedelta(days=7),
        description="time for which `segflow topics --create` and `--migrate` have the journal kept: an audit looks at "
        "each commit that far back; null: for ever, as always with `worker.guarantee: at_least_once`",
    )

    @model_validator(mode="after")
    def _sasl_has_a_user(self) -> Self:
        if self.sasl != "none" and (self.username is None or self.password is None):
            raise ValueError(
                f"sasl {self.sasl} needs username and password (SEGFLOW_KAFKA_USERNAME, SEGFLOW_KAFKA_PASSWORD)"
            )
        return self


class Redis(Section):
    """The address of Redis and the access to it."""

    url: Annotated[str, AfterValidator(checked)] = Field(
        "redis://127.0.0.1:6379/0",
        description="redis://, or rediss:// with TLS; or sentinels, which know the primary: "
        "redis+sentinel://host1:26379,host2:26379/mymaster/0, or rediss+sentinel://; or servers of a cluster: "
        "redis+cluster://host1:6379,host2:6379, or rediss+cluster://",
        repr=False,
    )  # not in repr: a password may stand in it
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_.-]{0,64}$")] = Field(
        "segflow", description="starts every key, so that two installations share a Redis"
    )
    username: str | None = Field(None, description="ACL user")
    password: SecretStr | None = None
    sentinel_username: str | None = Field(None, description="ACL user of the sentinels, which have users of their own")
    sentinel_password: SecretStr | None = Field(None, description="password of the sentinels, if they want one")
    tls_ca: str | None = None
    timeout: Wait = Field(
        timedelta(seconds=3),
        description="longest wait for one round trip; well below the session timeout, as a commit waits for it",
    )
