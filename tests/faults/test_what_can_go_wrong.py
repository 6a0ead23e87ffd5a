"""Each state of docs/what-can-go-wrong.md, brought about: every sign that the page names shows."""

import json
import operator
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

import pytest
import yaml
from redis import Redis

from segflow.embedded.redis_server import RedisServer
from segflow.state.keys import Keys
from tests.conftest import started_or_skipped
from tests.faults.installation import Installation, spoil_records
from tests.faults.stream import BAD, PURCHASES, Stream, misplaced, unusable
from tests.faults.worker_process import WorkerProcess
from tests.support.command import segflow
from tests.support.health import Health
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.shifted_clock import wrong_clock
from tests.support.state_page import ROOT, ROWS, states
from tests.support.until import until

STATES: Final = states()


@dataclass(kw_only=True)
class Place:
    """An installation with a running worker, and the servers that a state is brought about with."""

    installed: Installation
    worker: WorkerProcess
    health: Health
    redis: RedisServer
    kafka: ProxiedKafka
    stack: ExitStack = field(default_factory=ExitStack)  # what undoes the state

    def redis_client(self) -> Redis:
        """A client of the Redis itself."""
        return self.stack.enter_context(closing(Redis.from_url(self.redis.url)))

    def flowing(self) -> None:
        """Records come in for as long as the state lasts."""
        self.stack.enter_context(self.installed.flowing(Stream(1, step_hours=0.1), 50))


COMPARISONS: Final = {">": operator.gt, "<": operator.lt, "==": operator.eq}
Bring = Callable[[Place], None]
SCENARIOS: dict[str, Bring] = {}
FROM_INPUTS: Final = ("Redis lost its state and the inputs are cut", "Redis is the only copy")
"""States of an installation whose state topic has nothing."""
LASTING: set[str] = set()
"""States that nothing undoes, or that a log line a minute would hide: each has an installation of its own."""


def state(heading: str, *, lasts: bool = False) -> Callable[[Bring], Bring]:
    """The function brings about the state that the page has under that heading."""

    def note(bring: Bring) -> Bring:
        SCENARIOS[heading] = bring
        if lasts:
            LASTING.add(heading)
        return bring

    return note


@state("Redis does not answer")
def redis_silent(place: Place) -> None:
    """Halted: its connections stay open, and nothing comes."""
    place.redis.pause()
    place.stack.callback(place.redis.resume)


@state("Kafka does not answer")
def kafka_silent(place: Place) -> None:
    """Halted likewise."""
    place.kafka.wire.silence()
    place.stack.callback(place.kafka.wire.resume)


@state("Redis is full")
def redis_full(place: Place) -> None:
    """No write fits, while events come."""
    client = place.redis_client()
    client.config_set("maxmemory", 1)
    place.stack.callback(client.config_set, "maxmemory", 0)
    place.flowing()


@state("Records cannot be used", lasts=True)
def records_unusable(place: Place) -> None:
    """Some of each kind."""
    place.installed.put(unusable("c1", number, Random(number)) for number in range(20))


@state("Keys are on other partitions", lasts=True)
def keys_misplaced(place: Place) -> None:
    """A producer with another partitioner."""
    place.installed.put((misplaced(f"c{number}", number) for number in range(20)), beside=1)


@state("Redis lost its state")
def redis_emptied(place: Place) -> None:
    """While records come in."""
    place.flowing()
    place.redis_client().flushall()


@state("Redis lost its state and the inputs are cut", lasts=True)
def redis_emptied_for_good(place: Place) -> None:
    """Some records are gone, as after retention."""
    cut(place.installed)
    place.redis_client().flushall()


@state("Redis is the only copy", lasts=True)
def redis_only(place: Place) -> None:
    """The same, with Redis as it was. What the inputs reach back to is looked up now and then; a start is a look."""
    cut(place.installed)
    place.worker.stop()
    place.worker = place.stack.enter_context(place.installed.worker(http_port=place.health.port))


@state("A shard is parked", lasts=True)
def shard_parked(place: Place) -> None:
    """The record of a customer is garbage, and the customer buys."""
    spoil_records(place.redis_client(), Keys(place.installed.settings.redis.prefix, 0))
    place.flowing()


@state("Partitions were added", lasts=True)
def partitions_added(place: Place) -> None:
    """To both inputs."""
    place.installed.add_partitions(5)


@state("A topic was recreated", lasts=True)
def topic_recreated(place: Place) -> None:
    """An input, by a script that means well.

    A worker whose group looks while there is no such topic ends at once, and whoever starts it again, the next one says
    it.
    """
    place.installed.make_anew(PURCHASES)
    until(lambda: place.worker.process.poll() is not None, place.worker.said)
    if place.worker.process.returncode == 1:
        assert "the topic was deleted" in place.worker.said()
        place.worker = place.stack.enter_context(place.installed.worker(http_port=place.health.port))


@state("Commits do not get through", lasts=True)
def commits_stand(place: Place) -> None:
    """The changes have no topic any more."""
    place.installed.delete("changes")
    place.flowing()


