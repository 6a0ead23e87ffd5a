"""The address of Redis: one server, or sentinels that know which server is the primary."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

SENTINEL_PORT: Final = 26379
"""Redis' own default for a sentinel."""
ONE_SERVER: Final = re.compile(r"(redis|rediss|unix)://\S+")
SENTINELS: Final = re.compile(r"rediss?\+sentinel://\S+")
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
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"redis{'s' if self.tls else ''}+sentinel://{hosts}/{self.service}/{self.database}"


def checked(url: str) -> str:
    """The URL, if it is an address of Redis.

    Raises:
        ValueError: it is none. The message does not quote it: a password may stand in it.
    """
    if SENTINELS.fullmatch(url):
        sentinel_address(url)
    elif not ONE_SERVER.fullmatch(url):
        raise ValueError(
            "must be a URL such as redis://127.0.0.1:6379/0, rediss:// with TLS, or "
            f"{EXAMPLE} (the sentinels, the primary's name, the database)"
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
    user, _, hosts = place.rpartition("@")
    service, _, database = path.partition("/")
    found = [HOST.fullmatch(each) for each in hosts.split(",")]
    if not all(found) or not re.fullmatch(r"[\w.-]+", service) or not re.fullmatch(r"\d{0,4}", database):
        raise ValueError(f"must name sentinels as in {EXAMPLE}: the sentinels, the primary's name, the database")
    name, _, password = user.partition(":") if ":" in user else ("", "", user)
    return SentinelAddress(
        hosts=tuple(
            (each[1].strip("[]"), int(each[2]) if each[2] else SENTINEL_PORT) for each in found if each is not None
        ),
        service=service,
        database=int(database or 0),
        tls=scheme.startswith("rediss"),
        username=unquote(name) or None,
        password=unquote(password) or None,
    )
