"""The parts of the benchmark against peers: the job, the judge of what peers publish, their pace, the table."""

import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from subprocess import PIPE
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest

from benchmarks.ceiling import Traffic
from benchmarks.history import History
from benchmarks.peers import picture, report, results
from benchmarks.peers.job import HISTORY_DAYS, Answer, Change, to_us
from benchmarks.peers.meter import Meter
from benchmarks.peers.programs.customer import buy, nobody
from benchmarks.peers.published import Pace, PeerRecord, Published, pace, verdict
from benchmarks.peers.roster import FLINK, KAFKA_STREAMS, PEERS, ceiling
from benchmarks.report import PAGE
from tests.oracle import Event, OracleRules, simulate

CUSTOMERS = 40
EVENTS = 300
PARTITIONS = 8
TRAFFIC = Traffic(changes_per_event=1.0, change_bytes=1000, current_per_event=1.0, current_bytes=500, record_bytes=120)


def history(days: int = HISTORY_DAYS) -> list[bytes]:
    """Purchases in order of time."""
    made = History(customers=CUSTOMERS, events=EVENTS, days=days, purchase_share=1.0)
    return [value for lines in made.lines() for value in lines.values]


def partition(value: bytes) -> int:
    """Any function of the customer will do."""
    return int(msgspec.json.decode(value)["customer_id"][1:]) % PARTITIONS


def answer_to(values: list[bytes]) -> Answer:
    """The job done over these."""
    answer = Answer()
    answer.take(values, [partition(value) for value in values])
    return answer


def published(answer: Answer) -> Published:
    """What a peer without fault publishes, a millisecond an event."""
    found = Published()
    for who, changes in answer.changes.items():
        for each in changes:
            found.add(who, each.change, 1000 + each.offset)
    return found


def test_the_job_is_what_segflows_oracle_says_of_the_lifecycle() -> None:
    """Over a history in which nobody falls silent both give the same changes with the same facts."""
    values = history()
    items = [Event(msgspec.json.decode(value)) for value in values]
    expected: dict[str, list[Change]] = {}
    for change in simulate(items, OracleRules(dimensions=("lifecycle",))):
        facts = change["facts"]
        expected.setdefault(change["customer_id"], []).append(
            Change(
                change["previous"],
                change["current"],
                to_us(change["effective_at"]),
                facts["frequency"],
                int(Decimal(facts["monetary"]) * 100),
                to_us(facts["last_purchase_at"]),
            )
        )
    answer = answer_to(values)
    assert {who: [each.change for each in changes] for who, changes in answer.changes.items()} == expected
    assert {change.current for changes in expected.values() for change in changes} == {"new", "active", "loyal"}


@pytest.mark.parametrize("days", [HISTORY_DAYS, 2000])
def test_the_python_peers_do_the_job(days: int) -> None:
    """Their dicts give the answer, out of order too and where customers come back after 60 days."""
    values = history(days)
    random.Random(1).shuffle(values)
    customers: dict[str, dict[str, Any]] = {}
    found = Published()
    for value in values:
        event = msgspec.json.decode(value)
        change = buy(customers.setdefault(event["customer_id"], nobody()), event)
        if change is not None:
            record = msgspec.convert(change, PeerRecord)
            found.add(record.customer_id, record.change(), 0)
    answer = answer_to(values)
    assert verdict(answer, found, whole=True) is None
    labels = {change.current for changes in found.changes.values() for change, _ in changes}
    assert ("reactivated" in labels) == (days > HISTORY_DAYS)


def faults(right: Published) -> Iterator[Published]:
    """The output with one change repeated, lost, altered, out of order, or of a stranger."""
    who, changes = next((who, changes) for who, changes in right.changes.items() if len(changes) > 1)
    altered = (changes[0][0]._replace(amount_minor=0), 0)
    for wrong in ([changes[0], *changes], changes[1:], [altered, *changes[1:]], changes[::-1]):
        yield replace(right, changes=right.changes | {who: wrong})
    yield replace(right, changes=right.changes | {"stranger": changes})


def test_every_fault_of_an_output_is_found() -> None:
    """Each alone makes the verdict, also where the output may end early."""
    answer = answer_to(history())
    right = published(answer)
    assert verdict(answer, right, whole=True) is None
    wrong = list(faults(right))
    assert len(wrong) == 5
    for each in wrong:
        assert verdict(answer, each, whole=True) is not None
        assert verdict(answer, each, whole=False) is not None


def test_an_output_that_ends_early_is_right_only_where_it_was_cut_off() -> None:
    """Prefixes of each customer's changes pass for a peer that was stopped, and for no other."""
    answer = answer_to(history())
    early = published(answer)
    early.changes = {who: changes[:1] for who, changes in early.changes.items()}
    assert verdict(answer, early, whole=False) is None
    assert "customers differ" in (verdict(answer, early, whole=True) or "")


def test_the_pace_counts_the_events_behind_the_changes() -> None:
    """At the last change of each partition all events up to it are behind."""
    answer = answer_to(history())
    seen = pace(answer, published(answer))
    last = {0: 0}
    for changes in answer.changes.values():
        for each in changes:
            last[each.partition] = max(last.get(each.partition, 0), each.offset + 1)
    assert seen.events[-1] == sum(last.values())
    assert (np.diff(seen.events) >= 0).all()
    assert (np.diff(seen.appended_ms) >= 0).all()