@state("The clocks differ", lasts=True)
def clocks_differ(place: Place) -> None:
    """The worker starts again on a machine that is two hours behind."""
    place.worker.stop()
    with wrong_clock(-7200):
        place.worker = place.stack.enter_context(place.installed.worker(http_port=place.health.port))


def cut(installed: Installation) -> None:
    """Retention takes the first records of an input of shard 0."""
    installed.cut_by_retention(PURCHASES, 0, 5)


@contextmanager
def running(folder: Path, kafka: ProxiedKafka, content: dict[str, Any] | None = None) -> Iterator[Place]:
    """A worker that has worked some events; `content`: more settings."""
    folder.mkdir(exist_ok=True)
    health = Health.at_free_port()
    with closing(started_or_skipped(RedisServer)) as redis:
        installed = Installation(
            folder,
            direct=kafka.address,
            address=kafka.proxied_address,
            redis=redis.url,
            redis_timeout="2s",
            prefix=f"t{uuid4().hex[:8]}-",
            content=content,
        )
        installed.put(record for record in Stream(0).take(40) if BAD.encode() not in (record.value or BAD.encode()))
        with installed.ready_worker(health) as worker:
            installed.settles()
            yield Place(installed=installed, worker=worker, health=health, redis=redis, kafka=kafka)


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory, hurt_kafka: ProxiedKafka) -> Iterator[Place]:
    """For the states that pass."""
    with running(tmp_path_factory.mktemp("shared"), hurt_kafka) as place:
        yield place


def is_logged(worker: WorkerProcess, quoted: str, start: int) -> None:
    """Wait until the log has those words from that place on."""
    until(lambda: quoted in worker.said()[start:], lambda: f"{quoted!r} is not in its log:\n{worker.said()[start:]}")


def is_said(health: Health, quoted: str) -> None:
    """Wait until /ready says those words."""

    def said() -> str:
        return json.dumps(health.verdict("ready"), ensure_ascii=False)

    until(lambda: quoted in said(), lambda: f"{quoted!r} is not in {said()}")


def holds(health: Health, expression: str) -> None:
    """Wait until `name{label="value"} > 0` or `name == 0` holds for some sample of the worker's metrics."""
    found = re.fullmatch(r'(\w+)(?:\{\w+="(\w+)"\})? (>|<|==) (-?\d+)', expression)
    assert found is not None, expression
    name, label, comparison, number = found.groups()

    def is_so() -> bool:
        samples = health.metrics().get(name, {})
        values = [value for labels, value in samples.items() if label is None or label in labels]
        return any(COMPARISONS[comparison](value, float(number)) for value in values)

    until(is_so, lambda: f"not {expression}: {health.metrics().get(name)}")


def test_every_state_of_the_page_has_every_sign_and_is_brought_about() -> None:
    """No state without a test, no test without a place on the page, no sign left out."""
    assert set(STATES) == set(SCENARIOS)
    assert {heading: tuple(signs) for heading, signs in STATES.items()} == dict.fromkeys(STATES, ROWS)


def test_every_alert_of_the_page_is_a_rule_on_a_metric_of_its_state() -> None:
    """A state of the page whose alert looks at something else would raise none."""
    text = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    rules = {rule["alert"]: rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]}
    for heading, signs in STATES.items():
        metrics = {re.match(r"\w+", expression)[0] for expression in signs["metric"].quoted}  # type: ignore[index]
        metrics = metrics or {"up"}  # Prometheus' own, where the worker has ended
        assert signs["alert"].quoted, heading
        for name in signs["alert"].quoted:
            assert any(metric in rules[name] for metric in metrics), (heading, name)


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.parametrize("heading", [heading for heading in STATES if heading not in LASTING])
def test_a_state_that_passes_shows_by_every_sign_that_the_page_names(heading: str, shared_place: Place) -> None:
    """Log, /ready, metric and doctor say what the page quotes; once it is over, the worker is ready again by itself."""
    shows(heading, shared_place)
    until(shared_place.health.is_ready, shared_place.worker.said)


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.parametrize("heading", sorted(LASTING))
def test_a_state_that_lasts_shows_by_every_sign_that_the_page_names(
    heading: str, tmp_path: Path, hurt_kafka: ProxiedKafka
) -> None:
    """Log, /ready, metric and doctor say what the page quotes."""
    content = {"worker": {"guarantee": "at_least_once"}} if heading in FROM_INPUTS else {}
    with running(tmp_path, hurt_kafka, content) as place:
        shows(heading, place)


def shows(heading: str, place: Place) -> None:
    """Bring the state about, look for every sign, and undo it."""
    signs, started, said_before = STATES[heading], place.worker, len(place.worker.said())
    with place.stack:
        SCENARIOS[heading](place)
        before = said_before if place.worker is started else 0
        for quoted in signs["log"].quoted:
            is_logged(place.worker, quoted, before)
        for quoted in signs["`/ready`"].quoted:
            is_said(place.health, quoted)
        for expression in signs["metric"].quoted:
            holds(place.health, expression)
        said = segflow("doctor", "--settings", place.installed.file).out
        for quoted in signs["`doctor`"].quoted:
            assert quoted in said, said
