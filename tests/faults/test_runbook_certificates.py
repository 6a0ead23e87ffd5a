"""The runbook for certificates, walked on a Kafka and a Redis that both want TLS."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from redis import Redis

from segflow.embedded.free_port import free_ports
from segflow.embedded.redis_server import RedisServer
from segflow.schemas.settings_file import parse
from tests.conftest import started_or_skipped
from tests.faults.installation import Installation
from tests.faults.runbook import changed, commands, purchases, shown, typed
from tests.support.secured_servers import USER, Certificates, SecuredKafka

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

PASSWORD: Final = "for-one-test"  # noqa: S105 - of a server that lives for one test
LISTENER: Final = "listener.name.secured.ssl"


@contextmanager
def secured_kafka(certificates: Certificates) -> Iterator[SecuredKafka]:
    """A broker whose certificate may change while it runs, also for one of another name."""
    broker = SecuredKafka(certificates, PASSWORD)
    broker.properties |= dict.fromkeys(
        ("allow.everyone.if.no.acl.found", "ssl.allow.dn.changes", "ssl.allow.san.changes"), "true"
    )
    with closing(started_or_skipped(lambda: broker)):
        yield broker


@contextmanager
def secured_redis(certificates: Certificates) -> Iterator[tuple[RedisServer, str]]:
    """A Redis, and where it is by TLS."""
    (port,) = free_ports(1)
    server = RedisServer(options={"tls-port": str(port), "tls-auth-clients": "no"} | pair(certificates))
    with closing(started_or_skipped(lambda: server)):
        yield server, f"rediss://127.0.0.1:{port}/0"


def pair(certificates: Certificates) -> dict[str, str]:
    """Redis' settings for its certificate and key."""
    return dict.fromkeys(("tls-cert-file", "tls-key-file"), str(certificates.server))


def placed(certificates: Certificates, folder: Path) -> None:
    """Put the client's certificate and key where the settings name them."""
    shutil.copy(certificates.client, folder / "client.pem")
    shutil.copy(certificates.client_key, folder / "key.pem")


def test_the_authority_of_all_certificates_changes_while_a_worker_works(tmp_path: Path, unique_prefix: str) -> None:
    """Both authorities hold for a while; in the end neither servers nor workers know the old one."""
    trust_both, look, trust_new = commands("A certificate changes")
    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    old, new = map(Certificates, folders)
    for name, each in (("old", old), ("new", new)):
        shutil.copy(each.authority, tmp_path / f"{name}-authority.pem")
    shutil.copy(old.authority, tmp_path / "authority.pem")
    placed(old, tmp_path)
    with secured_kafka(old) as kafka, secured_redis(old) as (redis, url):
        installed = secured(tmp_path, kafka, redis, url, unique_prefix)
        with installed.ready_worker() as first:
            installed.put(purchases(5))
            installed.settles()
            typed(trust_both, installed)
            first.stop()
        with installed.ready_worker() as second:
            both = tmp_path / "both.pem"
            shutil.copy(tmp_path / "authority.pem", both)
            set_in_redis(redis, new)
            set_in_kafka(kafka, server=new.server, trusted=both)
            placed(new, tmp_path)
            installed.put(purchases(5, first=100))
            installed.settles()
            typed(look, installed)
            typed(trust_new, installed)
            second.stop()
        set_in_kafka(kafka, server=new.server, trusted=new.authority)
        with installed.ready_worker():
            installed.put(purchases(5, first=200))
            installed.settles()
            assert "c204" in shown("c204", installed)


def secured(folder: Path, kafka: SecuredKafka, redis: RedisServer, url: str, prefix: str) -> Installation:
    """An installation whose workers, and whose test, have no other way in than by TLS."""
    installed = Installation(folder, direct=kafka.address, address=kafka.address, redis=redis.url, prefix=prefix)
    authority = str(folder / "authority.pem")
    tls = {"tls": True, "tls_ca": authority}
    tls |= {"tls_certificate": str(folder / "client.pem"), "tls_key": str(folder / "key.pem")}
    sasl = {"address": kafka.secured_address, "sasl": "PLAIN", "username": USER, "password": PASSWORD}
    installed.content |= {
        "kafka": installed.content["kafka"] | tls | sasl,
        "redis": installed.content["redis"] | {"url": url, "tls_ca": authority},
    }
    changed(installed)
    there = parse(installed.content, name="test", environment={})
    installed.settings = installed.settings.model_copy(update={"redis": there.redis})
    return installed


def set_in_redis(redis: RedisServer, certificates: Certificates) -> None:
    """Give it another certificate while it runs."""
    with closing(Redis.from_url(redis.url)) as client:
        client.config_set(*(part for item in pair(certificates).items() for part in item))


def set_in_kafka(kafka: SecuredKafka, *, server: Path, trusted: Path) -> None:
    """Give the broker another certificate while it runs, and other authorities of clients."""
    configs = {f"{LISTENER}.keystore.location": str(server), f"{LISTENER}.truststore.location": str(trusted)}
    with closing(KafkaAdminClient(bootstrap_servers=kafka.address)) as admin:
        (node,) = admin.describe_cluster()["brokers"]
        broker = ConfigResource(ConfigResourceType.BROKER, str(node["broker_id"]), configs=configs)
        admin.alter_configs([broker], raise_on_unknown=False)  # it knows no names with a listener's
