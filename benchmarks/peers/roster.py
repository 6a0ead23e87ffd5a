"""The peers: what each is, how it is started, and how it is tuned, with where that advice stands."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import msgspec
import yaml

from benchmarks.ceiling import Traffic
from benchmarks.peers import python_peers
from benchmarks.peers.peer import Peer, Place, own_python
from benchmarks.peers.published import SegflowRecord
from streams import topics

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
    return [*own_python("streams"), "worker", "--settings", _settings_file(place), "--http-port", "0"]


def _faust(module: str) -> Callable[[Place], list[str]]:
    options = ["--without-web", "--loglevel", "warn"]
    program = f"benchmarks.peers.programs.{module}"
    return lambda _place: [python_peers.python(), "-m", "faust", "-A", program, "-L", "uvloop", "worker", *options]


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

PEERS: Final = (SEGFLOW, FAUST_REDIS)
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
