"""docker-compose.yml and Dockerfile agree with the code; nothing here needs Docker."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from segflow.schemas import settings_file
from segflow.schemas.redis_url import cluster_address
from segflow.schemas.settings import Settings
from segflow.schemas.settings_file import DEFAULT_FILE, ENVIRONMENT
from tests.support.command import is_taken

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
OURS = [name for name, service in SERVICES.items() if "build" in service]
DEFAULTS = Settings.model_validate({})


def segflow_settings(name: str) -> Settings:
    """What `segflow` sees in a service: the settings file put there, and the environment."""
    (config,) = SERVICES[name]["configs"]
    content = yaml.safe_load(COMPOSE["configs"][config["source"]]["content"])
    environment = {key: default_of(value) for key, value in SERVICES[name]["environment"].items()}
    return settings_file.parse(content, name=name, environment=environment)


def default_of(value: str) -> str:
    """The value where the host's environment says nothing."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)


def published(name: str) -> list[tuple[str, str, str]]:
    """(host address, host port, container port) of each published port."""
    return [tuple(port.rsplit(":", 2)) for port in SERVICES[name].get("ports", [])]


@pytest.mark.parametrize("name", OURS)
def test_the_commands_and_options_exist(name: str) -> None:
    """Each service's command line is one that `segflow` takes."""
    is_taken(SERVICES[name]["command"])


@pytest.mark.parametrize("name", OURS)
def test_the_environment_and_settings_are_ones_we_read(name: str) -> None:
    """Every variable is known, the file stands where it is looked for, and both lead to the other services."""
    assert SERVICES[name]["environment"].keys() <= ENVIRONMENT.keys()
    (config,) = SERVICES[name]["configs"]
    workdir = re.findall(r"^WORKDIR (\S+)", DOCKERFILE, re.MULTILINE)[-1]
    assert config["target"] == f"{workdir}/{DEFAULT_FILE}"
    loaded = segflow_settings(name)
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert f"INTERNAL://{loaded.kafka.address}" in listeners
    assert urlsplit(loaded.redis.url).hostname in SERVICES


def test_the_hosts_ports_are_the_defaults_of_the_settings() -> None:
    """`segflow` on the host needs no settings; nothing listens beyond this machine."""
    assert published("kafka") == [(*DEFAULTS.kafka.address.split(":"), "9092")]
    assert f"HOST://{DEFAULTS.kafka.address}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(
        ","
    )
    redis = urlsplit(DEFAULTS.redis.url)
    assert published("redis") == [(redis.hostname, str(redis.port), "6379")]
    assert all(address == "127.0.0.1" for name in SERVICES for address, _, _ in published(name))


def test_the_images_are_the_versions_the_tests_run_on() -> None:
    """Kafka as in embedded/pom.xml, Redis 7, and a Python the project supports."""
    pom = (ROOT / "segflow" / "embedded" / "pom.xml").read_text(encoding="utf-8")
    (version,) = re.findall(r"<kafka\.version>(.+?)</kafka\.version>", pom)
    image, _, tag = SERVICES["kafka"]["image"].partition(":")
    assert (image, tag.split(".")[0]) == ("apache/kafka", version.split(".")[0])
    assert re.fullmatch(r"redis:7(\.[\d.]+)?(-alpine)?", SERVICES["redis"]["image"])
    assert re.search(r"^FROM python:3\.1[1-9]-slim$", DOCKERFILE, re.MULTILINE)


def test_redis_keeps_what_it_is_given() -> None:
    """An append-only file on a named volume, and no eviction."""
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_cluster_s_servers_are_those_of_the_address_that_the_file_names() -> None:
    """Known by their names, on volumes of their own, under the profile only; all are joined, and keep what they get."""
    comment = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    (url,) = re.findall(r"SEGFLOW_REDIS=(redis\+cluster://\S+)", comment)
    address = cluster_address(url)
    assert address is not None
    names = [host for host, _ in address.hosts]
    making = SERVICES["redis-cluster"]
    assert " ".join(f"{host}:{port}" for host, port in address.hosts) in making["command"][-1]
    assert making["depends_on"].keys() == set(names)
    for name in names:
        service = SERVICES[name]
        assert service["hostname"] == name
        assert service["volumes"] == [f"{name}:/data"]
        assert name in COMPOSE["volumes"]
        for option in ("--appendonly yes", "noeviction", "--cluster-enabled yes", "endpoint-type hostname"):
            assert option in service["command"][-1]
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["cluster"]} == {
        *names,
        "redis-cluster",
    }


@pytest.mark.parametrize("name", ["kafka", "redis"])
def test_what_must_last_stands_on_a_named_volume(name: str) -> None:
    """`docker compose down` loses nothing."""
    (volume,) = SERVICES[name]["volumes"]
    source, _, target = volume.partition(":")
    assert source in COMPOSE["volumes"]
    assert target == {"kafka": SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"], "redis": "/data"}[name]


def test_the_worker_starts_after_what_it_needs() -> None:
    """Each thing waited for has the health check, or the end, that is waited for."""
    waits = SERVICES["worker"]["depends_on"] | SERVICES["topics"]["depends_on"]
    assert {name: wait["condition"] for name, wait in waits.items()} == {
        "kafka": "service_healthy",
        "redis": "service_healthy",
        "topics": "service_completed_successfully",
    }
    assert all("healthcheck" in SERVICES[name] for name in ("kafka", "redis", "worker"))
    assert "restart" not in SERVICES["topics"]  # it ends


def test_the_workers_health_is_asked_where_it_is_served() -> None:
    """The health check's address is the settings' http_host and http_port."""
    check = SERVICES["worker"]["healthcheck"]["test"][-1]
    compile(check, "healthcheck", "exec")
    (url,) = re.findall(r"'(http://\S+?)'", check)
    settings = segflow_settings("worker").worker
    assert urlsplit(url).port == settings.http_port
    assert settings.http_host in (urlsplit(url).hostname, "0.0.0.0")  # noqa: S104 - all addresses, within the container
    assert urlsplit(url).path == "/ready"


def test_the_dockerfile_copies_what_exists_and_every_package() -> None:
    """Each source is in the repository, and no package that the project installs is left out."""
    sources = [name for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    assert [name for name in sources if not (ROOT / name).exists()] == []
    assert {"schemas", "segflow", "state", "streams"} <= set(sources)


def test_the_container_does_not_run_as_root() -> None:
    """The last USER is one made for it."""
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["segflow"]
    assert "useradd" in DOCKERFILE
