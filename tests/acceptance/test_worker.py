"""The worker over real Kafka and Redis: what it publishes is what the oracle says, once."""

import asyncio
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aiokafka import AIOKafkaProducer

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.file_run import FileRun
from segflow.schemas.change import Change, Current, DeadLetter
from segflow.schemas.settings import Settings
from segflow.state import record as codec
from segflow.state.keys import Keys
from segflow.state.layout import DIMENSION_SLOTS, RECORD
from segflow.state.redis_connection import client
from tests.oracle.simulation import Event, OracleRules, Shard, Sweep
from tests.support.agreement import by_customer, content, parsed
from tests.support.histories import START, written
from tests.support.journal_oracle import by_journal, quintiles
from tests.support.service import Service
from tests.support.until import PATIENCE_S

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

CDNOW = Path(__file__).parents[2] / "examples" / "cdnow.jsonl.gz"
Make = Callable[..., Service]


@pytest.fixture
def service(tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str) -> Make:
    """Makes an installation of the given settings."""

    def make(partitions: int = 4, **content: Any) -> Service:
        return Service(tmp_path, kafka.address, redis_db, unique_prefix, partitions, **content)

    return make


@pytest.fixture(scope="module")
def cdnow() -> list[bytes]:
    """Every line of the CDNOW history, in time order."""
    return gzip.decompress(CDNOW.read_bytes()).splitlines()


