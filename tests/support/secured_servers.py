"""Apache Kafka and Redis that let nobody in without TLS, a certificate and a password; certificates of our own."""

from pathlib import Path
from typing import Final

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from segflow.embedded.free_port import free_ports
from segflow.embedded.kafka import ApacheKafka
from segflow.embedded.redis_server import RedisServer
from tests.support.proxied_kafka import QUICK

USER: Final = "segflow"
KEEPER: Final = "keeper"
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
MODULE: Final = "org.apache.kafka.common.security"


class Certificates:
    """An authority, a server's certificate for 127.0.0.1 and a client's, as PEM files in `folder`."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("segflow@example.com")
        self.authority = folder / "authority.pem"
        self.stranger = folder / "stranger.pem"  # an authority that signed none of this
        self.server, self.client, self.client_key = (folder / f"{name}.pem" for name in ("server", "client", "key"))
        authority.cert_pem.write_to_path(str(self.authority))
        trustme.CA().cert_pem.write_to_path(str(self.stranger))
        self.server.write_bytes(_key(server) + _chain(server))
        self.client.write_bytes(_chain(client))
        self.client_key.write_bytes(_key(client))


def _chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(each.bytes() for each in certificate.cert_chain_pems)


def _key(certificate: trustme.LeafCert) -> bytes:
    """The private key in PKCS 8, the only form in which Kafka reads one from a PEM file."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class SecuredKafka(ApacheKafka):
    """One broker, two ways in: an open one for the test itself, and one by TLS, client certificate and SASL.

    By the second, nothing is allowed but what an ACL allows.
    """

    def __init__(self, certificates: Certificates, password: str) -> None:
        super().__init__(properties=QUICK)
        (self._secured_port,) = free_ports(1)
        self._certificates = certificates
        self._password = password

    @property
    def secured_address(self) -> str:
        """Where clients connect who have all three."""
        return f"127.0.0.1:{self._secured_port}"

    def _command(self) -> list[str]:
        direct, controller = self.ports
        start = "listener.name.secured"
        self.properties |= {
            "listeners": f"PLAINTEXT://127.0.0.1:{direct},CONTROLLER://127.0.0.1:{controller},"
            f"SECURED://127.0.0.1:{self._secured_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{direct},SECURED://{self.secured_address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",  # who comes by the open way: the broker itself, and the test
            f"{start}.sasl.enabled.mechanisms": ",".join(MECHANISMS),
            f"{start}.plain.sasl.jaas.config": f"{MODULE}.plain.PlainLoginModule required "
            f'user_{USER}="{self._password}";',
            f"{start}.scram-sha-256.sasl.jaas.config": f"{MODULE}.scram.ScramLoginModule required;",
            f"{start}.scram-sha-512.sasl.jaas.config": f"{MODULE}.scram.ScramLoginModule required;",
            f"{start}.ssl.client.auth": "required",
            f"{start}.ssl.keystore.type": "PEM",
            f"{start}.ssl.keystore.location": str(self._certificates.server),
            f"{start}.ssl.truststore.type": "PEM",
            f"{start}.ssl.truststore.location": str(self._certificates.authority),
        }
        return super()._command()


class SecuredRedis(RedisServer):
    """One Redis, two ports: an open one that answers `ping` only, and one by TLS for a user with a password.

    The user may do what docs/operations.md says segflow needs, and nothing else. KEEPER may do everything.
    """

    def __init__(self, certificates: Certificates, password: str, rights: str) -> None:
        (self._secured_port,) = free_ports(1)
        users = certificates.server.with_name("users.acl")
        users.write_text(
            f"user default on nopass -@all +ping +info\nuser {USER} on >{password} {rights}\n"
            f"user {KEEPER} on >{password} ~* &* +@all\n"
        )
        super().__init__(
            options={
                "tls-port": str(self._secured_port),
                "tls-cert-file": str(certificates.server),
                "tls-key-file": str(certificates.server),
                "tls-ca-cert-file": str(certificates.authority),
                "tls-auth-clients": "no",
                "aclfile": str(users),
            }
        )

    @property
    def secured_url(self) -> str:
        """Where segflow connects."""
        return f"rediss://127.0.0.1:{self._secured_port}/0"
