"""Servers that want TLS, a client's certificate, a user and a password: segflow works, or says why not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    UserScramCredentialUpsertion,
)
from redis import Redis

from segflow.schemas.connection_settings import KafkaTopics
from tests.conftest import started_or_skipped
from tests.support.command import segflow, segflow_process
from tests.support.health import Health
from tests.support.histories import START, written
from tests.support.secured_servers import KEEPER, MECHANISMS, USER, Certificates, SecuredKafka, SecuredRedis
from tests.support.service import STOP_S, Service
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

PASSWORD: Final = "not-a-word-of-any-message"  # noqa: S105 - of servers that live for one test
REDIS_RIGHTS: Final = (
    "~segflow:* +@string +@hash +@list +@sortedset +@keyspace +@transaction +@connection -@dangerous +info"
)
"""As docs/operations.md says."""
KAFKA_RIGHTS: Final = {
    ResourceType.TOPIC: (
        ACLOperation.DESCRIBE,
        ACLOperation.DESCRIBE_CONFIGS,
        ACLOperation.READ,
        ACLOperation.WRITE,
        ACLOperation.CREATE,
    ),
    ResourceType.GROUP: (ACLOperation.READ,),
    ResourceType.TRANSACTIONAL_ID: (ACLOperation.DESCRIBE, ACLOperation.WRITE),
}
"""As docs/operations.md says, on names that begin with NAMES."""
NAMES: Final = "segflow-"
PARTITIONS: Final = 2


@dataclass(frozen=True)
class Servers:
    """Both, and what opens them."""

    kafka: SecuredKafka
    redis: SecuredRedis
    certificates: Certificates

    def settings(self, sasl: str, name: str = "") -> dict[str, Any]:
        """The sections `kafka` and `redis` of settings that get in; `name`: of the installation."""
        mine, name = self.certificates, name or sasl
        return {
            "kafka": {
                "address": self.kafka.secured_address,
                "group": f"{NAMES}{name}",
                "tls": True,
                "tls_ca": str(mine.authority),
                "tls_certificate": str(mine.client),
                "tls_key": str(mine.client_key),
                "sasl": sasl,
                "username": USER,
                "password": PASSWORD,
                "topics": {role: f"{NAMES}{name}.{role}" for role in KafkaTopics.model_fields},
            },
            "redis": {
                "url": self.redis.secured_url,
                "prefix": f"segflow:{name}",
                "username": USER,
                "password": PASSWORD,
                "tls_ca": str(mine.authority),
            },
        }


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A Kafka and a Redis of this module's own."""
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    with (
        closing(started_or_skipped(lambda: SecuredKafka(certificates, PASSWORD))) as kafka,
        closing(started_or_skipped(lambda: SecuredRedis(certificates, PASSWORD, REDIS_RIGHTS))) as redis,
    ):
        with closing(KafkaAdminClient(bootstrap_servers=kafka.address)) as admin:
            for name in MECHANISMS[1:]:  # those that keep the user's password in Kafka; one a request
                answer = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, name, PASSWORD)])
                assert answer == {USER: None}
            rights = [
                ACL(f"User:{USER}", "*", operation, ACLPermissionType.ALLOW, pattern)
                for kind, operations in KAFKA_RIGHTS.items()
                for operation in operations
                for pattern in [ResourcePattern(kind, NAMES, ACLResourcePatternType.PREFIXED)]
            ]
            assert not admin.create_acls(rights)["failed"]
        yield Servers(kafka, redis, certificates)


def history() -> list[dict[str, Any]]:
    """Purchases of 20 customers, and the end of one of them."""
    bought: list[dict[str, Any]] = [
        {
            "type": "purchase",
            "event_id": f"p{number}",
            "order_id": f"o{number}",
            "customer_id": f"c{number % 20}",
            "occurred_at": written(START + timedelta(hours=40 * number)),
            "amount": "60.00",
        }
        for number in range(200)
    ]
    gone = {
        "type": "erase",
        "event_id": "gone",
        "customer_id": "c7",
        "occurred_at": written(START + timedelta(hours=40 * 200)),
    }
    return [*bought, gone]


def test_the_rights_documented_are_those_tested() -> None:
    """docs/operations.md has Redis' word for word."""
    document = Path(__file__).parents[2] / "docs" / "operations.md"
    assert f"`{REDIS_RIGHTS}`" in document.read_text(encoding="utf-8")


@pytest.mark.parametrize("sasl", MECHANISMS)
def test_everything_works_over_tls_with_a_client_certificate_and_a_password(
    sasl: str, servers: Servers, tmp_path: Path
) -> None:
    """Topics, doctor, produce, worker, erase, show, audits, with no rights but those documented."""
    installed = Service(tmp_path, "", "", "", PARTITIONS, clock="event", **servers.settings(sasl))
    file = tmp_path / "history.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in history()), encoding="utf-8")
    doctor = segflow("doctor", "--settings", installed.file)
    assert doctor.code == 0, doctor.out + doctor.err
    installed.produce(file)
    options = ("--settings", str(installed.file))

    def worked() -> bool:
        found = segflow("audit", "--json", *options)
        return found.code == 0 and json.loads(found.out)["events"] == len(history())

    with installed.worker():
        until(worked, (tmp_path / "worker.log").read_text)
        for command in (["erase", "c5", "--wait"], ["dead-letters", "--replay"]):
            done = segflow(*command, *options)
            assert done.code == 0, done.out + done.err
    audit = segflow("audit", "--state", *options)
    assert audit.code == 0, audit.out + audit.err
    shown = segflow("show", "c3", *options)
    assert shown.code == 0, shown.out + shown.err
    assert "lifecycle" in shown.out
    assert PASSWORD not in (tmp_path / "worker.log").read_text()