@pytest.fixture(scope="module")
def cdnow_changes(cdnow: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    """What `segflow run` makes of it, by customer."""
    return run_of(cdnow)


def run_of(lines: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    """The changes of a run over `lines`, by customer."""
    run = FileRun(Settings(currency="USD"))
    results = [*run.feed(lines, 1), *run.finish()]
    return by_customer(parsed(message.value for result in results for message in result.changes))


def count(changes: dict[str, list[dict[str, Any]]]) -> int:
    """Changes of all customers."""
    return sum(map(len, changes.values()))


def buy(customer: str, number: int, moment: datetime, amount: str = "60.00") -> dict[str, Any]:
    """A purchase."""
    event = {"type": "purchase", "event_id": f"p{number}", "customer_id": customer, "occurred_at": written(moment)}
    return event | {"order_id": f"o{number}", "amount": amount}


def test_the_oracle_and_the_run_agree_on_all_of_cdnow(
    cdnow: list[bytes], cdnow_changes: dict[str, list[dict[str, Any]]]
) -> None:
    """69,659 purchases of 23,570 customers, change for change."""
    oracle = Shard(OracleRules(currency="USD"))
    expected = [change for line in cdnow for change in oracle.step(Event(json.loads(line)))]
    expected += oracle.step(Sweep(None))
    assert cdnow_changes == by_customer(expected)


@pytest.mark.parametrize("processes", [1, 3])
def test_workers_publish_for_cdnow_exactly_what_the_run_gives(
    processes: int, service: Make, cdnow_changes: dict[str, list[dict[str, Any]]]
) -> None:
    """The same changes, each once, whether one process works all shards or three share them."""
    installed = service(partitions=6, clock="event", currency="USD")
    installed.produce(CDNOW)
    with installed.worker(processes):
        found = installed.changes(count(cdnow_changes))
    assert by_customer(installed.changes(len(found))) == cdnow_changes
    assert len({change["change_id"] for change in found}) == len(found)


def test_a_worker_stopped_in_mid_stream_and_started_again_misses_and_repeats_nothing(
    service: Make, cdnow: list[bytes], tmp_path: Path
) -> None:
    """Two clean stops while records go on arriving; the changes are those of one run."""
    part = cdnow[:12_000]
    expected = run_of(part)
    thirds = [tmp_path / f"{number}.jsonl" for number in range(3)]
    for number, file in enumerate(thirds):
        file.write_bytes(b"\n".join(part[number * 4_000 : (number + 1) * 4_000]))
    installed = service(partitions=2, clock="event", currency="USD")
    stopped_at = 0
    for file in thirds[:2]:
        with installed.producing(file, rate=400), installed.worker():
            installed.changes(stopped_at + 500)
        stopped_at = len(installed.read("changes"))
    installed.produce(thirds[2])
    with installed.worker():
        found = installed.changes(count(expected))
    assert by_customer(found) == expected
    sequences = [entry["plan"]["sequence"] for entry in installed.journal() if entry["partition"] == 0]
    assert sequences == list(range(1, len(sequences) + 1))


def test_silence_is_published_at_its_exact_deadline(service: Make) -> None:
    """A customer who buys once is at risk from the exact microsecond on, told soon after and never before.

    How soon is a benchmark's business; a whole slow machine fits into the bound here.
    """
    installed = service(lifecycle={"at_risk_after": "3s", "churned_after": "5s"}, dimensions=["lifecycle"])
    with installed.worker():
        moment = datetime.now(UTC)
        installed.send([buy("c1", 1, moment)])
        changes = installed.changes(3)
    assert [change["current"] for change in changes] == ["new", "at_risk", "churned"]
    for change, after_s in zip(changes[1:], (3, 5), strict=True):
        effective = datetime.fromisoformat(change["effective_at"])
        assert effective == moment + timedelta(seconds=after_s)
        assert change["cause"] == {"kind": "time"}
        assert change["mode"] == "live"
        assert timedelta(0) < datetime.fromisoformat(change["detected_at"]) - effective < timedelta(minutes=1)


def test_a_year_of_purchases_is_not_read_before_the_first_interaction(service: Make) -> None:
    """The two inputs of a shard are merged by event time, so a visit is not late for what came after it."""
    installed = service(partitions=1, clock="event")
    log = [buy("c1", day, START + timedelta(days=day)) for day in range(0, 360, 3)]
    log += [
        {
            "type": "interaction",
            "event_id": f"v{day}",
            "customer_id": "c1",
            "occurred_at": written(START + timedelta(days=day)),
            "kind": "visit",
        }
        for day in range(1, 360, 3)
    ]
    installed.send(log)
    oracle = Shard(OracleRules())
    log.sort(key=lambda event: event["occurred_at"])
    expected = [change for event in log for change in oracle.step(Event(event))]
    with installed.worker():
        found = installed.changes(len(expected))
    assert [content(change) for change in found] == expected
    assert not any(change["cause"]["kind"] == "late" for change in found)


def test_an_upstream_transaction_that_was_aborted_is_passed_over(service: Make) -> None:
    """Its records are nobody's purchases, the gap it leaves stops nothing, and the head stands behind its markers."""
    installed = service(partitions=1, clock="event")
    names = installed.settings.kafka.topics

    async def transactions() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=installed.settings.kafka.address, transactional_id="upstream")
        await producer.start()
        for number, kept in enumerate((True, False, True, False, True)):
            event = buy("c1", number, START + timedelta(days=number))
            await producer.begin_transaction()
            await producer.send_and_wait(names.purchases, key=b"c1", value=json.dumps(event).encode(), partition=0)
            await (producer.commit_transaction() if kept else producer.abort_transaction())
        await producer.stop()

    with installed.worker():
        asyncio.run(transactions())
        changes = installed.changes(3)
        installed.journal(lambda found: last(found, 0)["plan"]["purchases_to"] == 10)
    assert [change["cause"]["event_id"] for change in changes] == ["p0", "p0", "p2"]
    assert changes[-1]["facts"]["frequency"] == 2


def test_the_state_in_redis_is_the_fold_of_the_records_read(service: Make, cdnow: list[bytes], tmp_path: Path) -> None:
    """Each customer's stored record is that of a run in memory; only where its timer stands depends on the batches."""
    part = cdnow[:5_000]
    file = tmp_path / "part.jsonl"
    file.write_bytes(b"\n".join(part))
    installed = service(partitions=3, clock="event", currency="USD")
    installed.produce(file)
    run = FileRun(Settings(currency="USD"), shards=3)
    expected = sum(len(result.changes) for result in [*run.feed(part, 1), *run.finish()])
    with installed.worker():
        installed.changes(expected)
    start = np.zeros(len(DIMENSION_SLOTS), dtype=np.uint8)
    with client(installed.settings.redis) as connected:
        for shard in run.memory_shards:
            ids = [customer for page in range(shard.head.pages) for customer in shard.store.page(page)]
            keys = Keys(installed.settings.redis.prefix, shard.partition)
            stored = codec.decode(ids, connected.mget([keys.record(each) for each in ids]), start, 0)
            mine = codec.decode(ids, shard.store.load(ids), start, 0)
            for name in set(RECORD.names or ()) - {"timer_us"}:
                assert np.array_equal(stored.fixed[name], mine.fixed[name]), name
            assert all(np.array_equal(*pair) for pair in zip(stored.seen, mine.seen, strict=True))


def test_bad_records_become_dead_letters_and_the_partition_moves_on(service: Make) -> None:
    """Each bad record gives one dead letter, with where it stood, and the good one behind it is applied."""
    installed = service(partitions=1)
    now = datetime.now(UTC)
    installed.send([b"\xff", b"{", b"[]", b'{"type":"purchase"}'])
    installed.send([buy("c1", 1, now + timedelta(hours=1)), buy("c1", 2, now)])
    with installed.worker():
        changes = installed.changes(2)
        dead = installed.read("dead_letters", lambda found: len(found) >= 5)
    letters = [DeadLetter.model_validate_json(record.value) for record in dead]
    assert [letter.kind for letter in letters] == ["not_utf8", "not_json", "not_object", "missing_field", "future"]
    assert [letter.offset for letter in letters] == [0, 1, 2, 3, 4]
    assert {change["cause"]["event_id"] for change in changes} == {"p2"}


def test_changes_and_current_segments_follow_their_contract(service: Make) -> None:
    """Every record validates; current holds each customer's latest, keyed by customer, on the shard's partition."""
    installed = service(partitions=4, clock="event")
    log = [buy(f"c{number % 20}", number, START + timedelta(days=number)) for number in range(100)]
    installed.send(log)
    oracle = Shard(OracleRules())
    expected = [change for event in log for change in oracle.step(Event(event))] + oracle.step(Sweep(None))
    with installed.worker():
        installed.changes(1)
        latest = {change["customer_id"]: change for change in expected}

        def all_published(found: list[Any]) -> bool:
            return {record.key.decode() for record in found} == set(latest)

        records = installed.read("current", all_published)
    for record in installed.read("changes"):
        Change.model_validate_json(record.value)
        headers = dict(record.headers)
        assert headers["dimension"].decode() == json.loads(record.value)["dimension"]
    current = {record.key.decode(): (record, Current.model_validate_json(record.value)) for record in records}
    for customer, (_, known) in current.items():
        assert known.customer_id == customer
    assert {record.partition for record, _ in current.values()} == {
        record.partition for record in installed.read("changes")
    }


def test_quantile_cuts_reach_every_customer_and_the_oracle_agrees(service: Make) -> None:
    """Shards scan, shard 0 decides, all adopt; replayed by the oracle with the adoptions where the journal has them."""
    recut = {"min_population": 50, "every": "20d"}
    installed = service(partitions=2, clock="event", rfm={"cuts": "quantile"}, recut=recut)
    log = [
        buy(f"c{number * number % 211}", number, START + timedelta(hours=number), f"{(number * 37) % 400}.50")
        for number in range(2400)
    ]
    with installed.worker():
        for start in range(0, len(log), 480):  # slowly enough that cuts are made on the way
            installed.send(log[start : start + 480])
            end = sum(1 for event in log[: start + 480])
            installed.journal(lambda found, end=end: read_so_far(found) >= end)  # type: ignore[misc]
            time.sleep(0)
        installed.read("control", lambda found: any(json.loads(each.value)["kind"] == "cuts" for each in found))
        installed.journal(lambda found: all(last(found, shard)["plan"]["rules"] > 0 for shard in range(2)))
        installed.leaves_nothing_due()
    assert by_customer(json.loads(each.value) for each in installed.read("changes")) == by_customer(
        by_journal(installed, OracleRules(), quintiles)
    )


def read_so_far(entries: list[dict[str, Any]]) -> int:
    """Purchases the journal's commits have taken: ranges, so transaction markers (none here) would count."""
    return sum(last(entries, shard)["plan"]["purchases_to"] for shard in {entry["partition"] for entry in entries})


def last(entries: list[dict[str, Any]], shard: int) -> dict[str, Any]:
    """The shard's latest entry."""
    return max(
        (entry for entry in entries if entry["partition"] == shard),
        key=lambda entry: entry["plan"]["sequence"],
        default={"plan": {"rules": 0, "purchases_to": 0, "sequence": 0}},
    )


def test_workers_stop_when_their_supervisor_is_killed(service: Make) -> None:
    """Nobody would start them anew or stop them: SIGKILL of the parent ends the processes it watched over, too."""
    installed = service()
    command = [sys.executable, "-m", "segflow", "worker", "--settings", str(installed.file), "--processes", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as parent:
        workers: list[psutil.Process] = []
        until_s = time.monotonic() + PATIENCE_S
        while len(workers) < 2:
            assert time.monotonic() < until_s
            workers = psutil.Process(parent.pid).children()
        parent.kill()
    ended, running = psutil.wait_procs(workers, PATIENCE_S)
    for worker in running:
        worker.kill()
    assert (len(ended), running) == (2, [])
