"""The peers: what each is, how it is started, and how it is tuned, with where that advice stands."""

import subprocess
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import msgspec
import yaml

from benchmarks.ceiling import Traffic
from benchmarks.peers import python_peers
from benchmarks.peers.java_peers import JavaProject
from benchmarks.peers.peer import Peer, Place, own_python
from benchmarks.peers.published import SegflowRecord
from segflow.streams.kafka import topics

AT_LEAST_ONCE: Final = "may repeat"
EXACTLY_ONCE: Final = "every change once"


def _nothing(_say: Callable[[str], None]) -> None:
    """Nothing to prepare: it runs under this Python."""


def _settings_file(place: Place) -> str:
    """Segflow's settings, and the topics they name."""
    topics.create(place.settings)
    path = place.folder / "segflow.yaml"
    content = place.settings.model_dump(mode="json", exclude_defaults=True)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def _segflow(place: Place) -> list[str]:
    return [*own_python("segflow"), "worker", "--settings", _settings_file(place), "--http-port", "0"]


def _faust(module: str) -> Callable[[Place], list[str]]:
    options = ["--without-web", "--loglevel", "warn"]
    program = f"benchmarks.peers.programs.{module}"
    return lambda _place: [python_peers.python(), "-m", "faust", "-A", program, "-L", "uvloop", "worker", *options]


def _own_program(module: str) -> Callable[[Place], list[str]]:
    return lambda _place: [python_peers.python(), "-m", f"benchmarks.peers.programs.{module}"]


def _bytewax(place: Place) -> list[str]:
    """Makes the recovery partition that its documentation asks for before the first run."""
    recovery = place.state / "recovery"
    if not recovery.exists():
        recovery.mkdir()
        make = [python_peers.python(), "-m", "bytewax.recovery", str(recovery), "1"]
        subprocess.run(make, check=True, capture_output=True)
    flow = "benchmarks.peers.programs.bytewax_flow:flow"
    return [python_peers.python(), "-m", "bytewax.run", flow, "-r", str(recovery), "-s", "1", "-b", "0"]


KAFKA_STREAMS: Final = JavaProject("kafka_streams")
FLINK: Final = JavaProject("flink")
FLINK_OPENS: Final = (
    "java.base/java.util",
    "java.base/java.lang",
    "java.base/java.nio",
    "java.base/java.net",
    "java.base/java.time",
    "java.base/java.util.concurrent",
)
"""Of those that Flink's own configuration opens to itself under Java 17 (env.java.opts.all)."""


def _kafka_streams(guarantee: str, promise: str) -> Peer:
    return Peer(
        name="kafka-streams-eos" if promise == EXACTLY_ONCE else "kafka-streams-alos",
        title=f"Kafka Streams {guarantee}",
        promise=promise,
        tuned="a thread a core, topology optimisation, the store's record cache off as every change must be published "
        "(Kafka Streams, Configuring a Streams Application; Memory Management); the collector and heap as Java chooses",
        prepare=KAFKA_STREAMS.prepare,
        command=lambda _place: KAFKA_STREAMS.run(guarantee),
        kept="",
        version=lambda: KAFKA_STREAMS.version("kafka-streams"),
    )


def _flink(backend: str, title: str) -> Peer:
    opens = [f"--add-opens={package}=ALL-UNNAMED" for package in FLINK_OPENS]
    return Peer(
        name=f"flink-{title.lower()}",
        title=f"Flink with {title}",
        promise=EXACTLY_ONCE,
        tuned="a slot a core, object reuse, incremental checkpoints each second, 512 MiB for RocksDB; "
        "a mini-cluster in the process (Flink, Execution Configuration; Large State Tuning; State Backends)",
        prepare=FLINK.prepare,
        command=lambda _place: FLINK.run(backend, options=opens),
        kept="checkpoints",
        version=lambda: FLINK.version("flink-streaming-java"),
    )


SEGFLOW: Final = Peer(
    name="segflow",
    title="segflow",
    promise=EXACTLY_ONCE,
    tuned="the settings that ship, with `dimensions: [lifecycle]`",
    prepare=_nothing,
    command=_segflow,
    needs_redis=True,
    record=SegflowRecord,
    version=lambda: version("segflow"),
)

FAUST_REDIS: Final = Peer(
    name="faust-redis",
    title="Faust with Redis",
    promise=AT_LEAST_ONCE,
    tuned="its extras `uvloop` and `orjson` (Faust, Installation: Bundles), hiredis (redis-py, README)",
    prepare=python_peers.prepare,
    command=_faust("faust_redis"),
    needs_redis=True,
    version=lambda: python_peers.version_of("faust-streaming"),
)

FAUST_TABLE: Final = Peer(
    name="faust-table",
    title="Faust with a Table",
    promise=AT_LEAST_ONCE,
    tuned="as Faust with Redis; the Table in RocksDB (Faust, Tables: for production), by its extra `rocksdict`",
    prepare=python_peers.prepare,
    command=_faust("faust_table"),
    kept="",
    version=lambda: python_peers.version_of("faust-streaming"),
)

QUIX: Final = Peer(
    name="quix",
    title="Quix Streams",
    promise=AT_LEAST_ONCE,
    tuned="at-least-once, its default for speed (Quix Streams, Configuration: Processing Guarantees); "
    "a checkpoint each second",
    prepare=python_peers.prepare,
    command=_own_program("quix"),
    kept="",
    version=lambda: python_peers.version_of("quixstreams"),
)

BYTEWAX: Final = Peer(
    name="bytewax",
    title="Bytewax",
    promise=AT_LEAST_ONCE,
    tuned="batches of 5,000, one worker as several contend for the interpreter (Bytewax, Performance); "
    "a snapshot each second",
    prepare=python_peers.prepare,
    command=_bytewax,
    kept="recovery",
    version=lambda: python_peers.version_of("bytewax"),
)

PEERS: Final = (
    SEGFLOW,
    FAUST_REDIS,
    FAUST_TABLE,
    QUIX,
    BYTEWAX,
    _kafka_streams("exactly_once_v2", EXACTLY_ONCE),
    _kafka_streams("at_least_once", AT_LEAST_ONCE),
    _flink("rocksdb", "RocksDB"),
    _flink("hashmap", "heap"),
)
"""In the order of the table; the ceiling comes after segflow, whose sizes it takes."""


def ceiling(traffic: Traffic) -> Peer:
    """The loop without logic that moves as many bytes as segflow did."""
    sizes = msgspec.json.encode(traffic).decode()
    program = own_python("benchmarks.peers.programs.ceiling")
    return Peer(
        name="ceiling",
        title="the ceiling: no logic",
        promise=EXACTLY_ONCE,
        tuned="one MGET, one MSET and one transaction a partition and fetch, of segflow's sizes",
        prepare=_nothing,
        command=lambda place: [*program, _settings_file(place), sizes],
        needs_redis=True,
        judged=False,
        version=lambda: version("segflow"),
    )