@pytest.mark.parametrize(
    ("command", "section", "name", "value", "says"),
    [
        ("worker", "kafka", "password", "wrong", "Kafka at "),
        ("worker", "kafka", "tls_ca", "stranger", "Kafka at "),
        ("worker", "kafka", "tls", False, "Kafka at "),
        ("doctor", "kafka", "password", "wrong", "Kafka at "),
        ("worker", "redis", "password", "wrong", "Redis at "),
        ("worker", "redis", "tls_ca", "stranger", "Redis at "),
        ("doctor", "redis", "username", "somebody", "Redis at "),
    ],
)
def test_a_server_that_lets_nobody_in_is_named_with_the_reason(
    command: str, section: str, name: str, value: Any, says: str, servers: Servers, tmp_path: Path
) -> None:
    """One message, no traceback, no password; exit code 2 from the worker, 1 or 2 from the doctor."""
    content = servers.settings("SCRAM-SHA-512")
    installed = Service(tmp_path, "", "", "", PARTITIONS, **content)
    content[section][name] = str(servers.certificates.stranger) if value == "stranger" else value
    installed.file.write_text(yaml.safe_dump(content), encoding="utf-8")
    done = segflow_process(command, "--settings", installed.file)
    assert done.code == 2 if command == "worker" else done.code in (1, 2), done.out + done.err
    assert says in done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert PASSWORD not in done.out + done.err


@contextmanager
def no_write_to_changes(servers: Servers, topic: str) -> Iterator[None]:
    """Kafka refuses the user one topic for a while."""
    place = ResourcePattern(ResourceType.TOPIC, topic, ACLResourcePatternType.LITERAL)
    refusal = ACL(f"User:{USER}", "*", ACLOperation.WRITE, ACLPermissionType.DENY, place)
    with closing(KafkaAdminClient(bootstrap_servers=servers.kafka.address)) as admin:
        assert not admin.create_acls([refusal])["failed"]
        try:
            yield
        finally:
            admin.delete_acls([refusal])


@contextmanager
def no_write_to_redis(servers: Servers) -> Iterator[None]:
    """Redis refuses the user every write for a while."""
    trusted = str(servers.certificates.authority)
    keeper: Any = Redis.from_url(servers.redis.secured_url, username=KEEPER, password=PASSWORD, ssl_ca_certs=trusted)
    with closing(keeper):
        keeper.execute_command("ACL", "SETUSER", USER, "-@write")
        try:
            yield
        finally:
            keeper.execute_command("ACL", "SETUSER", USER, *REDIS_RIGHTS.split()[1:])


def test_a_right_that_is_taken_away_parks_the_shards_until_it_is_given_back(servers: Servers, tmp_path: Path) -> None:
    """Said by the log, /ready, the metric and the doctor; then the shards go on by themselves, and nothing is lost."""
    installed = Service(tmp_path, "", "", "", PARTITIONS, clock="event", **servers.settings("PLAIN", "rights"))
    page, log, file = Health.at_free_port(), tmp_path / "worker.log", tmp_path / "history.jsonl"
    events, shards = history(), [str(number) for number in range(PARTITIONS)]

    def bought(some: list[dict[str, Any]]) -> None:
        file.write_text("".join(json.dumps(each) + "\n" for each in some), encoding="utf-8")
        installed.produce(file)

    def all_read(count: int) -> bool:
        heads = [head for head in installed.heads() if head is not None]
        return sum(each.purchases.offset + each.interactions.offset for each in heads) == count

    with worker_that_tries_soon(installed, page.port):
        until(page.is_ready, log.read_text)
        for start, taken in (
            (0, no_write_to_changes(servers, installed.settings.kafka.topics.changes)),
            (100, no_write_to_redis(servers)),
        ):
            with taken:
                bought(events[start : start + 100])
                until(
                    lambda: page.verdict("ready").get("parked") == dict.fromkeys(shards, "not_allowed"), log.read_text
                )
                assert page.metrics()["segflow_parked"] == {("not_allowed", each): 1.0 for each in shards}
                assert any("Give it the right" in each for each in page.verdict("ready")["why_not"])
                doctor = segflow("doctor", "--settings", installed.file)
                assert doctor.code == 1, doctor.out
                assert "may not" in doctor.out
            until(lambda: all_read(start + 100), log.read_text)  # noqa: B023 - called before the next turn
            until(page.is_ready, log.read_text)
    said = log.read_text()
    assert "shard 0 is parked (not_allowed): shard 0: segflow's user may not do what it has to" in said
    assert said.count("shard 0 goes on; it was parked (not_allowed)") == 2, said  # never before it could
    assert "Traceback" not in said
    assert PASSWORD not in said
    audit = segflow("audit", "--state", "--settings", installed.file)
    assert audit.code == 0, audit.out


SOON: Final = """
from segflow.cli.main import main
from segflow.streams.shard import shard
shard.AGAIN_S = 1.0
main()
"""
"""The worker, but that it tries a parked shard again after a second, and not after a minute."""


@contextmanager
def worker_that_tries_soon(installed: Service, port: int) -> Iterator[None]:
    """A worker process with its pages, stopped in the end by SIGTERM, which must end it cleanly."""
    arguments = ["worker", "--settings", str(installed.file), "--http-port", str(port)]
    with (installed.file.parent / "worker.log").open("ab") as said:
        process = subprocess.Popen([sys.executable, "-c", SOON, *arguments], stdout=said, stderr=said)
    try:
        yield
        process.terminate()
        assert process.wait(STOP_S) == 0
    finally:
        process.kill()
        process.wait()