def test_the_window_leaves_the_warm_up_out() -> None:
    """90 events in a second after 10 in ten are 90 a second."""
    slow_ms, fast_ms = np.arange(1000, 11_000, 1000), np.linspace(11_000, 12_000, 91)[1:]
    seen = Pace(np.concatenate([slow_ms, fast_ms]).astype(np.int64), np.arange(1, 101))
    begin_s, end_s, events = seen.window(0.2)
    assert events / (end_s - begin_s) == pytest.approx(90, rel=0.03)


BUSY = """
import time
held = b"x" * (16 << 20)
print("ready", flush=True)
input()
until_s = time.process_time() + 0.2
while time.process_time() < until_s:
    pass
print("done", flush=True)
input()
"""


def test_the_meter_sees_what_a_process_uses() -> None:
    """A busy fifth of a second of a process that has no others under it shows as about that, and as some memory."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=PIPE, stdout=PIPE, text=True, bufsize=1) as busy:
        assert busy.stdin is not None
        assert busy.stdout is not None
        assert busy.stdout.readline() == "ready\n"
        meter = Meter(pids={"peer": busy.pid, "redis": None, "broker": None})
        meter.look()
        busy.stdin.write("\n")
        assert busy.stdout.readline() == "done\n"
        meter.look()
        busy.stdin.write("\n")
    first, last = meter.samples
    assert meter.cpu_between("peer", first.at_s, last.at_s) == pytest.approx(0.2, abs=0.15)
    assert meter.cpu_between("redis", first.at_s, last.at_s) == 0
    assert meter.resident_most("peer") > 10


def test_the_table_shows_median_and_spread() -> None:
    """Three runs as `median (least-most)`; a failed peer has a line and a note but no figure."""
    good, bad = results.Row(PEERS[0]), results.Row(PEERS[1])
    for value in (900.0, 1000.0, 1200.0):
        good.add({"events_s": value})
        bad.add({"events_s": value})
    bad.fail("wrong: 3 customers differ")
    rows = [good.as_json(), bad.as_json()]
    assert results.cell(rows[0]["figures"]["events_s"]) == "1,000 (900-1,200)"
    assert rows[1]["figures"] == {}
    assert results.notes(rows) == [f"{PEERS[1].title}: wrong: 3 customers differ"]
    assert results.table(rows).row_count == 2


def test_the_java_peers_versions_are_read_from_their_poms() -> None:
    """Also where the version stands in a property; and a changed source is built anew."""
    assert KAFKA_STREAMS.version("kafka-streams").startswith("4.")
    assert FLINK.version("flink-streaming-java").startswith("2.")
    assert KAFKA_STREAMS.built() != FLINK.built()


def test_every_peer_says_how_it_is_tuned() -> None:
    """And each has a name of its own, with which it can be asked for."""
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    assert all(peer.tuned and peer.promise for peer in PEERS)


def results_file() -> dict[str, Any]:
    """Results of segflow, the ceiling and a peer that was not there."""
    ours, theirs, absent = results.Row(PEERS[0]), results.Row(ceiling(TRAFFIC)), results.Row(PEERS[1])
    ours.add({"events_s": 40_000.0, "events_cpu_s": 30_000.0})
    theirs.add({"events_s": 60_000.0, "events_cpu_s": 90_000.0})
    absent.note("not here: no wheel")
    return {
        "command": "make bench-peers",
        "sizes": {"customers": 100, "events": 200, "runs": 1},
        "machine": {"date": "2026-11-25T00:00:00", "cores": 2, "cpu": "A <fast> one"},
        "servers": {"kafka": "Kafka", "redis": "Redis"},
        "peers": [row.as_json() for row in (ours, theirs, absent)],
    }


def test_the_picture_has_a_bar_for_each_peer_that_has_figures() -> None:
    """Two panels of two bars, the machine and the date, in well-formed SVG."""
    drawn = ET.fromstring(picture.draw(results_file()))  # noqa: S314 - we wrote it ourselves
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    bars = list(drawn.iter("{http://www.w3.org/2000/svg}rect"))[1:]
    assert len(bars) == 4
    assert words.count("segflow") == 1
    assert PEERS[1].title not in words
    assert any("2026-11-25" in str(word) and "A <fast> one" in str(word) for word in words)


def test_the_page_shows_every_peer_and_what_of_the_goals_is_met() -> None:
    """An absent peer has an empty line and its reason; a goal without its peer is not spoken of."""
    section = report.section(results_file())
    assert "| Faust with Redis" in section
    assert "not here: no wheel" in section
    assert "| the ceiling: no logic | events/s | 0.667 | ≥ 0.5 | met |" in section
    assert "≥ 40" not in section


def test_the_documents_show_the_results_file() -> None:
    """`python -m benchmarks.peers.report` has been run since the results changed."""
    content = report.read()
    text = PAGE.read_text()
    assert report.page(text, content) == text
    assert report.PICTURE.read_text() == picture.draw(content)
