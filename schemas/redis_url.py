"""The address of Redis: one server, sentinels that know which server is the primary, or servers of a cluster."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

SENTINEL_PORT: Final = 26379
"""Redis' own default for a sentinel."""
ONE_SERVER: Final = re.compile(r"(redis|rediss|unix)://\S+")
SENTINELS: Final = re.compile(r"rediss?\+sentinel://\S+")
CLUSTER_PORT: Final = 6379
"""Redis' own default."""
CLUSTER: Final = re.compile(r"rediss?\+cluster://\S+")
HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,@/\[\]]+)(?::(\d{1,5}))?")
OPTIONS: Final = {
    "db": re.compile(r"\d{1,4}"),
    "username": re.compile(r".*"),
    "password": re.compile(r".*"),
    "ssl_cert_reqs": re.compile(r"none|optional|required"),
    "ssl_check_hostname": re.compile(r"(?i)true|false|yes|no|0|1"),
    "ssl_ca_certs": re.compile(r".+"),
    "ssl_certfile": re.compile(r".+"),
    "ssl_keyfile": re.compile(r".+"),
}
"""The options that may follow the address of one server (`?name=value`), and how their values look. redis-py takes
more, such as timeouts, but those are segflow's to set. One that redis-py does not know would fail only when it
connects."""
EXAMPLE: Final = "redis+sentinel://host1:26379,host2:26379,host3:26379/mymaster/0"
CLUSTER_EXAMPLE: Final = "redis+cluster://host1:6379,host2:6379,host3:6379"


@dataclass(frozen=True, kw_only=True, slots=True)
class SentinelAddress:
    """Sentinels and what to ask them for.

    `tls`: of the servers and of the sentinels. `username`, `password`: of the servers.
    """

    hosts: tuple[tuple[str, int], ...]
    service: str  # the name under which the sentinels know the primary
    database: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The address for people, without user and password."""
        return f"redis{'s' if self.tls else ''}+sentinel://{_joined(self.hosts)}/{self.service}/{self.database}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterAddress:
    """Some servers of a cluster, which know the others. All have the same user."""

    hosts: tuple[tuple[str, int], ...]
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The address for people, without user and password."""
        return f"redis{'s' if self.tls else ''}+cluster://{_joined(self.hosts)}"


def checked(url: str) -> str:
    """The URL, if it is an address of Redis.

    Raises:
        ValueError: it is none. The message does not quote it: a password may stand in it.
    """
    if SENTINELS.fullmatch(url):
        sentinel_address(url)
    elif CLUSTER.fullmatch(url):
        cluster_address(url)
    elif not ONE_SERVER.fullmatch(url):
        raise ValueError(
            "must be a URL such as redis://127.0.0.1:6379/0, rediss:// with TLS, "
            f"{EXAMPLE} (the sentinels, the primary's name, the database), or {CLUSTER_EXAMPLE} (servers of a cluster)"
        )
    else:
        _check_options(url)
    return url


def _check_options(url: str) -> None:
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name not in OPTIONS:
            raise ValueError(f"has an option {name!r} that segflow does not take. It takes {', '.join(OPTIONS)}")
        if not OPTIONS[name].fullmatch(value):
            raise ValueError(f"has an option {name} with a value that it cannot have")


def sentinel_address(url: str) -> SentinelAddress | None:
    """The sentinels that a URL names; None where it is the address of one server.

    Raises:
        ValueError: it begins as one of sentinels, and goes on otherwise.
    """
    if not SENTINELS.fullmatch(url):
        return None
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    service, _, database = path.partition("/")
    hosts, name, password = _place(place, SENTINEL_PORT)
    if not hosts or not re.fullmatch(r"[\w.-]+", service) or not re.fullmatch(r"\d{0,4}", database):
        raise ValueError(f"must name sentinels as in {EXAMPLE}: the sentinels, the primary's name, the database")
    return SentinelAddress(
        hosts=hosts,
        service=service,
        database=int(database or 0),
        tls=scheme.startswith("rediss"),
        username=name,
        password=password,
    )


def cluster_address(url: str) -> ClusterAddress | None:
    """The servers of a cluster that a URL names; None where it is another address.

    Raises:
        ValueError: it begins as one of a cluster, and goes on otherwise.
    """
    if not CLUSTER.fullmatch(url):
        return None
    scheme, _, rest = url.partition("://")
    place, _, database = rest.partition("/")
    hosts, name, password = _place(place, CLUSTER_PORT)
    if not hosts or database not in ("", "0"):
        raise ValueError(f"must name servers of a cluster as in {CLUSTER_EXAMPLE}; a cluster has database 0 only")
    return ClusterAddress(hosts=hosts, tls=scheme.startswith("rediss"), username=name, password=password)


def _place(text: str, port: int) -> tuple[tuple[tuple[str, int], ...], str | None, str | None]:
    """The hosts, the user's name and the password; no hosts where one is none. `port`: of a host without."""
    user, _, hosts = text.rpartition("@")
    name, _, password = user.partition(":") if ":" in user else ("", "", user)
    found = [HOST.fullmatch(each) for each in hosts.split(",")]
    places = tuple((each[1].strip("[]"), int(each[2]) if each[2] else port) for each in found if each is not None)
    return places if len(places) == len(found) else (), unquote(name) or None, unquote(password) or None


def _joined(hosts: tuple[tuple[str, int], ...]) -> str:
    return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts)
